//! Policies: Rego rules in Conftest's conventions, asked of manifests as their author wrote them.
//!
//! `build` is the one way in the shell from files to a desired state: `check`, `plan`, `apply`, the agent and
//! reviews all go through it, so there is one verdict and nobody gets past it. What the rules say becomes
//! findings like any other. This room reads rules from folders of the host; it never reads them from
//! the repository that is judged.

mod bench;
mod case;
mod input;
mod problem;
mod rules;
mod shipped;
mod source;
mod text;

use std::path::PathBuf;

use crate::desired::Desired;
use crate::finding::Finding;
use crate::manifest::{Context, Tree, judged};

use bench::Bench;

pub use case::{Case, Outcome, Tested, test};
pub use shipped::{SHIPPED, Shipped};

/// How much the rules weigh that driftless brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    /// They warn.
    #[default]
    Default,
    /// Those that keep an application from taking over the host deny, the others warn.
    Baseline,
    /// They deny.
    Restricted,
    /// They are not asked.
    Privileged,
}

/// What an application's manifests are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// How much the shipped rules weigh.
    pub enforce: Enforce,
    /// Folders of the installation's own rules. Their `deny` denies whatever `enforce` says.
    pub folders: Vec<PathBuf>,
    /// Folders of the host that applications may mount, instead of the usual ones.
    pub host_paths: Option<Vec<String>>,
    /// The manifests come from a fork: somebody wrote them who may not write to the repository. The rules
    /// of the baseline then deny whatever else is set, and no exception helps.
    pub fork: bool,
    /// The revision was taken before and runs: what would deny only warns, because it must be kept as it is
    /// until somebody mends it.
    pub taken: bool,
}

/// Rules may call one another deeply, and each call takes much of the stack.
const STACK: usize = 64 << 20;

/// Builds the desired state that a folder of manifests asks for, if the policies let it pass.
///
/// It reads rules and evaluates them, which can take seconds: not for the thread of an event loop.
///
/// # Errors
/// All findings, if any of them is an error, in the order of files and lines.
pub fn build(tree: &Tree, context: &Context, policy: &Policy) -> Result<Desired, Vec<Finding>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy".to_owned()).stack_size(STACK);
        let judge = || judged(tree, context, &Bench::new(policy, context));
        match thread.spawn_scoped(scope, judge).expect("threads can be started").join() {
            Ok(built) => built,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests;
