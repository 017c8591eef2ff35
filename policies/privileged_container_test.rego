package main_test

import data.main
import rego.v1

pod(container) := {"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}}

test_a_privileged_container if {
	some finding in main.deny_privileged_container with input as pod({"name": "web", "securityContext": {"privileged": true}})
	finding.path == ["spec", "containers", 0, "securityContext", "privileged"]
	contains(finding.msg, "`web`")
}

test_all_capabilities if {
	every capability in ["ALL", "all", "CAP_ALL"] {
		count(main.deny_privileged_container) == 1 with input as pod({"name": "web", "securityContext": {"capabilities": {"add": ["CHOWN", capability]}}})
	}
}

test_some_capabilities_are_fine if {
	count(main.deny_privileged_container) == 0 with input as pod({"name": "web", "securityContext": {"privileged": false, "capabilities": {"add": ["CHOWN"]}}})
}

test_pods_are_found_wherever_they_are if {
	every kind in ["Deployment", "StatefulSet", "DaemonSet", "Job"] {
		object := {"kind": kind, "spec": {"template": {"spec": {"initContainers": [{"securityContext": {"privileged": true}}]}}}}
		count(main.deny_privileged_container) == 1 with input as object
	}
	cron := {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"securityContext": {"privileged": true}}]}}}}}}
	count(main.deny_privileged_container) == 1 with input as cron
}

test_a_privileged_service if {
	every flag in [true, "true"] {
		some finding in main.deny_privileged_container with input as {"services": {"web": {"privileged": flag}}}
		finding.path == ["services", "web", "privileged"]
	}
	count(main.deny_privileged_container) == 0 with input as {"services": {"web": {"privileged": "false"}, "db": {}}}
}
