//! Where documents are judged: the shipped rules and the installation's own are asked about each, and
//! what they say becomes findings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regorus::Value;

use crate::finding::{Finding, Severity};
use crate::manifest::Context;
use crate::manifest::judge::{Document, Judge};
use crate::manifest::sink::Sink;

use super::problem::Problem;
use super::rules::{LIMIT, Rule, Rules};
use super::{Enforce, Policy, input, shipped, source};

/// So long may one rule take for all documents of an application.
const TOTAL: Duration = Duration::from_secs(10);

/// Judges the documents of one application.
pub(super) struct Bench<'a> {
    policy: &'a Policy,
    /// The application's own folder on the host.
    data_root: Option<&'a str>,
}

/// Rules that are asked, and who they are.
struct Asked {
    rules: Rules,
    own: bool,
    /// How long each rule took so far, and whether it was stopped.
    spent: RefCell<BTreeMap<String, (Duration, bool)>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(policy: &'a Policy, context: &'a Context) -> Self {
        Bench { policy, data_root: context.settings.compose.data_root.as_deref() }
    }

    /// Returns how much a rule weighs that finds something.
    fn severity(&self, rule: &Rule, own: bool) -> Severity {
        let baseline = shipped::is_baseline(&rule.id());
        let denies = match self.policy.enforce {
            _ if own => rule.denies,
            _ if self.policy.fork && baseline => true,
            Enforce::Restricted => true,
            Enforce::Baseline => baseline,
            Enforce::Default | Enforce::Privileged => false,
        };
        self.weigh(denies)
    }

    fn weigh(&self, denies: bool) -> Severity {
        if denies && !self.policy.taken { Severity::Error } else { Severity::Warning }
    }

    /// Tells whether a shipped rule is asked at all.
    fn is_asked(&self, rule: &Rule) -> bool {
        self.policy.enforce != Enforce::Privileged || (self.policy.fork && shipped::is_baseline(&rule.id()))
    }

    /// Returns the rules of the installation's folders; what is wrong with them goes to the sink.
    fn own(&self, sink: &Sink) -> Option<Rules> {
        let mut files = Vec::new();
        let mut findings = Vec::new();
        for folder in &self.policy.folders {
            match source::read(folder, false) {
                Ok(read) => files.extend(read),
                Err(wrong) => findings.extend(wrong),
            }
        }
        let compiled = if findings.is_empty() && !files.is_empty() { Rules::compile(&files).map(Some) } else { Err(findings) };
        compiled.unwrap_or_else(|findings| {
            for finding in findings {
                sink.take(Finding { severity: self.weigh(true), ..finding });
            }
            None
        })
    }
}

impl Judge for Bench<'_> {
    fn judge(&self, documents: &[Document<'_>], sink: &Sink) {
        let asked = |rules, own| Asked { rules, own, spent: RefCell::default() };
        let mut ours = asked(shipped::rules().clone(), false);
        ours.rules.rules.retain(|rule| self.is_asked(rule));
        let mut own = self.own(sink).map(|rules| asked(rules, true));
        let written = documents.iter().find_map(|document| document.written);
        let texts = |texts: &Vec<String>| Value::from(texts.iter().map(|text| Value::from(text.as_str())).collect::<Vec<_>>());
        let data = [
            self.policy.host_paths.as_ref().map(|paths| ("host_paths", texts(paths))),
            self.data_root.map(|root| ("data_root", Value::from(root))),
            written.map(|written| ("written", input::value(written))),
        ];
        let data = input::object([("driftless", input::object(data.into_iter().flatten()))].into_iter());
        for asked in [Some(&mut ours), own.as_mut()].into_iter().flatten() {
            asked.rules.add_data(data.clone());
        }
        for document in documents {
            let file = sink.place(document.node.span).file;
            let value = input::value(document.node);
            let exceptions = own.as_mut().map(|own| own.exceptions(&value, &file)).unwrap_or_default();
            for asked in [Some(&mut ours), own.as_mut()].into_iter().flatten() {
                asked.rules.set_input(value.clone());
                self.ask(asked, document, &file, &exceptions, sink);
            }
        }
    }
}

