# Two writers of one volume overwrite one another, unless the program was made for it.
package main

import data.workload
import rego.v1

warn_shared_volume contains finding if {
	input.kind == "PersistentVolumeClaim"
	is_array(input.spec.accessModes)
	some index, access in input.spec.accessModes
	access == "ReadWriteMany"
	finding := {
		"msg": sprintf("claim `%v` may be written by several replicas at once", [object.get(input.metadata, "name", "?")]),
		"path": ["spec", "accessModes", index],
		"hint": "unless the program is made for it, write `ReadWriteOnce`: an update then stops the old replica first",
	}
}

# How many replicas of a service there are; a number that cannot be told counts as one.
replicas(service) := number if {
	number := to_number(object.get(service, ["deploy", "replicas"], object.get(service, "scale", 1)))
}

warn_shared_volume contains finding if {
	workload.is_compose
	is_object(input.volumes)
	some volume, _ in input.volumes
	writers := {mount.service | some mount in workload.mounts; mount.source == volume; not mount.read_only}
	total := sum([replicas(input.services[name]) | some name in writers])
	total > 1
	finding := {
		"msg": sprintf("volume `%v` is written by %v replicas at once, of %s", [volume, total, concat(", ", sort([sprintf("`%v`", [name]) | some name in writers]))]),
		"path": ["volumes", volume],
		"hint": "unless the programs are made for it, give each its own volume, or mount it with `:ro` where it is only read",
	}
}
