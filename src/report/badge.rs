//! A badge: one application's state in two boxes, as SVG, for shields.io, and as Markdown to paste.
//!
//! It says in two words what `status` says, and never more than that is true: a rollback is RolledBack,
//! a refused revision Refused, whatever else is healthy. Widths are measured here, so the text fits its
//! box in any viewer.

use serde::Serialize;

use crate::plan::{Health, Sync};

use super::{ApplicationStatus, word};

/// Argo CD's colors for states, which people know from its badges.
const GOOD: &str = "#0b612a";
const BAD: &str = "#a72e26";
const BEHIND: &str = "#bd7300";
const MOVING: &str = "#103d66";
const UNKNOWN: &str = "#731f4d";
const SUSPENDED: &str = "#29343d";

/// So many characters of a name or message are shown; the title has all of it.
const LONGEST: usize = 40;

/// Advance widths of ` ` to `~` in DejaVu Sans, in 1/2048 of the font's size; Verdana's hardly differ.
#[rustfmt::skip]
const WIDTHS: [u32; 95] = [
    651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690,
    1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087,
    2048, 1401, 1405, 1430, 1577, 1294, 1178, 1587, 1540, 604, 604, 1343, 1141, 1767, 1532, 1612,
    1235, 1612, 1423, 1300, 1251, 1499, 1401, 2025, 1403, 1251, 1403, 799, 690, 799, 1716, 1024,
    1024, 1255, 1300, 1126, 1300, 1260, 721, 1300, 1298, 569, 569, 1186, 569, 1995, 1298, 1253,
    1300, 1300, 842, 1067, 803, 1298, 1212, 1675, 1212, 1212, 1075, 1303, 690, 1303, 1716,
];
const EM: u32 = 2048;
/// The font's size, the space on each side of a text, and the height; in pixels.
const SIZE: u32 = 11;
const SPACE: u32 = 6;
const HEIGHT: u32 = 20;

/// What a badge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The left box: the application's name.
    pub label: String,
    /// The right box: its state.
    pub message: String,
    /// The whole, for whoever cannot see it.
    pub title: String,
    /// The color of the right box, as in `#0b612a`.
    pub color: &'static str,
    /// Somebody has to look at it.
    pub is_error: bool,
}

/// The schema of a shields.io endpoint: it rejects what it does not know, so nothing may be added here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    schema_version: u32,
    label: &'a str,
    message: &'a str,
    color: &'a str,
    is_error: bool,
}

impl Badge {
    /// Returns the badge of an application.
    pub fn of(status: &ApplicationStatus) -> Self {
        let health = format!("{:?}", status.health);
        let (message, color) = match (status.rolled_back, status.refused) {
            (true, _) if status.health == Health::Healthy => ("RolledBack".to_owned(), BAD),
            (true, _) => (format!("RolledBack, {health}"), BAD),
            (false, true) => (format!("Refused, {health}"), BAD),
            (false, false) => (format!("{:?}, {health}", status.sync), color(status.sync, status.health)),
        };
        let title = format!("{}: {}", word::subject(status.name.as_str(), &status.revision), word::status_verdict(status));
        let label = status.name.to_string();
        Badge { label, message, title, color, is_error: color == BAD }
    }

    /// Returns the badge of an application that nobody knows.
    pub fn not_found(name: &str) -> Self {
        let label = word::clean(name);
        Badge { title: format!("{label}: not found"), label, message: "not found".to_owned(), color: UNKNOWN, is_error: true }
    }
}

/// Returns a badge as SVG.
pub fn badge_svg(badge: &Badge) -> String {
    let (label, message) = (cut(&badge.label), cut(&badge.message));
    let (left_text, right_text) = (width(&label), width(&message));
    let (left, right) = (left_text + 2 * SPACE, right_text + 2 * SPACE);
    let whole = left + right;
    let title = word::markup(&badge.title);
    let color = badge.color;
    let text = |start: u32, long: u32, text: &str| {
        let text = word::markup(text);
        format!(r#"<text x="{}" y="14" textLength="{long}" lengthAdjust="spacingAndGlyphs">{text}</text>"#, start + SPACE)
    };
    let (label, message) = (text(0, left_text, &label), text(left, right_text, &message));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" viewBox="0 0 {whole} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title><clipPath id="round"><rect width="{whole}" height="{HEIGHT}" rx="3"/></clipPath><g clip-path="url(#round)"><rect width="{left}" height="{HEIGHT}" fill="#444c54"/><rect x="{left}" width="{right}" height="{HEIGHT}" fill="{color}"/></g><g fill="#fff" font-family="DejaVu Sans,Verdana,Geneva,sans-serif" font-size="{SIZE}">{label}{message}</g></svg>
"##
    )
}

