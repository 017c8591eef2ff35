package main_test

import data.main
import rego.v1

variable(name, value) := {"kind": "Pod", "spec": {"containers": [{"name": "web", "env": [{"name": name, "value": value}]}]}}

test_secrets_among_variables if {
	every name in ["PASSWORD", "DB_PASSWORD", "dbPasswd", "API_KEY", "AWS_SECRET_ACCESS_KEY", "github.token", "CREDENTIALS"] {
		some finding in main.warn_plain_secret with input as variable(name, "hunter2")
		finding.path == ["spec", "containers", 0, "env", 0, "value"]
		finding.secret
		not contains(finding.msg, "hunter2")
	}
}

test_what_only_sounds_like_a_secret if {
	every name in ["PASSWORD_FILE", "TOKEN_TTL", "MONKEY", "PUBLIC_KEY", "USER"] {
		count(main.warn_plain_secret) == 0 with input as variable(name, "hunter2")
	}
	every value in ["", "yes", "True", "0", "/run/secrets/password", "$(OTHER)"] {
		count(main.warn_plain_secret) == 0 with input as variable("PASSWORD", value)
	}
	referred := {"kind": "Pod", "spec": {"containers": [{"name": "a", "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {}}}]}]}}
	count(main.warn_plain_secret) == 0 with input as referred
}

test_secrets_in_a_config_map if {
	map := {"kind": "ConfigMap", "data": {"password": "hunter2", "password.conf": "a", "user": "b"}}
	{finding.path | some finding in main.warn_plain_secret} == {["data", "password"]} with input as map
}

test_a_secret_is_the_place_for_secrets if {
	count(main.warn_plain_secret) == 0 with input as {"kind": "Secret", "stringData": {"password": "hunter2"}}
}

project_of(environment) := {"services": {"web": {"environment": environment}}}

test_secrets_in_services if {
	some map in main.warn_plain_secret with input as project_of({"PASSWORD": "hunter2", "USER": "a"})
	map.path == ["services", "web", "environment", "PASSWORD"]
	some list in main.warn_plain_secret with input as project_of(["USER=a", "PASSWORD=a=b", "TOKEN"])
	list.path == ["services", "web", "environment", 1]
}

# The value is in the input by then; what counts is what is written.
test_variables_are_not_plain if {
	replaced := project_of({"PASSWORD": "hunter2"})
	count(main.warn_plain_secret) == 0 with input as replaced with data.driftless.written as project_of({"PASSWORD": "${PASSWORD:?}"})
	count(main.warn_plain_secret) == 1 with input as replaced with data.driftless.written as project_of({"PASSWORD": "hunter$$2"})
}
