use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::finding::Place;
use crate::report::markdown::{code, escape};

fn application(name: &str, plan: serde_json::Value, findings: Vec<Finding>) -> ApplicationReview {
    let mut whole = json!({"host": "", "rounds": [], "refused": false, "rolledBack": null, "plan": {"application": name, "revision": "r2",
        "id": "0a1b2c3d4e5f", "changes": [], "steps": [], "held": [], "deferred": [], "drift": [], "findings": [], "workloads": [], "failed": null}});
    for (key, value) in plan.as_object().expect("an object") {
        match key.as_str() {
            "rounds" => whole["rounds"] = value.clone(),
            key => whole["plan"][key] = value.clone(),
        }
    }
    ApplicationReview {
        name: Name::try_from(name).expect("a name"),
        folder: "deploy".to_owned(),
        answer: Some(serde_json::from_value(whole).expect("an answer")),
        findings,
        known: 2,
        unchanged: 7,
        interruptions: Vec::new(),
        caveats: Vec::new(),
        live: None,
    }
}

fn report(applications: Vec<ApplicationReview>) -> ReviewReport {
    ReviewReport { base: "a".repeat(40), head: "b".repeat(40), applications, untouched: 3, link: Some("https://git.example/b".to_owned()) }
}

fn changes(count: usize, value: &str) -> serde_json::Value {
    let field =
        json!({"path": format!("spec.template.spec.containers[web].env[{value}]"), "old": value, "new": value, "consequence": "recreates"});
    let change = |number: usize| json!({"object": format!("shop/Deployment/w{number}"), "action": "recreate", "reason": value, "fields": [field, field]});
    let serving: Vec<_> = (0..count).map(|number| json!([format!("shop/Deployment/w{number}"), 1])).collect();
    let steps: Vec<String> = (0..count).map(|number| format!("create shop/Deployment/w{number}/x7k2p")).collect();
    let held: Vec<String> = (0..count).map(|number| format!("shop/Deployment/w{number}/x7k2p: {value}")).collect();
    let rounds: Vec<_> = (0..2).map(|at| json!({"at": at * 1000, "steps": steps, "held": held, "serving": serving})).collect();
    json!({"changes": (0..count).map(change).collect::<Vec<_>>(), "rounds": rounds})
}

#[test]
fn five_thousand_objects_with_huge_values_fit_into_one_comment() {
    let value = "värde|`@everyone`<img>\n".repeat(10_000);
    let finding = Finding::warning("rule", Place::file(value.clone()), value.clone()).with_hint(value.clone());
    let mut one = application("shop", changes(5_000, &value[..200]), vec![finding; 200]);
    if let Some(answer) = &mut one.answer {
        answer.plan.changes[0].reason = value.clone();
        answer.plan.changes[0].fields[0].path = value.clone();
        answer.plan.changes[0].fields[0].new = Some(value.clone());
    }
    one.caveats = vec![value.clone(); 50];
    one.interruptions = vec![Interruption { object: "shop/Deployment/w1".to_owned(), millis: Some(1), reason: value }; 500];
    let text = review_markdown(&report(vec![one]));
    assert!(text.len() <= LONGEST, "{}", text.len());
    for shown in ["5000 recreated", "more lines of changes: not shown", "more interruptions: not shown", "more findings", "more notes"] {
        assert!(text.contains(shown), "{shown} is not in\n{}", &text[..4_000]);
    }
    assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
}

