//! Runs the round scripts in `tests/rounds`: each file holds commands and the output that users see.
//! With `UPDATE=1` the files are rewritten.

use std::fs;
use std::path::Path;

use super::script;

#[test]
fn round_scripts_say_what_they_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rounds");
    let mut files: Vec<_> = fs::read_dir(folder).expect("the folder of scripts").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut changed = Vec::new();
    for file in files {
        let before = fs::read_to_string(&file).expect("a script");
        let after = std::panic::catch_unwind(|| script::run(&before)).unwrap_or_else(|_| panic!("in {}", file.display()));
        if before == after {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, after).expect("rewritten");
        } else {
            changed.push(format!("{}:\n{}", file.display(), first_difference(&before, &after)));
        }
    }
    assert!(changed.is_empty(), "{}\n(UPDATE=1 rewrites)", changed.join("\n"));
}

fn first_difference(before: &str, after: &str) -> String {
    let differs = before.lines().zip(after.lines()).position(|(old, new)| old != new).unwrap_or(0);
    let part = |text: &str| text.lines().skip(differs.saturating_sub(2)).take(8).collect::<Vec<_>>().join("\n");
    format!("--- expected, line {}\n{}\n--- now\n{}", differs + 1, part(before), part(after))
}
