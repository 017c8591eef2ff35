package main_test

import data.main
import rego.v1

volumes(list) := {"services": {"web": {"volumes": list}}}

host(path) := {"kind": "Pod", "spec": {"volumes": [{"name": "a", "hostPath": {"path": path}}]}}

test_the_socket_and_what_holds_it if {
	every path in ["/var/run/docker.sock", "/run/docker.sock", "/run//docker.sock/", "/var/./run", "/var", "/", "/run/containerd"] {
		some finding in main.deny_docker_socket with input as host(path)
		finding.path == ["spec", "volumes", 0, "hostPath", "path"]
	}
	every path in ["/srv/docker.sock", "/var/running", "/var/lib"] {
		count(main.deny_docker_socket) == 0 with input as host(path)
	}
}

test_the_socket_in_all_forms_of_compose if {
	every volume in [
		"/var/run/docker.sock:/var/run/docker.sock:ro",
		{"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock"},
	] {
		some finding in main.deny_docker_socket with input as volumes([volume])
		finding.path == ["services", "web", "volumes", 0]
	}
	renamed := {"services": {}, "volumes": {"data": {"driver_opts": {"type": "none", "o": "bind", "device": "/var/run"}}}}
	count(main.deny_docker_socket) == 1 with input as renamed
	count(main.deny_docker_socket) == 0 with input as volumes(["data:/var/run/docker.sock", "./run:/run", "/cache"])
}

test_the_socket_is_reported_once if {
	count(main.deny_host_path) == 0 with input as host("/var/run/docker.sock")
}
