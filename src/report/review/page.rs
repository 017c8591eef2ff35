//! Text of a bounded length: what does not fit is counted, never silently missing.

/// Returns as many rows as fit into `limit` bytes, and one that says how many are missing. It may be a few
/// bytes longer than `limit` if that is too short for anything.
///
/// `row` makes a row for a sentence.
pub(super) fn fit(rows: &[String], limit: usize, noun: &str, row: impl Fn(&str) -> String) -> String {
    let whole: usize = rows.iter().map(String::len).sum();
    if whole <= limit {
        return rows.concat();
    }
    let rest = |left: usize| row(&format!("… and {left} more {noun}: not shown, the comment would be too long; `-o json` has all"));
    let room = limit.saturating_sub(rest(rows.len()).len());
    let mut text = String::new();
    let mut taken = 0;
    for line in rows {
        if text.len() + line.len() > room {
            break;
        }
        text.push_str(line);
        taken += 1;
    }
    text + &rest(rows.len() - taken)
}

/// Returns the first `most` lines of a list, and one that counts the others.
pub(super) fn first(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        let left = lines.len() - most;
        lines.truncate(most);
        lines.push(format!("… and {left} more"));
    }
    lines
}

/// Returns a text that has at most `most` characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let rows: Vec<String> = (0..100).map(|number| format!("row {number:02}\n")).collect();
        let row = |text: &str| format!("{text}\n");
        assert_eq!(fit(&rows[..3], 100, "rows", row), "row 00\nrow 01\nrow 02\n");
        let text = fit(&rows, 120, "rows", row);
        assert!(text.len() <= 120, "{}", text.len());
        assert_eq!(
            text,
            "row 00\nrow 01\nrow 02\nrow 03\nrow 04\n… and 95 more rows: not shown, the comment would be too long; `-o json` has all\n"
        );
        assert!(fit(&rows, 0, "rows", row).starts_with("… and 100 more"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!((shorten("größe", 3).as_str(), shorten("größe", 5).as_str()), ("grö…", "größe"));
        assert_eq!(first(vec!["a".into(), "b".into(), "c".into()], 2), ["a", "b", "… and 1 more"]);
    }
}
