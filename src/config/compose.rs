//! What flags say of Compose files alone.

use std::collections::BTreeMap;

use crate::desired::{Compose, External};

use super::select::SettingFlags;

/// Returns the settings that only Compose files look at.
pub(super) fn settings(flags: &SettingFlags) -> Compose {
    let external = match &flags.secrets_folder {
        Some(path) => External::Folder { path: path.clone(), files: BTreeMap::new() },
        None => External::Unknown,
    };
    Compose {
        fronts: flags.fronts,
        variables: flags.variables.iter().cloned().collect(),
        profiles: flags.profiles.iter().cloned().collect(),
        data_root: flags.data_root.clone(),
        external,
        exposed: BTreeMap::new(),
    }
}

/// The engine knows no working folder, so a relative path counts from here and now.
pub(super) fn absolute(text: &str) -> Result<String, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|_| "is not UTF-8".to_owned())
}

/// Reads `KEY=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        // It may hold what is nobody's business.
        _ => Err("is not written as KEY=VALUE".to_owned()),
    }
}
