//! Rules that were parsed together, and what asking one of them about a document comes to.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::unstable::{Rule as Syntax, RuleHead};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::finding::{Finding, Place};

use super::problem::Problem;
use super::text::{recursion, written_out};

/// So long may one rule take for one document.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// So many steps are taken between two looks at the clock.
const LOOK: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");

/// The longest list that `numbers.range` makes: it looks at no clock.
const LONGEST: i64 = 1_000_000;

/// Where rules are looked for that say something about a document.
const PACKAGE: &str = "data.main";

/// Rules that were parsed together.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    engine: Engine,
    /// The rules that say something about a document, each once.
    pub(super) rules: Vec<Rule>,
    /// There are exceptions.
    pub(super) exceptions: bool,
    /// Everything that is defined.
    pub(super) definitions: Vec<Definition>,
    /// Some rule wants to know which file a document is from.
    reads_file: bool,
}

/// A rule that says something about a document.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// `deny`, `violation` or `warn`, perhaps with a suffix.
    pub(super) name: String,
    /// It denies; otherwise it warns.
    pub(super) denies: bool,
    /// Where it is written first.
    pub(super) place: Place,
}

/// One definition of a rule or function, of any package.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// As in `data.main`.
    pub(super) package: String,
    pub(super) name: String,
    pub(super) place: Place,
    /// It takes arguments.
    pub(super) function: bool,
    /// How it is written.
    pub(super) text: String,
}

impl Definition {
    /// Returns its path, as in `data.main.deny`.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }
}

impl Rule {
    /// Returns the part of the name after `deny_`; empty if there is none.
    pub(super) fn suffix(&self) -> &str {
        self.name.split_once('_').map_or("", |(_, suffix)| suffix)
    }

    /// Returns its name in findings.
    pub(super) fn id(&self) -> String {
        let name = if self.suffix().is_empty() { &self.name } else { self.suffix() };
        format!("policy/{}", name.replace('_', "-"))
    }
}

impl Rules {
    /// Compiles the rules of some files: their names for messages, and their texts.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) fn compile(files: &[(String, String)]) -> Result<Rules, Vec<Finding>> {
        let mut engine = parse(files)?;
        let definitions = definitions(&mut engine);
        if let Some(at) = recursion(&definitions) {
            let function = &definitions[at];
            let message = format!("the function `{}` can come to call itself, which Rego forbids", function.name);
            return Err(vec![Finding::error("policy/unreadable", function.place.clone(), message)]);
        }
        // What is wrong across rules shows when they are first asked.
        engine.eval_query("true".to_owned(), false).map_err(|error| vec![unreadable(Problem::of(error.as_ref()), &files[0].0)])?;
        let mut rules = Vec::new();
        for one in definitions.iter().filter(|one| one.package == PACKAGE) {
            let kind = one.name.split('_').next().unwrap_or_default();
            let denies = matches!(kind, "deny" | "violation");
            if (denies || kind == "warn") && rules.iter().all(|known: &Rule| known.name != one.name) {
                rules.push(Rule { name: one.name.clone(), denies, place: one.place.clone() });
            }
        }
        let exceptions = definitions.iter().any(|one| one.package == PACKAGE && one.name == "exception");
        let reads_file = files.iter().any(|(_, text)| text.contains("conftest"));
        Ok(Rules { engine, rules, exceptions, definitions, reads_file })
    }

    /// Gives the rules data besides the document.
    pub(super) fn add_data(&mut self, data: Value) {
        self.engine.add_data(data).expect("nothing else was given");
    }

    /// Says which document is asked about next.
    pub(super) fn set_input(&mut self, input: Value) {
        self.engine.set_input(input);
    }

    /// Returns what a rule says about the document, which is from a file; undefined if it says nothing.
    pub(super) fn ask(&mut self, rule: &str, file: &str) -> Result<Value, Problem> {
        let path = format!("{PACKAGE}.{rule}");
        if self.reads_file { self.query(path, file) } else { self.value(path) }
    }

    /// Returns what all rules say, in their order, if each says something and none takes long. It is much faster
    /// than to ask one after another, because what they share is worked out once.
    pub(super) fn ask_all(&mut self, file: &str) -> Option<Vec<Value>> {
        let rules = self.rules.iter().map(|rule| format!("{PACKAGE}.{}", rule.name)).collect::<Vec<_>>();
        let answers = self.query(format!("[{}]", rules.join(", ")), file).ok()?;
        answers.as_array().ok().filter(|answers| answers.len() == rules.len()).cloned()
    }

    fn query(&mut self, expression: String, file: &str) -> Result<Value, Problem> {
        // As Conftest tells it: the file's name, and its folder.
        let (dir, name) = file.rsplit_once('/').unwrap_or((".", file));
        let told = serde_json::json!({ "dir": dir, "name": name });
        let query = if self.reads_file { format!("{expression} with data.conftest.file as {told}") } else { expression };
        let results = self.engine.eval_query(query, false).map_err(|error| Problem::of(error.as_ref()))?;
        let first = results.result.into_iter().next().and_then(|result| result.expressions.into_iter().next());
        Ok(first.map_or(Value::Undefined, |expression| expression.value))
    }

    /// Returns the value of a rule by its whole path.
    pub(super) fn value(&mut self, path: String) -> Result<Value, Problem> {
        self.engine.eval_rule(path).map_err(|error| Problem::of(error.as_ref()))
    }

    /// Returns what rules printed since the last time.
    pub(super) fn printed(&mut self) -> Vec<String> {
        self.engine.take_prints().unwrap_or_default()
    }

    /// Sets how long one rule may take from now on.
    pub(super) fn limit(&mut self, limit: Duration) {
        self.engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: LOOK });
    }
}