#[test]
fn a_thousand_applications_fit_into_one_comment() {
    let all = (0..1_000).map(|number| application(&format!("shop{number}"), changes(3, "x"), Vec::new())).collect();
    let text = review_markdown(&report(all));
    assert!(text.len() <= LONGEST, "{}", text.len());
    assert!(text.contains("more applications: not shown") && text.contains("1000 applications in detail: not shown"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_changes_fits_into_one_comment(
        applications in prop::collection::vec((0_usize..100, "(?s).{0,400}", 0_usize..50), 0..8)
    ) {
        let all = applications.into_iter().enumerate().map(|(index, (count, value, findings))| {
            let finding = Finding::error("rule", Place::file(value.clone()), value.clone());
            application(&format!("shop{index}"), changes(count, &value), vec![finding; findings])
        });
        let text = review_markdown(&report(all.collect()));
        prop_assert!(text.len() <= LONGEST);
        prop_assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
    }
}

#[test]
fn no_value_is_markup() {
    for (value, shown) in [
        ("a`b", "`a'b`"),
        ("`", "`'`"),
        ("", "` `"),
        ("a|b", "`a\\|b`"),
        // Behind a backslash the table's own parser would end the cell.
        ("a\\|b", "`a\\ \\|b`"),
        ("@ada", "`@ada`"),
        ("<img src=x>", "`<img src=x>`"),
        ("one\ntwo", "`one\\ntwo`"),
        ("\u{202e}evil", "`\\u{202e}evil`"),
    ] {
        assert_eq!(code(value), shown, "{value:?}");
    }
    for (text, shown) in [
        ("must be `a|b`", "must be `a\\|b`"),
        ("@ada, see #1", "@\u{200b}ada, see \\#\u{200b}1"),
        ("<img src=x> & [a](b)", "\\<img src=x\\> \\& \\[a\\](b)"),
        ("one ` <b>", "one \\` \\<b\\>"),
        ("`a` and ` <b>", "`a` and \\` \\<b\\>"),
        ("`a``<b>`", "`a` `<b>`"),
        ("``<b>``", "` `\\<b\\>` `"),
        ("**bold** __too__ ~~x~~", "\\*\\*bold\\*\\* \\_\\_too\\_\\_ \\~\\~x\\~\\~"),
        ("a\r\n# head", "a\\\\r\\\\n\\#\u{200b} head"),
        ("\\|", "\\\\\\|"),
    ] {
        assert_eq!(escape(text), shown, "{text:?}");
    }
}

#[test]
fn a_link_cannot_be_left() {
    let mut finding = Finding::warning("rule", Place { file: "a) [x](b/ü|.yaml".to_owned(), line: 3, column: 1, length: 0 }, "odd");
    let text = review_markdown(&report(vec![application("shop", json!({}), vec![finding.clone()])]));
    assert!(
        text.contains("- [`a) [x](b/ü\\|.yaml:3:1`](https://git.example/b/a%29%20%5Bx%5D%28b/%C3%BC%7C.yaml#L3): **warning** odd\n"),
        "{text}"
    );
    finding.place = Place::file("/etc/policies/a.rego");
    let text = review_markdown(&report(vec![application("shop", json!({}), vec![finding.clone()])]));
    assert!(text.contains("- `/etc/policies/a.rego`: **warning** odd\n"), "{text}");
    finding.place = Place::default();
    let text = review_markdown(&report(vec![application("shop", json!({}), vec![finding])]));
    assert!(text.contains("- **warning** odd\n"), "{text}");
}

#[test]
fn the_verdict_says_the_worst_first() {
    let change = json!([{"object": "shop/Deployment/w0", "action": "update", "reason": "", "fields": []}]);
    let status = json!([{"name": "shop/Deployment/w0", "desired": 2, "ready": 2, "updated": 2, "available": 2, "health": "Healthy", "message": "", "settled": true}]);
    let rounds = |least: usize| json!([{"at": 0, "steps": [], "held": [], "serving": [["shop/Deployment/w0", 2]]}, {"at": 1, "steps": [], "held": [], "serving": [["shop/Deployment/w0", least]]}]);
    let one = |least| application("shop", json!({"changes": change, "workloads": status, "rounds": rounds(least)}), Vec::new());
    let refused = |mut review: ApplicationReview| {
        review.answer = None;
        review.findings = vec![Finding::error("rule", Place::default(), "wrong")];
        review
    };
    let mut dark = one(0);
    dark.interruptions = vec![Interruption { object: "shop/Deployment/w0".to_owned(), millis: Some(2_300), reason: String::new() }];
    for (applications, verdict) in [
        (vec![], "nothing changes"),
        (vec![application("shop", json!({}), Vec::new())], "nothing changes"),
        (vec![one(2)], "shop: 1 object changes, 1 updated; no interruption"),
        (vec![one(1)], "shop: 1 object changes, 1 updated; least available 1 of 2 (shop/Deployment/w0)"),
        (vec![dark], "shop: 1 object changes, 1 updated; interrupts shop/Deployment/w0 for about 2.3s"),
        (vec![refused(one(2))], "1 application refused; 1 error"),
        (vec![one(2), refused(one(2))], "1 application refused; shop: 1 object changes, 1 updated; no interruption; 1 error"),
    ] {
        assert_eq!(report(applications).verdict(), verdict);
    }
}
