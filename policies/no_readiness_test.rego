package main_test

import data.main
import rego.v1

test_pods_that_are_not_asked if {
	some finding in main.warn_no_readiness with input as {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}
	finding.path == ["spec", "template", "spec", "containers"]
}

test_one_container_that_is_asked_is_enough if {
	pod := {"kind": "Pod", "spec": {"containers": [{"name": "log"}, {"name": "web", "readinessProbe": {"tcpSocket": {"port": 80}}}]}}
	count(main.warn_no_readiness) == 0 with input as pod
}

test_a_job_is_not_asked if {
	count(main.warn_no_readiness) == 0 with input as {"kind": "Job", "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}
}

test_services_with_ports_are_asked if {
	every service in [
		{"ports": ["80:80"]},
		{"expose": ["80"]},
		{"ports": ["80:80"], "healthcheck": {"disable": true, "test": ["CMD", "true"]}},
		{"ports": ["80:80"], "healthcheck": {"test": ["NONE"]}},
		{"ports": ["80:80"], "healthcheck": {"interval": "5s"}},
	] {
		some finding in main.warn_no_readiness with input as {"services": {"web": service}}
		finding.path == ["services", "web"]
	}
	every service in [{}, {"ports": []}, {"ports": ["80:80"], "healthcheck": {"test": "true"}}] {
		count(main.warn_no_readiness) == 0 with input as {"services": {"web": service}}
	}
}
