package main_test

import data.main
import rego.v1

test_a_claim_for_many if {
	claim := {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}}
	some finding in main.warn_shared_volume with input as claim
	finding.path == ["spec", "accessModes", 1]
	count(main.warn_shared_volume) == 0 with input as {"kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteOnce"]}}
}

of(services) := {"services": services, "volumes": {"data": null, "other": {}}}

test_volumes_with_several_writers if {
	two := of({"a": {"volumes": ["data:/d"]}, "b": {"volumes": [{"source": "data", "target": "/d"}, "other:/o"]}})
	{finding.path | some finding in main.warn_shared_volume} == {["volumes", "data"]} with input as two
	{finding.msg | some finding in main.warn_shared_volume} == {"volume `data` is written by 2 replicas at once, of `a`, `b`"} with input as two
	count(main.warn_shared_volume) == 1 with input as of({"a": {"volumes": ["data:/d"], "deploy": {"replicas": 3}}})
}

test_volumes_with_one_writer if {
	every services in [
		{"a": {"volumes": ["data:/d"]}, "b": {"volumes": ["data:/d:ro"]}},
		{"a": {"volumes": ["data:/d"]}, "b": {"volumes": [{"source": "data", "target": "/d", "read_only": true}]}},
		{"a": {"volumes": ["data:/d", "other:/o"]}},
	] {
		count(main.warn_shared_volume) == 0 with input as of(services)
	}
}
