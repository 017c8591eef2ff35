//! Answers that were given before: the same question of the same published state has the same answer.
//!
//! Reading and writing messages costs more than everything else that an answer takes, and hosts ask for the
//! same few names again and again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::traffic::Published;

/// The most answers that are kept; a socket's take about a mebibyte then.
const LIMIT: usize = 1_024;

/// The longest question and answer that are kept, in bytes: without EDNS no answer over UDP is longer.
const LONGEST: usize = 512;

/// Answers by question, each without its first two bytes, the id.
#[derive(Debug, Default)]
pub(super) struct Known {
    published: Option<Arc<Published>>,
    answers: HashMap<Vec<u8>, Vec<u8>>,
}

impl Known {
    /// Returns the answer to a question, if it was given of this published state.
    pub(super) fn answer(&mut self, published: Option<&Arc<Published>>, question: &[u8]) -> Option<Vec<u8>> {
        let same = match (&self.published, published) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.published = published.cloned();
            self.answers.clear();
        }
        let (id, rest) = question.split_at_checked(2)?;
        self.answers.get(rest).map(|answer| [id, answer].concat())
    }

    /// Keeps the answer to a question that [`Known::answer`] did not have.
    pub(super) fn keep(&mut self, question: &[u8], answer: &[u8]) {
        let (Some((_, question)), Some((_, answer))) = (question.split_at_checked(2), answer.split_at_checked(2)) else { return };
        if question.len() > LONGEST || answer.len() > LONGEST {
            return;
        }
        // Random names are no reason to grow; what is really asked for is soon there again.
        if self.answers.len() >= LIMIT {
            self.answers.clear();
        }
        self.answers.insert(question.to_vec(), answer.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(generation: u64) -> Arc<Published> {
        Arc::new(Published::empty("cluster.local", generation))
    }

    #[test]
    fn an_answer_is_given_again_under_the_id_of_who_asks() {
        let (mut known, state) = (Known::default(), published(1));
        assert_eq!(known.answer(Some(&state), b"12question"), None);
        known.keep(b"12question", b"12answer");
        assert_eq!(known.answer(Some(&state), b"34question"), Some(b"34answer".to_vec()));
        assert_eq!(known.answer(Some(&state), b"34other"), None);
        assert_eq!(known.answer(Some(&state), b"3"), None);
    }

    #[test]
    fn another_published_state_has_other_answers() {
        let mut known = Known::default();
        let (before, after) = (published(1), published(1));
        known.answer(Some(&before), b"12question");
        known.keep(b"12question", b"12answer");
        for state in [Some(&after), None, Some(&before)] {
            assert_eq!(known.answer(state, b"12question"), None);
        }
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let (mut known, state) = (Known::default(), published(1));
        known.answer(Some(&state), b"12");
        for number in 0..3 * LIMIT {
            known.keep(format!("12{number}").as_bytes(), b"12answer");
        }
        known.keep(&[b'1'; LONGEST + 3], b"12answer");
        known.keep(b"12question", &[b'1'; LONGEST + 3]);
        assert!(known.answers.len() <= LIMIT);
        assert!(known.answers.keys().chain(known.answers.values()).all(|bytes| bytes.len() <= LONGEST));
    }
}
