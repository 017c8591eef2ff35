//! Flags that only Compose files look at; they have the names and defaults of an Application's fields.

use std::collections::BTreeMap;

use clap::Args;

use crate::desired::{Compose, External};

/// Flags that only Compose files look at.
#[derive(Debug, Clone, Args)]
pub struct ComposeFlags {
    /// Compose: a front for each service that declares a port
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub fronts: bool,

    /// Compose: folder of relative bind mounts that are not in the repository [default: STATE/data/APP]
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    pub data_root: Option<String>,

    /// Compose: folder with external configs and secrets, one file each
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    pub secrets_folder: Option<String>,

    /// Compose: what interpolation may see besides the repository's .env; once for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,

    /// Compose: profiles that are enabled, with commas in between
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub profiles: Vec<String>,
}

impl ComposeFlags {
    /// Returns the settings.
    pub(super) fn settings(&self) -> Compose {
        let external = match &self.secrets_folder {
            Some(path) => External::Folder { path: path.clone(), files: BTreeMap::new() },
            None => External::Unknown,
        };
        Compose {
            fronts: self.fronts,
            variables: self.variables.iter().cloned().collect(),
            profiles: self.profiles.iter().cloned().collect(),
            data_root: self.data_root.clone(),
            external,
            exposed: BTreeMap::new(),
        }
    }
}

/// The engine knows no working folder, so a relative path counts from here and now.
fn absolute(text: &str) -> Result<String, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|_| "is not UTF-8".to_owned())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        // It may hold what is nobody's business.
        _ => Err("is not written as KEY=VALUE".to_owned()),
    }
}
