# The host's namespaces: its network, its processes, its shared memory, its name, its users.
package main

import data.workload
import rego.v1

deny_host_namespace contains finding if {
	some pod in workload.pods
	some field, what in {"hostNetwork": "network", "hostPID": "processes", "hostIPC": "shared memory"}
	pod.spec[field] == true
	finding := {
		"msg": sprintf("the pod shares the host's %s", [what]),
		"path": array.concat(pod.path, [field]),
		"hint": "leave it out; a `hostPort` publishes a port, and services reach one another by name",
	}
}

deny_host_namespace contains finding if {
	some service in workload.services
	some field, what in {"network_mode": "network", "pid": "processes", "ipc": "shared memory", "uts": "name", "userns_mode": "users", "cgroup": "control groups"}
	service.spec[field] == "host"
	finding := {
		"msg": sprintf("service `%v` shares the host's %s", [service.name, what]),
		"path": array.concat(service.path, [field]),
		"hint": "leave it out; `ports` publishes a port, and services reach one another by name",
	}
}
