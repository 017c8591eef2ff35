# Without a limit one leak takes the memory of the whole host.
package main

import data.workload
import rego.v1

warn_no_memory_limit contains finding if {
	some container in workload.containers
	container.group == "containers"
	not container.spec.resources.limits.memory
	finding := {
		"msg": sprintf("container `%v` has no memory limit: a leak takes the memory of the whole host", [container.name]),
		"path": container.path,
		"hint": "write one, as in `resources: { limits: { memory: 128Mi } }`",
	}
}

warn_no_memory_limit contains finding if {
	some service in workload.services
	not service.spec.deploy.resources.limits.memory
	not service.spec.mem_limit
	finding := {
		"msg": sprintf("service `%v` has no memory limit: a leak takes the memory of the whole host", [service.name]),
		"path": service.path,
		"hint": "write one, as in `deploy: { resources: { limits: { memory: 128m } } }`",
	}
}
