# What the rules look at: pods and containers of Kubernetes manifests, services of Compose files, and
# which folders of the host they want. Each comes with its path in the document.
package workload

import rego.v1

templates := {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"}

pods contains {"path": ["spec"], "spec": input.spec} if input.kind == "Pod"

pods contains {"path": ["spec", "template", "spec"], "spec": input.spec.template.spec} if input.kind in templates

pods contains {"path": ["spec", "jobTemplate", "spec", "template", "spec"], "spec": input.spec.jobTemplate.spec.template.spec} if {
	input.kind == "CronJob"
}

# Containers of all kinds, those that only prepare the pod among them.
containers contains {"path": array.concat(pod.path, [group, index]), "group": group, "name": name, "spec": container} if {
	some pod in pods
	some group in ["containers", "initContainers", "ephemeralContainers"]
	is_array(pod.spec[group])
	some index, container in pod.spec[group]
	is_object(container)
	name := object.get(container, "name", "?")
}

is_compose if {
	not input.apiVersion
	is_object(input.services)
}

services contains {"path": ["services", name], "name": name, "spec": service} if {
	is_compose
	some name, service in input.services
	is_object(service)
}

# Volumes that a service mounts, in the short and the long form.
mounts contains {"path": array.concat(service.path, ["volumes", index]), "service": service.name, "source": parts[0], "read_only": read_only} if {
	some service in services
	is_array(service.spec.volumes)
	some index, volume in service.spec.volumes
	is_string(volume)
	parts := split(volume, ":")
	count(parts) > 1
	read_only := "ro" in split(concat(":", array.slice(parts, 2, count(parts))), ",")
}

mounts contains {"path": array.concat(service.path, ["volumes", index]), "service": service.name, "source": source, "read_only": read_only} if {
	some service in services
	is_array(service.spec.volumes)
	some index, volume in service.spec.volumes
	is_object(volume)
	source := volume.source
	is_string(source)
	read_only := object.get(volume, "read_only", false) in {true, "true"}
}

# Folders and files of the host, each with `host` for its path there.
host_paths contains {"path": array.concat(pod.path, ["volumes", index, "hostPath", "path"]), "host": volume.hostPath.path} if {
	some pod in pods
	is_array(pod.spec.volumes)
	some index, volume in pod.spec.volumes
	is_string(volume.hostPath.path)
}

host_paths contains {"path": mount.path, "host": mount.source} if {
	some mount in mounts
	startswith(mount.source, "/")
}

# A volume may be a folder of the host by another name.
host_paths contains {"path": ["volumes", name, "driver_opts", "device"], "host": device} if {
	is_compose
	is_object(input.volumes)
	some name, volume in input.volumes
	device := volume.driver_opts.device
	is_string(device)
	startswith(device, "/")
}

# Returns a path without `//`, `/./` and a `/` at its end; that of the root is empty.
clean(path) := concat("/", array.concat([""], [part | some part in split(path, "/"); not part in {"", "."}]))

# Tells whether a path is another, or below it. One with `..` is nowhere.
within(path, root) if {
	climbs := [part | some part in split(path, "/"); part == ".."]
	count(climbs) == 0
	startswith(concat("", [clean(path), "/"]), concat("", [clean(root), "/"]))
}

# A flag of a Compose file, also if a variable gave it.
is_true(flag) if flag in {true, "true"}
