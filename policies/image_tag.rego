# `latest`, or no tag at all, is another image tomorrow, and nobody sees it in Git.
package main

import data.workload
import rego.v1

wanted_images contains {"path": array.concat(subject.path, ["image"]), "image": subject.spec.image} if {
	some subject in workload.containers | workload.services
	is_string(subject.spec.image)
}

warn_image_tag contains finding if {
	some wanted in wanted_images
	not contains(wanted.image, "@")
	reason := untold(wanted.image)
	finding := {
		"msg": sprintf("image `%s` %s: which version runs is not in Git", [wanted.image, reason]),
		"path": wanted.path,
		"hint": "write the version as tag, or the digest",
	}
}

# A `:` before the last `/` is a port.
parts(image) := split(last, ":") if {
	path := split(image, "/")
	last := path[count(path) - 1]
}

untold(image) := "has no tag" if count(parts(image)) == 1

untold(image) := "has no tag" if parts(image)[1] == ""

untold(image) := "has the tag `latest`" if parts(image)[1] == "latest"
