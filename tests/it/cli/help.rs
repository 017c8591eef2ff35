//! All help text in one snapshot, and the reference that must name every flag.

use std::collections::BTreeSet;

use driftless::cli::command;

use super::Place;

#[test]
fn help_is_written_for_people() {
    let place = Place::new();
    let mut text = String::new();
    let commands: Vec<String> = command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let without_globals =
        |arguments: &[&str]| String::from_utf8(place.command(arguments).output().expect("it runs").stdout).expect("UTF-8");
    for arguments in std::iter::once(vec!["--help"]).chain(commands.iter().map(|name| vec![name.as_str(), "-h"])) {
        text.push_str(&format!("$ driftless {}\n{}\n", arguments.join(" "), without_globals(&arguments)));
    }
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    insta::assert_snapshot!("help", text);
}

#[test]
fn every_argument_is_explained() {
    let mut command = command();
    command.build();
    for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
        assert!(subcommand.get_about().is_some() && subcommand.get_after_help().is_some(), "{} lacks words", subcommand.get_name());
        for argument in subcommand.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {} lacks words", subcommand.get_name(), argument.get_id());
        }
    }
}

#[test]
fn the_reference_names_every_flag_and_no_other() {
    let reference = include_str!("../../../docs/reference.md");
    let mut command = command();
    command.build();
    let all = command.get_subcommands().flat_map(|subcommand| subcommand.get_arguments()).chain(command.get_arguments());
    let built: BTreeSet<String> =
        all.filter(|argument| !argument.is_hide_set()).filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
    let letters = |text: &str| text.chars().take_while(|character| character.is_ascii_lowercase() || *character == '-').collect::<String>();
    let written: BTreeSet<String> = reference.split("`--").skip(1).map(letters).collect();
    let ours = |flags: &BTreeSet<String>| flags.iter().filter(|flag| *flag != "help" && *flag != "version").cloned().collect::<Vec<_>>();
    assert_eq!(ours(&written), ours(&built));
}
