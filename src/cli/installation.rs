//! Which installation this is, before anything is done in its name.

use std::collections::BTreeSet;

use crate::config::{Flags, State};
use crate::desired::Installation;
use crate::docker::Docker;
use crate::name::Name;
use crate::serve;

use super::error::Error;

/// Returns the installation: whom the flag or the state folder names, else the only one that the engine
/// knows, else a new one, which is remembered. The caller holds the lock of the state folder.
///
/// # Errors
///
/// If the engine has to be asked and does not answer, or knows several.
pub(super) async fn settle(flags: &Flags, state: &mut State) -> Result<Installation, Error> {
    if flags.owner.is_some() || state.has_owner() {
        let owner = state.settle_owner(flags.owner.as_ref(), &BTreeSet::new())?;
        return Ok(installation(flags, state, owner));
    }
    // Whose objects are on the engine is asked in nobody's name.
    let nobody = Name::try_from("nobody").expect("letters only");
    let docker = Docker::connect(flags.docker.as_deref(), &installation(flags, state, nobody)).await?;
    let owner = state.settle_owner(None, &docker.owners().await?)?;
    Ok(installation(flags, state, owner))
}

/// Returns how the data path is run for an owner.
pub(super) fn data_path(flags: &Flags, owner: &Name) -> serve::Options {
    serve::Options::new(owner.clone(), &flags.state, flags.dns)
}

fn installation(flags: &Flags, state: &State, owner: Name) -> Installation {
    Installation { owner, domain: flags.zone.clone(), layout: flags.layout(), key: state.key.clone() }
}
