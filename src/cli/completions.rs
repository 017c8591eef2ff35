//! `completions`: what a shell needs to complete this command line.

use clap::Args;
use clap_complete::Shell;

use super::Context;
use super::error::Error;
use super::exit::Exit;

const EXAMPLES: &str = "Examples:
  driftless completions bash > /etc/bash_completion.d/driftless
  driftless completions zsh > \"${fpath[1]}/_driftless\"
  driftless completions fish > ~/.config/fish/completions/driftless.fish";

/// Print completions for a shell
///
/// The script is for the version that prints it: print it again after an upgrade.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// Shell
    #[arg(value_name = "SHELL", value_parser = shell)]
    shell: Shell,
}

fn shell(text: &str) -> Result<Shell, String> {
    match text {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("write bash, zsh or fish".to_owned()),
    }
}

pub(super) fn run(context: &Context, arguments: &Completions) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "driftless", &mut script);
    context.ui.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
