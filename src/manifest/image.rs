//! Image references: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` (the grammar of the distribution project).

/// What of an image reference decides when it is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The tag as written.
    pub tag: Option<&'a str>,
    /// A digest is written.
    pub digest: bool,
}

/// Parses an image reference, or says what is wrong with it.
pub fn parse(text: &str) -> Result<Reference<'_>, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("the digest after `@` is not `sha256:` and 64 hexadecimal digits");
    }
    // A colon before the last slash belongs to the host's port.
    let (name, tag) = match rest.rfind(':') {
        Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("the tag after `:` may have up to 128 letters, digits, `_`, `.` and `-`, and begins with a letter, digit or `_`");
    }
    if name.is_empty() {
        return Err("there is no name");
    }
    if name.len() > 255 {
        return Err("the name has more than 255 characters");
    }
    let path = match name.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) || host.bytes().any(|b| b.is_ascii_uppercase()) => {
            if !is_host(host) {
                return Err("the part before the first `/` is not a registry's host name");
            }
            path
        }
        _ => name,
    };
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the name must be lower case");
    }
    if path.is_empty() || !path.split('/').all(is_component) {
        return Err(
            "each part of the name has lower-case letters and digits, with single `.`, `_`, `__` or any number of `-` between them",
        );
    }
    if path == name && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits are an image's id, not a name");
    }
    Ok(Reference { tag, digest: digest.is_some() })
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let hexadecimal = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hexadecimal && digits.len() == length
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128 && text.bytes().next().is_some_and(word) && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(at) if !text.ends_with(']') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = text.split(alphanumeric).filter(|between| !between.is_empty());
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_written_is_read_or_refused(text in "[a-zA-Z0-9./:@_é -]{0,80}") {
            if let Ok(reference) = parse(&text) {
                prop_assert!(reference.tag.is_none_or(|tag| text.contains(tag)));
            }
        }
    }

    #[test]
    fn references_follow_the_grammar() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, tag, has_digest) in [
            ("nginx", None, false),
            ("nginx:1.25", Some("1.25"), false),
            ("library/nginx:_x", Some("_x"), false),
            ("registry.example:5000/a/b_c/d__e-f--g:v1", Some("v1"), false),
            ("localhost/a", None, false),
            ("localhost:5000/a", None, false),
            ("Registry/a", None, false),
            ("[::1]:5000/a", None, false),
            (&format!("a:1@{digest}"), Some("1"), true),
            (&format!("a@{digest}"), None, true),
        ] {
            assert_eq!(parse(text), Ok(Reference { tag, digest: has_digest }), "{text}");
        }
        for text in [
            "",
            ":1",
            "Nginx",
            "a b",
            "a:",
            "a:-1",
            "a//b",
            "/a",
            "a/",
            "a/B",
            "a___b",
            "a..b",
            "-a",
            "a@sha256:00",
            "a@md5:00",
            "a:1:2",
            "http://a/b",
            "bad_host.x/a",
            &"a".repeat(64),
            &"a/".repeat(150),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
