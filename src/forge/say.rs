//! What is said to a forge, as values: the comment's marker, and what a commit's status says of a rollout.

use crate::hash::Key;
use crate::name::Name;
use crate::plan::{Health, Sync};
use crate::report::ApplicationStatus;
use crate::report::word::clean;

use super::client::State;

/// The longest description of a commit status, in characters (GitHub's limit).
const DESCRIPTION: usize = 140;

/// Returns the context of an application's commit statuses.
pub fn context(application: &Name) -> String {
    format!("driftless/{application}")
}

/// Returns the hidden first line by which an installation knows its own comment. Nobody can write it before
/// the installation has.
pub fn marker(key: &Key, application: &Name, repository: &str, number: u64) -> String {
    let digest = key.digest(format!("comment {application} {repository} {number}").as_bytes());
    format!("<!-- driftless {application} {} -->", &digest[..16])
}

/// What is said of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The commit.
    pub commit: String,
    /// Good, bad, or not known yet.
    pub state: State,
    /// Why, in at most 140 characters.
    pub description: String,
}

/// Returns what is to be said of the commit that an application's ref names now; `None` as long as nobody
/// knows.
pub fn rollout(host: &str, status: &ApplicationStatus) -> Option<Said> {
    let commit = status.head.clone();
    if commit.is_empty() || status.sync == Sync::Unknown {
        return None;
    }
    let good = status.sync == Sync::Synced && status.health == Health::Healthy && status.revision == commit;
    let why = |otherwise: &str| if status.message.is_empty() { otherwise.to_owned() } else { status.message.clone() };
    let (state, text) = match (status.refused || status.rolled_back, good) {
        (true, _) => (State::Failure, why("not taken")),
        (false, true) => (State::Success, "Synced and Healthy".to_owned()),
        (false, false) if status.health == Health::Degraded && status.revision == commit => (State::Failure, why("Degraded")),
        (false, false) => (State::Pending, why("rolling out")),
    };
    Some(Said { commit, state, description: describe(host, &text) })
}

/// Returns a description that a forge takes.
pub fn describe(host: &str, text: &str) -> String {
    let line = clean(&format!("{host}: {text}"));
    match line.char_indices().nth(DESCRIPTION) {
        Some(_) => line.chars().take(DESCRIPTION - 1).chain(['…']).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: impl FnOnce(&mut ApplicationStatus)) -> ApplicationStatus {
        let mut status = ApplicationStatus {
            name: Name::try_from("shop").expect("a name"),
            revision: "new".to_owned(),
            head: "new".to_owned(),
            sync: Sync::Synced,
            health: Health::Healthy,
            message: String::new(),
            rolled_back: false,
            refused: false,
            plan: String::new(),
            workloads: Vec::new(),
            held: Vec::new(),
            findings: Vec::new(),
            drift: 0,
        };
        change(&mut status);
        status
    }

    #[test]
    fn success_is_said_of_nothing_but_success() {
        let say = |change: fn(&mut ApplicationStatus)| rollout("box", &status(change)).map(|said| (said.state, said.description));
        let is = |state: State, text: &str| Some((state, format!("box: {text}")));
        assert_eq!(say(|_| {}), is(State::Success, "Synced and Healthy"));
        assert_eq!(say(|status| status.health = Health::Progressing), is(State::Pending, "rolling out"));
        assert_eq!(say(|status| status.sync = Sync::OutOfSync), is(State::Pending, "rolling out"));
        assert_eq!(say(|status| status.revision = "old".to_owned()), is(State::Pending, "rolling out"));
        assert_eq!(say(|status| status.health = Health::Suspended), is(State::Pending, "rolling out"));
        assert_eq!(say(|status| status.health = Health::Degraded), is(State::Failure, "Degraded"));
        assert_eq!(say(|status| status.sync = Sync::Unknown), None);
        assert_eq!(say(|status| status.head.clear()), None);
        let rolled_back = |status: &mut ApplicationStatus| {
            (status.rolled_back, status.revision, status.message) =
                (true, "old".to_owned(), "rolled back: web: no progress\nfor 10s".to_owned());
        };
        assert_eq!(say(rolled_back), is(State::Failure, "rolled back: web: no progress\\nfor 10s"));
        assert_eq!(
            say(|status| (status.refused, status.message) = (true, "refused: 1 error".to_owned())),
            is(State::Failure, "refused: 1 error")
        );
    }

    #[test]
    fn a_description_is_no_longer_than_forges_take() {
        assert_eq!(describe("box", &"ü".repeat(500)).chars().count(), DESCRIPTION);
        assert_eq!(describe("box", "short"), "box: short");
    }

    #[test]
    fn a_marker_is_of_one_installation_and_one_request() {
        let shop = Name::try_from("shop").expect("a name");
        let one = marker(&Key::new([1; 32]), &shop, "acme/shop", 1);
        assert!(one.starts_with("<!-- driftless shop ") && one.ends_with(" -->"), "{one}");
        assert_eq!(one, marker(&Key::new([1; 32]), &shop, "acme/shop", 1));
        assert_ne!(one, marker(&Key::new([2; 32]), &shop, "acme/shop", 1));
        assert_ne!(one, marker(&Key::new([1; 32]), &shop, "acme/shop", 2));
    }
}
