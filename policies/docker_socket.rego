# Whoever may use an engine's socket is root on the host.
package main

import data.workload
import rego.v1

engine_sockets := {
	"/var/run/docker.sock",
	"/run/docker.sock",
	"/run/containerd/containerd.sock",
	"/var/run/containerd/containerd.sock",
	"/run/podman/podman.sock",
	"/var/run/podman/podman.sock",
	"/run/crio/crio.sock",
	"/var/run/crio/crio.sock",
}

# A folder that holds the socket is as good as the socket.
reaches_socket(path) if {
	some socket in engine_sockets
	workload.within(socket, path)
}

deny_docker_socket contains finding if {
	some wanted in workload.host_paths
	reaches_socket(wanted.host)
	finding := {
		"msg": sprintf("`%s` gives the engine's socket: whoever may use it is root on the host", [wanted.host]),
		"path": wanted.path,
		"hint": "put a proxy in front of the socket that permits only what is needed",
	}
}
