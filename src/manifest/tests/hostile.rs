//! Files that are meant to hurt: each ends in a finding, soon, and nothing panics.

use proptest::prelude::*;

use crate::manifest::Entry;
use crate::manifest::load::MAX_BYTES;

use super::*;

/// Returns the first line of what is found in a file of its own.
fn first(text: &str) -> String {
    let found = lines(&findings(&Tree::of([("a.yaml", text)])));
    found.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn bombs_stop() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(
        first(&bomb),
        "a.yaml:6:20: aliases copy too much: written out, this document would be huge -> write out what is meant, with fewer aliases within one another"
    );

    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for level in 1..30 {
        merges.push_str(&format!("a{level}: &a{level} {{x{level}: *a{0}, y{level}: *a{0}}}\n", level - 1));
    }
    assert_eq!(
        first(&merges),
        "a.yaml:17:28: aliases copy too much: written out, this document would be huge -> write out what is meant, with fewer aliases within one another"
    );

    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1_000].join(", "));
    assert!(first(&text).ends_with("aliases copy too much: written out, this document would be huge -> write out what is meant, with fewer aliases within one another"), "{}", first(&text));
}

#[test]
fn variables_that_double_one_another_stop() {
    let mut env = "        - {name: A0, value: xxxxxxxxxx}\n".to_owned();
    for level in 1..40 {
        env.push_str(&format!("        - {{name: A{level}, value: $(A{0})$(A{0})}}\n", level - 1));
    }
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\nspec:\n  selector: {{matchLabels: {{a: a}}}}\n  template:\n    \
         metadata: {{labels: {{a: a}}}}\n    spec:\n      containers:\n      - name: a\n        image: a:1\n        env:\n{env}"
    );
    assert_eq!(first(&text), "a.yaml:27:18: the text has more than 131072 bytes once its variables are put in");
}

#[test]
fn deep_nesting_stops() {
    let flow = "is not valid YAML: recursion limit exceeded";
    let deep = "lists and maps are nested more than 100 deep";
    let block: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for (text, message) in [
        ("[".repeat(100_000), flow),
        ("{a: ".repeat(100_000), flow),
        ("- ".repeat(100_000), deep),
        ("? ".repeat(100_000), deep),
        (block, deep),
    ] {
        assert!(first(&text).ends_with(message), "{}", first(&text));
    }
    // Just within the limit, and through an alias just beyond it.
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(!lines(&findings(&Tree::of([("a.yaml", format!("a: {}", nested(99)).as_str())]))).contains("deep"));
    let through = format!("a: &a {}\nb: [[*a]]\n", nested(98));
    assert!(first(&through).ends_with(deep), "{}", first(&through));
}

#[test]
fn too_large_files_are_refused_unread() {
    let text = "a: b\n".repeat(MAX_BYTES / 5 + 1);
    assert_eq!(
        first(&text),
        "a.yaml: the file has 8388610 bytes, more than the 8388608 that a manifest may have -> split it, or move data out of the manifests"
    );
    let mut tree = Tree::default();
    tree.files.insert("a.yaml".to_owned(), Entry::TooLarge { size: 50_000_000 });
    let found = lines(&findings(&tree));
    assert_eq!(
        found,
        "a.yaml: the file has 50000000 bytes, more than the 8388608 that a manifest may have -> split it, or move data out of the manifests\n"
    );
}

#[test]
fn files_of_too_many_values_are_not_read_to_their_end() {
    let message =
        "the manifests up to here have 500000 values or more; what follows is not read -> split it, or move data out of the manifests";
    assert!(first(&format!("[{}]", "a,".repeat(500_001))).ends_with(message));
}

#[test]
fn a_file_that_is_wrong_everywhere_does_not_bury_the_others() {
    let wrong = "---\na: 1\n".repeat(5_000);
    let found = findings(&Tree::of([("a.yaml", wrong.as_str()), ("b.yaml", "kind: x\n")]));
    assert_eq!(found.len(), 102);
    assert_eq!(lines(&found[..1]), "a.yaml: the file has 100 errors or more; those after the first 100 are not shown\n");
    assert_eq!(found[101].place.file, "b.yaml");
}

/// A manifest with a bit of everything, to be damaged.
const VICTIM: &str = include_str!("shop.yaml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_manifests_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, any::<char>()), 1..6)) {
        const PIECES: [&str; 11] = ["\n", "  ", ": ", "- ", "&a ", "*a", "<<: ", "{", "]", "\"", "---\n"];
        let mut text: Vec<char> = VICTIM.chars().collect();
        for (index, piece, character) in edits {
            let at = index.index(text.len());
            match PIECES.get(piece) {
                Some(piece) => { text.splice(at..at, piece.chars()); }
                None => text[at] = character,
            }
        }
        let text: String = text.into_iter().collect();
        let found = findings(&Tree::of([("a.yaml", text.as_str())]));
        let source = |_: &str| Some(text.as_str());
        let shown = crate::report::findings_text(&found, &source, crate::report::Paint::Plain);
        prop_assert!(!shown.contains("hunter2"), "{shown}");
    }
}
