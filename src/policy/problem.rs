//! What the interpreter says, taken apart: it tells places and reasons in one text.

use std::error::Error;

use regorus::LimitError;

use crate::finding::Place;

/// What is wrong with a rule.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// Where, if the interpreter says so.
    pub(super) place: Option<Place>,
    /// What, on one line.
    pub(super) message: String,
    /// It took longer than it may.
    pub(super) late: bool,
}

impl Problem {
    /// Reads what the interpreter says: `--> FILE:LINE:COLUMN`, the line, and `error: MESSAGE`; warnings may
    /// stand before.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Problem {
        let late = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }));
        Problem { late, ..Problem::read(&error.to_string()) }
    }

    fn read(text: &str) -> Problem {
        let (before, message) = text.split_once("\nerror: ").unwrap_or(("", text));
        let place = before.rsplit_once("--> ").and_then(|(_, after)| place(after.lines().next()?));
        let message = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        Problem { place, message, late: false }
    }
}

fn place(text: &str) -> Option<Place> {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next()?.trim().parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(Place { file: parts.next()?.to_owned(), line, column, length: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_and_reason_are_told_apart() {
        let text = "\n--> d.rego:2:19\n  |\n2 | deny contains msg if { x := \n  |                   ^\nwarning: `if` will be treated so\n\
                    --> /etc/a:b/d.rego:2:22\n  |\n2 | deny contains msg if { x := \n  |                      ^\nerror: expecting }";
        let problem = Problem::read(text);
        assert_eq!(problem.place, Some(Place { file: "/etc/a:b/d.rego".to_owned(), line: 2, column: 22, length: 1 }));
        assert_eq!(problem.message, "expecting }");
        assert_eq!(
            Problem::read("not a valid rule path"),
            Problem { place: None, message: "not a valid rule path".to_owned(), late: false }
        );
    }
}
