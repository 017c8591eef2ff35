//! Files that were changed inside of containers: asked of the engine on request, and answered as drift.

use crate::docker::{Docker, FileChange};
use crate::plan::{Drift, DriftField, DriftKind};

use super::answer::{Question, Reply};
use super::application::chain;
use super::now;
use super::protocol::Answer;

/// So many files of a replica are listed.
const MOST: usize = 100;

/// Answers questions about drift with the files that were changed inside of the containers.
pub(super) async fn answer(docker: Docker, questions: Vec<Result<Question, Answer>>, reply: Reply) {
    for question in questions {
        let answer = match question {
            Ok(question) => with_files(&docker, question).await,
            Err(answer) => answer,
        };
        let _ = reply.send(answer);
    }
    let _ = reply.send(Answer::Done { exit_code: 0, message: String::new() });
}

async fn with_files(docker: &Docker, question: Question) -> Answer {
    let replicas = question.observed.live.replicas(&question.desired.installation.owner, &question.desired.application);
    let replicas: Vec<(String, crate::name::ObjectId)> = replicas
        .filter(|(container, _)| !container.leaving)
        .map(|(container, labels)| (container.id.clone(), labels.object.clone()))
        .collect();
    let mut drift = Vec::new();
    for (container, object) in replicas {
        match docker.changed_files(&container).await {
            Ok(files) if files.is_empty() => {}
            Ok(files) => {
                let surplus = files.len().saturating_sub(MOST);
                let mut fields: Vec<DriftField> = files.into_iter().take(MOST).map(field).collect();
                if surplus > 0 {
                    let actual = Some(format!("{surplus} more files"));
                    fields.push(DriftField { path: "files".to_owned(), expected: None, actual });
                }
                let (kind, object) = (object.kind.to_string(), object.to_string());
                drift.push(Drift { object, kind, what: DriftKind::Changed, fields, since: None, healed: false });
            }
            Err(error) => {
                let hint = error.hint().map(str::to_owned);
                return Answer::Error { class: error.class(), messages: chain(&error), hint };
            }
        }
    }
    let mut answer = question.answer(false, now());
    answer.plan.drift.extend(drift);
    Answer::Plan(Box::new(answer))
}

fn field((path, change): (String, FileChange)) -> DriftField {
    let image = || Some("as in the image".to_owned());
    let (expected, actual) = match change {
        FileChange::Changed => (image(), Some("changed".to_owned())),
        FileChange::Added => (None, Some("added".to_owned())),
        FileChange::Deleted => (image(), None),
    };
    DriftField { path: format!("files[{path}]"), expected, actual }
}
