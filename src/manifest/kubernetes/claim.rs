//! PersistentVolumeClaim: a data volume.

use crate::manifest::cursor::Fields;
use crate::manifest::node::Value;

use super::quantity;

/// A data volume that is asked for.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Only one replica at a time may use it.
    pub single_writer: bool,
}

const LOCAL: &str = "a claim becomes a local volume of the engine; leave it out";

/// Decodes a claim's `spec`.
pub fn decode(object: &mut Fields<'_>) -> Claim {
    let spec = object.require("spec").and_then(|spec| {
        spec.fields(|fields| {
            let modes = fields.require("accessModes");
            let mut shared = false;
            for mode in modes.iter().flat_map(|modes| modes.items()) {
                match mode.text().as_ref().map(|text| text.value.as_str()) {
                    Some("ReadWriteMany" | "ReadOnlyMany") => shared = true,
                    Some("ReadWriteOnce" | "ReadWriteOncePod") | None => {}
                    Some(other) => mode.error_with(
                        "unsupported-value",
                        format!("cannot be `{}`", other.escape_debug()),
                        "supported: `ReadWriteOnce`, `ReadWriteOncePod`, `ReadWriteMany`, `ReadOnlyMany`",
                    ),
                }
            }
            if let Some(modes) = modes.filter(|modes| matches!(&modes.node().value, Value::List(items) if items.is_empty())) {
                modes.error("missing-field", "is empty");
            }
            if let Some(resources) = fields.require("resources") {
                resources.fields(|fields| {
                    if let Some(requests) = fields.require("requests") {
                        requests.fields(storage);
                    }
                    fields.refuse(&[("limits", LOCAL)]);
                });
            }
            fields.only("volumeMode", &Value::Text("Filesystem".to_owned()), "volumes are folders");
            fields.refuse(&[
                ("storageClassName", LOCAL),
                ("volumeName", LOCAL),
                ("selector", LOCAL),
                ("dataSource", LOCAL),
                ("dataSourceRef", LOCAL),
                ("volumeAttributesClassName", LOCAL),
            ]);
            shared
        })
    });
    Claim { single_writer: !spec.unwrap_or(false) }
}

fn storage(fields: &mut Fields<'_>) {
    let Some(field) = fields.require("storage") else { return };
    match quantity::of(&field) {
        Some(amount) if amount <= 0 => field.error("out-of-range", "must be more than nothing"),
        Some(_) => field.sink.note("not-enforced", field.span(), "the size of a volume is not enforced: it may grow as far as the disk"),
        None => {}
    }
}
