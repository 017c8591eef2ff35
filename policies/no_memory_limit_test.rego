package main_test

import data.main
import rego.v1

test_containers_without_a_limit if {
	pod := {"kind": "Pod", "spec": {
		"initContainers": [{"name": "init"}],
		"containers": [
			{"name": "a", "resources": {"limits": {"memory": "64Mi"}}},
			{"name": "b", "resources": {"requests": {"memory": "64Mi"}}},
		],
	}}
	{finding.path | some finding in main.warn_no_memory_limit} == {["spec", "containers", 1]} with input as pod
}

test_services_without_a_limit if {
	services := {"a": {}, "b": {"mem_limit": "64m"}, "c": {"deploy": {"resources": {"limits": {"memory": "64m"}}}}}
	{finding.path | some finding in main.warn_no_memory_limit} == {["services", "a"]} with input as {"services": services}
}