impl Bench<'_> {
    fn ask(&self, asked: &mut Asked, document: &Document<'_>, file: &str, exceptions: &[String], sink: &Sink) {
        let mut all = if asked.is_any_stopped() { None } else { asked.rules.ask_all(file) }.map(Vec::into_iter);
        for rule in asked.rules.rules.clone() {
            let answered = all.as_mut().and_then(Iterator::next);
            // Nobody from outside is excepted from what protects the host.
            let protected = !asked.own && self.policy.fork;
            if asked.is_stopped(&rule) || (!protected && exceptions.iter().any(|suffix| suffix == rule.suffix())) {
                continue;
            }
            let began = Instant::now();
            let answer = answered.map_or_else(|| asked.rules.ask(&rule.name, file), Ok);
            let late = asked.spend(&rule, began.elapsed(), answer.as_ref().is_err_and(|problem| problem.late));
            let severity = self.severity(&rule, asked.own);
            let fault = |message: String| self.fault(&rule, asked.own, document, message, sink);
            match answer {
                _ if late => fault(format!("the rule was stopped: it took longer than {LIMIT:?} for a document, or {TOTAL:?} for all")),
                Err(Problem { message, .. }) => fault(format!("the rule cannot be asked: {message}")),
                Ok(answer) => match said(&answer) {
                    Ok(said) => {
                        for said in said {
                            let mut span = said
                                .path
                                .map_or_else(|| input::span(document.node, &Value::Null), |path| input::span(document.node, &path));
                            if said.secret {
                                span.length = 0;
                            }
                            sink.put(span, severity, &rule.id(), said.message, said.hint);
                        }
                    }
                    Err(wrong) => fault(wrong),
                },
            }
        }
    }

    /// Reports a rule that cannot answer: it counts as one that denies.
    fn fault(&self, rule: &Rule, own: bool, document: &Document<'_>, message: String, sink: &Sink) {
        let severity = if own { self.weigh(true) } else { self.severity(rule, own) };
        let span = input::span(document.node, &Value::Null);
        let hint = format!("mend `{}` at {}:{}, and try it with `driftless policy test`", rule.name, rule.place.file, rule.place.line);
        sink.put(span, severity, &rule.id(), format!("{message} (`{}`)", rule.name), Some(hint));
    }
}

impl Asked {
    /// Returns the names of the rules that do not count for a document.
    fn exceptions(&mut self, document: &Value, file: &str) -> Vec<String> {
        if !self.rules.exceptions {
            return Vec::new();
        }
        self.rules.set_input(document.clone());
        let names = self.rules.ask("exception", file).unwrap_or(Value::Undefined);
        let lists = items(&names).into_iter().flat_map(|list| items(&list));
        lists.filter_map(|name| Some(name.as_string().ok()?.to_string())).collect()
    }

    fn is_stopped(&self, rule: &Rule) -> bool {
        self.spent.borrow().get(&rule.name).is_some_and(|(_, stopped)| *stopped)
    }

    fn is_any_stopped(&self) -> bool {
        self.spent.borrow().values().any(|(_, stopped)| *stopped)
    }

    /// Counts what a rule took; tells whether it is stopped now.
    fn spend(&self, rule: &Rule, time: Duration, late: bool) -> bool {
        let mut spent = self.spent.borrow_mut();
        let (total, stopped) = spent.entry(rule.name.clone()).or_default();
        *total += time;
        *stopped = late || *total > TOTAL;
        *stopped
    }
}

/// One thing that a rule says.
struct Said {
    message: String,
    /// The field that is meant.
    path: Option<Value>,
    hint: Option<String>,
    /// The line must not be shown.
    secret: bool,
}

/// Reads the answer of a rule: texts, or objects with `msg` and perhaps `path`, `hint` and `secret`.
fn said(answer: &Value) -> Result<Vec<Said>, String> {
    let one = |value: &Value| {
        if let Ok(text) = value.as_string() {
            return Ok(Said { message: text.to_string(), path: None, hint: None, secret: false });
        }
        let field = |name: &str| value.as_object().ok()?.get(&Value::from(name)).cloned();
        let text = |name: &str| Some(field(name)?.as_string().ok()?.to_string());
        let message = text("msg").ok_or("it must say a text, or an object with a text as `msg`")?;
        Ok(Said { message, path: field("path"), hint: text("hint"), secret: field("secret") == Some(Value::from(true)) })
    };
    match answer {
        Value::Undefined | Value::Null | Value::Bool(false) => Ok(Vec::new()),
        Value::Array(_) | Value::Set(_) => items(answer).iter().map(one).collect(),
        _ => Ok(vec![one(answer)?]),
    }
}

fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Set(items) => items.iter().cloned().collect(),
        _ => Vec::new(),
    }
}