/// Returns a badge for shields.io's endpoint, as one line of JSON.
pub fn badge_json(badge: &Badge) -> String {
    let Badge { label, message, color, is_error, .. } = badge;
    let document = Endpoint { schema_version: 1, label, message, color, is_error: *is_error };
    serde_json::to_string(&document).expect("it has text keys only") + "\n"
}

/// Returns what shows an application's badge in Markdown; `url` is where the agent is reached.
pub fn badge_markdown(application: &str, url: &str) -> String {
    let url = url.trim_end_matches('/');
    format!("[![{application}]({url}/badge/{application}.svg)]({url}/)\n")
}

fn color(sync: Sync, health: Health) -> &'static str {
    match (health, sync) {
        (Health::Degraded, _) => BAD,
        (Health::Missing | Health::Unknown, _) | (_, Sync::Unknown) => UNKNOWN,
        (Health::Progressing, _) => MOVING,
        (Health::Suspended, _) => SUSPENDED,
        (Health::Healthy, Sync::OutOfSync) => BEHIND,
        (Health::Healthy, Sync::Synced) => GOOD,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns how wide a text is, in whole pixels; a character that is not in the table takes a whole em.
fn width(text: &str) -> u32 {
    let of = |character: char| u32::from(character).checked_sub(32).and_then(|index| WIDTHS.get(index as usize)).copied().unwrap_or(EM);
    (text.chars().map(of).sum::<u32>() * SIZE).div_ceil(EM)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(rest: Value) -> ApplicationStatus {
        let mut whole = json!({"name": "shop", "revision": "3f2a9c1", "head": "3f2a9c1", "sync": "Synced", "health": "Healthy", "message": "",
            "rolledBack": false, "refused": false, "plan": "", "workloads": [], "held": [], "findings": [], "drift": 0});
        for (key, value) in rest.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).expect("a status")
    }

    #[test]
    fn a_badge_says_what_the_status_says() {
        for (rest, message, color, is_error) in [
            (json!({}), "Synced, Healthy", GOOD, false),
            (json!({"sync": "OutOfSync"}), "OutOfSync, Healthy", BEHIND, false),
            (json!({"sync": "OutOfSync", "health": "Progressing"}), "OutOfSync, Progressing", MOVING, false),
            (json!({"health": "Degraded"}), "Synced, Degraded", BAD, true),
            (json!({"health": "Missing"}), "Synced, Missing", UNKNOWN, false),
            (json!({"health": "Suspended"}), "Synced, Suspended", SUSPENDED, false),
            (json!({"sync": "Unknown", "health": "Unknown"}), "Unknown, Unknown", UNKNOWN, false),
            (json!({"sync": "OutOfSync", "rolledBack": true}), "RolledBack", BAD, true),
            (json!({"health": "Progressing", "rolledBack": true}), "RolledBack, Progressing", BAD, true),
            (json!({"sync": "OutOfSync", "refused": true}), "Refused, Healthy", BAD, true),
        ] {
            let badge = Badge::of(&status(rest));
            assert_eq!((badge.message.as_str(), badge.color, badge.is_error), (message, color, is_error));
        }
        assert_eq!(
            Badge::of(&status(json!({"head": "ab", "rolledBack": true}))).title,
            "shop at 3f2a9c1: Synced, Healthy, RolledBack from ab"
        );
    }

    #[test]
    fn boxes_are_as_wide_as_their_text() {
        // `iii` is 3 * 569 / 2048 em, at 11 pixels 9.2; `WWW` is 3 * 2025 / 2048 em, 32.6.
        assert_eq!((width(""), width("iii"), width("WWW"), width("ä")), (0, 10, 33, 11));
        let svg = badge_svg(&Badge { label: "iii".to_owned(), message: "WWW".to_owned(), ..Badge::not_found("x") });
        assert!(svg.contains(r#"width="67" height="20""#), "{svg}");
        assert!(svg.contains(r#"<rect x="22" width="45""#), "{svg}");
        assert!(svg.contains(r#"<text x="28" y="14" textLength="33""#), "{svg}");
    }

    #[test]
    fn a_name_cannot_leave_its_box() {
        let svg = badge_svg(&Badge::not_found("</title><script>\"'&\u{7}"));
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;&quot;&#39;&amp;"), "{svg}");
        let svg = badge_svg(&Badge::not_found(&"x".repeat(250)));
        assert!(svg.contains(&format!(">{}…</text>", "x".repeat(40))) && svg.contains(&"x".repeat(250)), "{svg}");
    }

    #[test]
    fn shields_is_told_what_its_schema_has_and_nothing_else() {
        let badge = Badge::of(&status(json!({})));
        let expected = r##"{"schemaVersion":1,"label":"shop","message":"Synced, Healthy","color":"#0b612a","isError":false}"##;
        assert_eq!(badge_json(&badge), format!("{expected}\n"));
        assert_eq!(badge_markdown("shop", "https://box.example/"), "[![shop](https://box.example/badge/shop.svg)](https://box.example/)\n");
    }
}
