# Folders of the host, outside of those that are meant for applications.
package main

import data.workload
import rego.v1

# Where an installation keeps data of its applications, and two files that many images ask for. The
# Application's `policy.hostPaths` stands instead of these.
default allowed_roots := ["/srv", "/mnt", "/media", "/etc/localtime", "/etc/timezone"]

allowed_roots := data.driftless.host_paths

# The application's own folder, which is always allowed.
default own_roots := []

own_roots := [data.driftless.data_root]

deny_host_path contains finding if {
	some wanted in workload.host_paths
	not reaches_socket(wanted.host)
	not is_allowed(wanted.host)
	finding := {
		"msg": sprintf("`%s` of the host is outside of the folders for applications (%s)", [wanted.host, concat(", ", allowed_roots)]),
		"path": wanted.path,
		"hint": "use a volume, or permit the folder in the Application's `policy.hostPaths`",
	}
}

is_allowed(path) if {
	some root in array.concat(allowed_roots, own_roots)
	workload.within(path, root)
}