/// Parses files, each as today's Rego, and as that of before version 1 if it is not.
fn parse(files: &[(String, String)]) -> Result<Engine, Vec<Finding>> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    engine.set_gather_prints(true);
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: LIMIT, check_interval: LOOK });
    for (name, arguments) in [("numbers.range", 2), ("numbers.range_step", 3)] {
        // The `null` is there for its type: the error that extensions return has no name here.
        let bounded = |arguments: Vec<Value>| Value::from_json_str("null").and_then(|_| range(&arguments).map_err(Into::into));
        engine.add_extension(name.to_owned(), arguments, Box::new(bounded)).expect("it is added once");
    }
    let mut findings = Vec::new();
    for (file, text) in files {
        let text = written_out(text);
        let Err(error) = engine.add_policy(file.clone(), text.clone()) else { continue };
        engine.set_rego_v0(true);
        if engine.add_policy(file.clone(), text).is_err() {
            findings.push(unreadable(Problem::of(error.as_ref()), file));
        }
        engine.set_rego_v0(false);
    }
    if findings.is_empty() { Ok(engine) } else { Err(findings) }
}

fn unreadable(problem: Problem, file: &str) -> Finding {
    let place = problem.place.unwrap_or_else(|| Place::file(file));
    let message = format!("this is not Rego: {}", problem.message);
    let hint = "mend the rule, and try it with `driftless policy test`; until then nothing new is applied";
    Finding::error("policy/unreadable", place, message).with_hint(hint)
}

/// A list that would be too long.
#[derive(Debug, thiserror::Error)]
#[error("a range of more than {LONGEST} numbers")]
struct TooLong;

/// `numbers.range` and `numbers.range_step`, with an end: the interpreter's own look at no clock.
fn range(arguments: &[Value]) -> Result<Value, TooLong> {
    let numbers: Vec<i64> = arguments.iter().map_while(|argument| argument.as_i64().ok()).collect();
    let (first, last, step) = match numbers[..] {
        [first, last] if arguments.len() == 2 => (first, last, 1),
        [first, last, step] if step > 0 => (first, last, step),
        _ => return Ok(Value::Undefined),
    };
    let apart = i128::from(last).abs_diff(i128::from(first)) / u128::from(step.unsigned_abs());
    let apart = i64::try_from(apart).ok().filter(|apart| *apart < LONGEST).ok_or(TooLong)?;
    let direction = if last < first { -step } else { step };
    Ok(Value::from((0..=apart).map(|index| Value::from(first + index * direction)).collect::<Vec<_>>()))
}

fn definitions(engine: &mut Engine) -> Vec<Definition> {
    let packages = engine.get_packages().unwrap_or_default();
    let mut found = Vec::new();
    for (module, package) in engine.get_modules().iter().zip(packages) {
        for rule in &module.policy {
            let Syntax::Spec { span, head, .. } = &**rule else { continue };
            let text = span.text().to_owned();
            let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let place =
                Place { file: span.source.get_path().clone(), line: span.line as usize, column: span.col as usize, length: name.len() };
            let function = matches!(head, RuleHead::Func { .. });
            found.push(Definition { package: package.clone(), name, place, function, text });
        }
    }
    found
}
