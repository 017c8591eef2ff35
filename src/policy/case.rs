//! Tests of rules: every `test_…` of some folders, as OPA and Conftest run them.

use std::path::PathBuf;
use std::time::Duration;

use regorus::Value;

use crate::finding::{Finding, Place};

use super::rules::Rules;
use super::source;

/// So long may one test take.
const LIMIT: Duration = Duration::from_secs(10);

/// What running tests came to.
#[derive(Debug)]
pub struct Tested {
    /// The tests, file by file.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its package, as in `main`.
    pub package: String,
    /// Its name, as in `test_a_label_is_missing`.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
    /// What it printed.
    pub printed: Vec<String>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is true.
    Passed,
    /// It is anything else.
    Failed,
    /// It cannot be told, and why.
    Broken(String),
    /// It is not meant to be run: its name begins with `todo_`.
    Skipped,
}

impl Tested {
    /// Returns how many tests passed, and how many failed or broke.
    pub fn count(&self) -> (usize, usize) {
        let passed = self.cases.iter().filter(|case| case.outcome == Outcome::Passed).count();
        let skipped = self.cases.iter().filter(|case| case.outcome == Outcome::Skipped).count();
        (passed, self.cases.len() - passed - skipped)
    }
}

/// Runs all tests of some folders, which see one another's rules.
///
/// # Errors
/// Everything that keeps the rules from being read.
pub fn test(folders: &[PathBuf]) -> Result<Tested, Vec<Finding>> {
    let mut files = Vec::new();
    for folder in folders {
        files.extend(source::read(folder, true)?);
    }
    let mut rules = Rules::compile(&files)?;
    rules.limit(LIMIT);
    rules.set_input(Value::new_object());
    let mut cases: Vec<Case> = Vec::new();
    for one in rules.definitions.clone() {
        let todo = one.name.starts_with("todo_test_");
        let known = cases.iter().any(|case| case.name == one.name && format!("data.{}", case.package) == one.package);
        if one.function || known || !(todo || one.name.starts_with("test_")) {
            continue;
        }
        let outcome = match todo {
            true => Outcome::Skipped,
            false => match rules.value(one.path()) {
                Ok(Value::Bool(true)) => Outcome::Passed,
                Ok(_) => Outcome::Failed,
                Err(problem) if problem.late => Outcome::Broken(format!("it took longer than {LIMIT:?}")),
                Err(problem) => Outcome::Broken(problem.message),
            },
        };
        let package = one.package.strip_prefix("data.").unwrap_or(&one.package).to_owned();
        cases.push(Case { package, name: one.name, place: one.place, outcome, printed: rules.printed() });
    }
    Ok(Tested { cases })
}
