package main_test

import data.main
import rego.v1

test_paths_outside_of_the_allowed_folders if {
	every path in ["/etc", "/home/a", "/srvs", "/srv/../etc", "/srv/..", "/var/lib/docker", "/dev/sda"] {
		some finding in main.deny_host_path with input as host(path)
		finding.path == ["spec", "volumes", 0, "hostPath", "path"]
	}
	every path in ["/srv", "/srv/", "/srv/shop/data", "//mnt/./disk", "/etc/localtime"] {
		count(main.deny_host_path) == 0 with input as host(path)
	}
}

test_other_folders_can_be_allowed if {
	count(main.deny_host_path) == 0 with input as host("/opt/shop") with data.driftless.host_paths as ["/opt"]
	count(main.deny_host_path) == 1 with input as host("/srv") with data.driftless.host_paths as ["/opt"]
	count(main.deny_host_path) == 0 with input as host("/var/lib/driftless/data/shop/a") with data.driftless.data_root as "/var/lib/driftless/data/shop"
}

test_folders_of_the_application_are_its_own if {
	count(main.deny_host_path) == 0 with input as volumes(["./data:/data", "data:/data", "/cache", {"type": "volume", "source": "data", "target": "/d"}])
}

test_a_disk_as_a_volume if {
	some finding in main.deny_host_path with input as {"services": {}, "volumes": {"data": {"driver_opts": {"type": "ext4", "device": "/dev/sda1"}}}}
	finding.path == ["volumes", "data", "driver_opts", "device"]
}
