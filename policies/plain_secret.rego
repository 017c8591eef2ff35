# A password among settings, where everybody who reads the manifest reads it. What a Secret, a `.env` file
# or a variable of the Application holds is not meant: those can be kept elsewhere or encrypted.
package main

import data.workload
import rego.v1

# How names of secrets end, without what separates their words.
endings := [
	"password", "passwd", "passphrase", "secret", "token", "credential", "credentials",
	"apikey", "accesskey", "secretkey", "privatekey", "encryptionkey",
]

bare(name) := replace(replace(replace(lower(name), "_", ""), "-", ""), ".", "")

# Values that say something about a secret, and are none.
looks_secret(name, value) if {
	is_string(value)
	some ending in endings
	endswith(bare(name), ending)
	not lower(value) in {"", "yes", "no", "true", "false", "on", "off", "none", "0", "1"}
	not startswith(value, "/")
}

plain_message(what, name) := sprintf("%s `%s` is a secret in plain text", [what, name])

warn_plain_secret contains finding if {
	some container in workload.containers
	is_array(container.spec.env)
	some index, variable in container.spec.env
	is_string(variable.name)
	looks_secret(variable.name, variable.value)

	# `$(NAME)` is the value of another variable.
	not contains(variable.value, "$(")
	finding := {
		"msg": plain_message("variable", variable.name),
		"path": array.concat(container.path, ["env", index, "value"]),
		"secret": true,
		"hint": "keep it in a Secret and write `valueFrom: { secretKeyRef: … }`",
	}
}

warn_plain_secret contains finding if {
	input.kind == "ConfigMap"
	is_object(input.data)
	some key, value in input.data
	looks_secret(key, value)
	finding := {"msg": plain_message("key", key), "path": ["data", key], "secret": true, "hint": "keep it in a Secret"}
}

# What is written, before variables are replaced.
project := data.driftless.written

project := input if not data.driftless.written

environment contains {"path": ["services", name, "environment", key], "name": key, "value": value} if {
	workload.is_compose
	is_object(project.services)
	some name, service in project.services
	is_object(service.environment)
	some key, value in service.environment
}

environment contains {"path": ["services", name, "environment", index], "name": parts[0], "value": value} if {
	workload.is_compose
	is_object(project.services)
	some name, service in project.services
	is_array(service.environment)
	some index, line in service.environment
	is_string(line)
	parts := split(line, "=")
	count(parts) > 1
	value := substring(line, count(parts[0]) + 1, -1)
}

warn_plain_secret contains finding if {
	some variable in environment
	looks_secret(variable.name, variable.value)

	# `$NAME` is written elsewhere; `$$` is a dollar sign.
	not contains(replace(variable.value, "$$", ""), "$")
	finding := {
		"msg": plain_message("variable", variable.name),
		"path": variable.path,
		"secret": true,
		"hint": "keep it in a file and name it in `secrets`, or write `${NAME}` and set it in the Application's `variables`",
	}
}
