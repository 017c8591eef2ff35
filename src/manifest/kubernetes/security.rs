//! `securityContext`: users, groups and rights, of the replica and of its container.

use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Value};

/// Users and rights of a container.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// The user's number.
    pub user: Option<i64>,
    /// The group's number, and where it is written.
    pub group: Option<Located<i64>>,
    /// It must not run as root, and where that is written.
    pub non_root: Option<Located<bool>>,
    /// Further groups (replica only).
    pub groups: Vec<u32>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// All capabilities and devices.
    pub privileged: bool,
    /// No privilege can be gained by executing a file.
    pub no_new_privileges: bool,
    /// Added capabilities.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
}

const WINDOWS: &str = "containers run on Linux";
const LABELS: &str = "the engine's own labelling counts";

/// Decodes a replica's `securityContext`.
pub fn replica(fields: &mut Fields<'_>) -> Security {
    let Some(field) = fields.get("securityContext") else { return Security::default() };
    let decode = |fields: &mut Fields<'_>| {
        let mut security = identity(fields);
        let groups = fields.items("supplementalGroups");
        security.groups = groups.iter().filter_map(|group| group.integer(0..=ID)).filter_map(|id| u32::try_from(id).ok()).collect();
        security.groups.sort_unstable();
        security.groups.dedup();
        fields.only("supplementalGroupsPolicy", &Value::Text("Merge".to_owned()), "groups of the image are kept");
        fields.refuse(&[
            ("fsGroup", "a volume has the owner that the image gives its folder; start as root and change it, or write `runAsUser`"),
            ("fsGroupChangePolicy", "a volume has the owner that the image gives its folder"),
            ("sysctls", "the engine's own settings count"),
            ("seLinuxChangePolicy", LABELS),
        ]);
        security
    };
    field.fields(decode).unwrap_or_default()
}

/// Decodes a container's `securityContext`.
pub fn container(fields: &mut Fields<'_>) -> Security {
    let Some(field) = fields.get("securityContext") else { return Security::default() };
    let decode = |fields: &mut Fields<'_>| {
        let mut security = identity(fields);
        security.read_only = fields.flag("readOnlyRootFilesystem");
        security.privileged = fields.flag("privileged");
        security.no_new_privileges = fields.get("allowPrivilegeEscalation").and_then(|field| field.flag()) == Some(false);
        if let Some(field) = fields.get("capabilities") {
            let lists = field.fields(|fields| (capabilities(fields.get("add")), capabilities(fields.get("drop"))));
            (security.cap_add, security.cap_drop) = lists.unwrap_or_default();
        }
        fields.only("procMount", &Value::Text("Default".to_owned()), "`/proc` is masked as the engine does it");
        security
    };
    field.fields(decode).unwrap_or_default()
}

/// The largest number of a user or group.
const ID: i64 = i32::MAX as i64;

fn identity(fields: &mut Fields<'_>) -> Security {
    let number = |field: Cursor<'_>| Some(Located { value: field.integer(0..=ID)?, span: field.span() });
    let security = Security {
        user: fields.integer("runAsUser", 0..=ID),
        group: fields.get("runAsGroup").and_then(number),
        non_root: fields.get("runAsNonRoot").and_then(|field| Some(Located { value: field.flag()?, span: field.span() })),
        ..Security::default()
    };
    for name in ["seccompProfile", "appArmorProfile"] {
        if let Some(field) = fields.get(name) {
            field.fields(|fields| {
                let default = Value::Text("RuntimeDefault".to_owned());
                fields.only("type", &default, "the engine's own profile counts");
                fields.refuse(&[("localhostProfile", "the engine's own profile counts")]);
            });
        }
    }
    fields.refuse(&[("seLinuxOptions", LABELS), ("windowsOptions", WINDOWS)]);
    security
}

/// Capabilities in upper case without `CAP_`, sorted, each once.
fn capabilities(field: Option<Cursor<'_>>) -> Vec<String> {
    let mut names = Vec::new();
    for item in field.iter().flat_map(|field| field.items()) {
        let Some(text) = item.filled() else { continue };
        let upper = text.value.to_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
            item.error("bad-name", format!("is not a capability: `{}`", text.value.escape_debug()));
        }
        names.push(name.to_owned());
    }
    names.sort();
    names.dedup();
    names
}
