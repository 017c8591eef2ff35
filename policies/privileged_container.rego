# A privileged container can do to the host whatever root can.
package main

import data.workload
import rego.v1

deny_privileged_container contains finding if {
	some container in workload.containers
	container.spec.securityContext.privileged == true
	finding := {
		"msg": sprintf("container `%v` is privileged: it can do to the host whatever root can", [container.name]),
		"path": array.concat(container.path, ["securityContext", "privileged"]),
		"hint": "leave it out, and add the one capability that is needed in `capabilities.add`",
	}
}

deny_privileged_container contains finding if {
	some container in workload.containers
	is_array(container.spec.securityContext.capabilities.add)
	some index, capability in container.spec.securityContext.capabilities.add
	upper(capability) in {"ALL", "CAP_ALL"}
	finding := {
		"msg": sprintf("container `%v` has all capabilities, as a privileged one has", [container.name]),
		"path": array.concat(container.path, ["securityContext", "capabilities", "add", index]),
		"hint": "name the capabilities that are needed",
	}
}

deny_privileged_container contains finding if {
	some service in workload.services
	workload.is_true(service.spec.privileged)
	finding := {
		"msg": sprintf("service `%v` is privileged: it can do to the host whatever root can", [service.name]),
		"path": array.concat(service.path, ["privileged"]),
		"hint": "leave it out, and add the one capability that is needed in `cap_add`",
	}
}

deny_privileged_container contains finding if {
	some service in workload.services
	is_array(service.spec.cap_add)
	some index, capability in service.spec.cap_add
	upper(capability) in {"ALL", "CAP_ALL"}
	finding := {
		"msg": sprintf("service `%v` has all capabilities, as a privileged one has", [service.name]),
		"path": array.concat(service.path, ["cap_add", index]),
		"hint": "name the capabilities that are needed",
	}
}
