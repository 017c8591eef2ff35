package main_test

import data.main
import rego.v1

image(name) := {"kind": "Pod", "spec": {"containers": [{"name": "web", "image": name}]}}

test_images_whose_version_is_not_told if {
	every name in ["web", "web:latest", "registry.example:5000/shop/web", "registry.example:5000/web:latest", "web:"] {
		some finding in main.warn_image_tag with input as image(name)
		finding.path == ["spec", "containers", 0, "image"]
	}
	every name in ["web:1", "registry.example:5000/shop/web:2024-01", "web@sha256:ab", "web:latest@sha256:ab"] {
		count(main.warn_image_tag) == 0 with input as image(name)
	}
}

test_images_of_services if {
	some finding in main.warn_image_tag with input as {"services": {"web": {"image": "web"}, "db": {"image": "db:1"}}}
	finding.path == ["services", "web", "image"]
	finding.msg == "image `web` has no tag: which version runs is not in Git"
}
