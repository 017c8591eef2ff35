//! `$(VAR)` in commands, arguments and variables (Kubernetes, "Define dependent environment
//! variables"): `$$` is a dollar sign, and what is not known stays as it is written.

use crate::desired::{Part, Text};

/// Linux takes no longer argument or variable (`MAX_ARG_STRLEN`), and references that double one
/// another would otherwise grow without end.
pub const MOST: usize = 128 << 10;

/// Replaces references. `None` if the result has more than [`MOST`] bytes.
pub fn expand<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v Text>) -> Option<Text> {
    let mut result = Text::default();
    let mut literal = String::new();
    let mut size = 0;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        literal.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            literal.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match lookup(name) {
                Some(value) => {
                    result.push(&Text::literal(std::mem::take(&mut literal)));
                    result.push(value);
                    size += length(value);
                }
                None => literal.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            literal.push('$');
        }
        if size + literal.len() > MOST {
            return None;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        result.push(&Text::literal(literal));
    }
    result.0.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
    (length(&result) <= MOST).then_some(result)
}

/// Returns how many bytes a text has; computed pieces count as a little.
pub fn length(text: &Text) -> usize {
    let size = |part: &Part| match part {
        Part::Literal(literal) => literal.len(),
        Part::Secret(secret) => secret.expose().len(),
        Part::Field(_) => 64,
    };
    text.0.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_as_kubernetes_documents() {
        let value = Text::literal("v");
        let lookup = |name: &str| (name == "A" || name == "a b").then_some(&value);
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "v"),
            ("x$(A)y$(A)z", "xvyvz"),
            ("$(a b)", "v"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$v"),
            ("$$$$(A)", "$$(A)"),
            ("$$", "$"),
            ("$", "$"),
            ("a$", "a$"),
            ("$(A", "$(A"),
            ("$A", "$A"),
            ("$()", "$()"),
            ("$(B)$(A)", "$(B)v"),
            ("$($(A))", "$($(A))"),
            ("ü$(A)$ü", "üv$ü"),
        ] {
            let expanded = expand(text, lookup).expect("short enough");
            assert_eq!(expanded.resolve(|_| String::new()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn growth_has_an_end() {
        let value = Text::literal("x".repeat(1000));
        assert!(expand(&"$(A)".repeat(131), |_| Some(&value)).is_some());
        assert!(expand(&"$(A)".repeat(132), |_| Some(&value)).is_none());
    }
}
