# Without a question nobody knows whether a replica can serve; that it runs, or that its port is open,
# has to do.
package main

import data.workload
import rego.v1

warn_no_readiness contains finding if {
	not input.kind in {"Job", "CronJob"}
	some pod in workload.pods
	is_array(pod.spec.containers)
	count(pod.spec.containers) > 0
	probes := [1 | some container in pod.spec.containers; container.readinessProbe]
	count(probes) == 0
	finding := {
		"msg": "no container has a `readinessProbe`: that it runs is all that is known before it is given connections",
		"path": array.concat(pod.path, ["containers"]),
		"hint": "ask for a path or a port, as in `readinessProbe: { httpGet: { path: /ready, port: 8080 } }`",
	}
}

warn_no_readiness contains finding if {
	some service in workload.services
	some field in ["ports", "expose"]
	count(service.spec[field]) > 0
	not asked(service.spec)
	finding := {
		"msg": sprintf("service `%v` has no `healthcheck`: unless its image has one, that it runs is all that is known before it is given connections", [service.name]),
		"path": service.path,
		"hint": "ask, as in `healthcheck: { test: [CMD, curl, --fail, http://127.0.0.1:8080/ready] }`",
	}
}

asked(service) if {
	service.healthcheck.test
	not workload.is_true(object.get(service.healthcheck, "disable", false))
	not service.healthcheck.test in [["NONE"], "NONE"]
}
