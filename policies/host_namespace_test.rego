package main_test

import data.main
import rego.v1

test_namespaces_of_the_host_in_pods if {
	every field in ["hostNetwork", "hostPID", "hostIPC"] {
		some finding in main.deny_host_namespace with input as {"kind": "Deployment", "spec": {"template": {"spec": {field: true}}}}
		finding.path == ["spec", "template", "spec", field]
	}
	count(main.deny_host_namespace) == 0 with input as {"kind": "Pod", "spec": {"hostNetwork": false, "hostname": "host"}}
}

test_namespaces_of_the_host_in_services if {
	every field in ["network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup"] {
		some finding in main.deny_host_namespace with input as {"services": {"web": {field: "host"}}}
		finding.path == ["services", "web", field]
	}
	count(main.deny_host_namespace) == 0 with input as {"services": {"web": {"network_mode": "service:db", "hostname": "host"}}}
}
