//! `policy test`: runs the tests of rules, as OPA and Conftest do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::finding::Finding;
use crate::policy::{Case, Outcome, Tested, test};
use crate::report::{Ink, Paint, VERSION, findings_text};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::target::{Format, OutputFlags};

const EXAMPLES: &str = "Examples:
  driftless policy test policies/      the tests of the folder's rules
  driftless policy test -o json        of the folder of --policies, for programs

A test is a rule `test_…` in a file `*_test.rego`, and passes if it is true. One whose name begins with
`todo_test_` is skipped. It exits with 1 if a test fails, or if there is none.";

/// Test the policies that manifests are judged by
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(Test),
}

/// Run the tests of policies
///
/// They are rules of Rego beside the rules that they test, and need neither manifests nor an engine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Test {
    /// Folders of rules and their tests [default: that of --policies, else `policies`]
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputFlags,
}

pub(super) fn run(context: &Context, arguments: &Policy) -> Result<Exit, Error> {
    let Command::Test(arguments) = &arguments.command;
    let folders = match (&arguments.folders[..], &context.flags.policies) {
        ([], Some(folder)) => vec![folder.clone()],
        ([], None) => vec![PathBuf::from("policies")],
        (folders, _) => folders.to_vec(),
    };
    let tested = match test(&folders) {
        Ok(tested) => tested,
        Err(findings) => {
            context.ui.say(&unreadable(&findings, context.ui.err));
            return Err(Error::Policies { folders });
        }
    };
    if tested.cases.is_empty() {
        return Err(Error::NoTests { folders });
    }
    context.ui.data(&match arguments.output.output {
        Format::Text => text(&tested, context.ui.out),
        Format::Json => json(&tested),
        Format::Markdown => markdown(&tested),
    })?;
    Ok(if tested.count().1 > 0 { Exit::Act } else { Exit::Done })
}

/// Returns what is wrong with rules, with their lines.
fn unreadable(findings: &[Finding], paint: Paint) -> String {
    let text = |finding: &Finding| Some((finding.place.file.clone(), std::fs::read_to_string(&finding.place.file).ok()?));
    let texts: BTreeMap<String, String> = findings.iter().filter_map(text).collect();
    findings_text(findings, &|file| texts.get(file).map(String::as_str), paint)
}

/// Returns what is said of each test that did not pass, and how many there are.
fn text(tested: &Tested, paint: Paint) -> String {
    let mut text = String::new();
    for case in &tested.cases {
        let Case { place, name, .. } = case;
        let (word, ink) = match &case.outcome {
            Outcome::Passed => continue,
            Outcome::Skipped => ("skipped", Ink::Warn),
            Outcome::Failed | Outcome::Broken(_) => ("failed", Ink::Bad),
        };
        let _ = writeln!(text, "{} {name} ({}:{})", paint.ink(ink, word), place.file, place.line);
        for line in reason(&case.outcome).into_iter().chain(case.printed.iter().map(String::as_str)) {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "{}", summary(tested));
    text
}

fn summary(tested: &Tested) -> String {
    let (passed, failed) = tested.count();
    let skipped = match tested.cases.len() - passed - failed {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    format!("{passed} passed, {failed} failed{skipped}")
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Broken(reason) => Some(reason),
        _ => None,
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Broken(_) => "broken",
        Outcome::Skipped => "skipped",
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    passed: usize,
    failed: usize,
    tests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    package: &'a str,
    name: &'a str,
    file: &'a str,
    line: usize,
    result: &'static str,
    message: Option<&'a str>,
    printed: &'a [String],
}

impl<'a> Entry<'a> {
    fn of(case: &'a Case) -> Self {
        let Case { package, name, place, outcome, printed } = case;
        Entry { package, name, file: &place.file, line: place.line, result: word(outcome), message: reason(outcome), printed }
    }
}

fn json(tested: &Tested) -> String {
    let (passed, failed) = tested.count();
    let document = Document { version: VERSION, passed, failed, tests: tested.cases.iter().map(Entry::of).collect() };
    format!("{}\n", serde_json::to_string(&document).expect("it has only texts and numbers"))
}

fn markdown(tested: &Tested) -> String {
    let mut text = format!("{}\n", summary(tested));
    let failed = tested.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed | Outcome::Broken(_)));
    for (index, case) in failed.enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{gap}- `{}:{}`: **{}** `{}`", case.place.file, case.place.line, word(&case.outcome), case.name);
    }
    text
}
