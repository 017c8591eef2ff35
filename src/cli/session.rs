//! Who answers a request: a running agent, or this process itself.

use std::path::Path;

use tokio::sync::mpsc::unbounded_channel;

use crate::agent::protocol::{Answer, PlanAnswer, Request};
use crate::agent::{self, Prepared};
use crate::config::{self, Application};
use crate::desired::Desired;
use crate::host::Class;
use crate::sim::{Host, Run, Scene, given, rounds};
use crate::time::Time;

use super::Context;
use super::client::{self, Answers};
use super::error::Error;
use super::folder::{self, Findings};
use super::target::{FolderFlags, Target};

/// What is asked, and about what.
pub(super) struct Question<'a> {
    /// The command's name.
    pub command: &'static str,
    /// What it is about.
    pub target: &'a Target,
    /// Application documents, to work without an agent.
    pub config: Option<&'a Path>,
    /// How a folder is deployed, if the command takes one.
    pub folder: Option<&'a FolderFlags>,
}

/// Sends a request to whoever can answer it.
///
/// # Errors
///
/// If nobody can: no agent answers, and nothing says what is meant.
pub(super) async fn ask(context: &Context, question: &Question<'_>, request: Request) -> Result<Answers, Error> {
    question.check(context)?;
    if let (Target::Folder(path), Some(flags)) = (question.target, question.folder) {
        return ask_about_folder(context, question, path, flags, request).await;
    }
    let socket = context.flags.socket();
    match (client::ask(&socket, &request).await?, question.config) {
        (Some(answers), _) => Ok(answers),
        (None, Some(path)) => alone(context, question, config::read(path)?, request).await,
        (None, None) => Err(Error::NoAgent { path: socket, hint: question.hint() }),
    }
}

impl Question<'_> {
    /// Refuses flags that say nothing here.
    fn check(&self, context: &Context) -> Result<(), Error> {
        let Some(_) = self.folder else { return Ok(()) };
        let for_folder = FolderFlags::ids();
        let surplus = context.written.iter().find(|id| for_folder.contains(*id));
        match (self.target, surplus) {
            (Target::All | Target::Application(_), Some(id)) => Err(Error::Usage {
                message: format!("`--{}` says how a PATH is deployed, and no PATH is given", id.replace('_', "-")),
                hint: Some(
                    "a PATH has a slash, as in `./deploy`; applications of an agent have these settings in their Application".to_owned(),
                ),
            }),
            _ => Ok(()),
        }
    }

    fn hint(&self) -> String {
        let alone = format!("or give {} the applications with `--config PATH`", self.command);
        match self.target {
            Target::Application(name) if Path::new(name).exists() => format!("if `{name}` is a folder, write `./{name}`"),
            _ => format!("start `driftless agent`, name its socket with --socket, {alone}"),
        }
    }
}

/// Answers about a folder, which no agent knows. Its manifests are checked first, because here their
/// lines can be shown.
async fn ask_about_folder(
    context: &Context,
    question: &Question<'_>,
    path: &Path,
    flags: &FolderFlags,
    request: Request,
) -> Result<Answers, Error> {
    let application = flags.application(path)?;
    let read = folder::read(&context.flags, path, &application).await?;
    let mut findings = Findings::default();
    findings.add(path, &read);
    let Ok(desired) = read.desired else {
        context.ui.say(&findings.text(context.ui.err));
        return Err(Error::Manifests { command: question.command, path: path.to_owned() });
    };
    match alone(context, question, vec![application], request.clone()).await {
        Err(error) if is_out_of_reach(&error) && matches!(request, Request::Plan { .. }) => {
            context.ui.warn(&format!("{}; this is the plan for a host that has nothing", error.chain()[1..].join(": ")));
            Ok(simulated(context, desired, &request))
        }
        Err(error) if is_locked(&error) => {
            let hint =
                "if that is an agent, ask it by the application's name, as in `driftless plan shop`; `driftless check` needs neither";
            Err(Error::Refused { class: Class::Waiting, messages: error.chain(), hint: Some(hint.to_owned()) })
        }
        answers => answers,
    }
}

/// Answers within this process. It holds the lock of the state folder until the last answer.
async fn alone(context: &Context, question: &Question<'_>, applications: Vec<Application>, request: Request) -> Result<Answers, Error> {
    let holder = format!("driftless {}", question.command);
    let prepared = Prepared::new(&context.flags, applications, &holder).await?;
    Ok(Answers::Own(prepared.ask(request).await?))
}

/// Tells whether neither the engine nor a state folder can be used: both are needed to compare with what
/// runs.
fn is_out_of_reach(error: &Error) -> bool {
    use config::state::Error as State;
    match error {
        Error::Agent(agent::Error::Docker { .. }) => true,
        Error::Agent(agent::Error::State { source }) => matches!(source, State::Make { .. } | State::Read { .. } | State::Write { .. }),
        _ => false,
    }
}

fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Agent(agent::Error::State { source: config::state::Error::Locked { .. } }))
}

/// Plans for a host that has nothing, on the simulator.
fn simulated(context: &Context, desired: Desired, request: &Request) -> Answers {
    let host = Host::from_live(given([&desired]), Scene::default(), Time::default());
    let run = Run::new(host, desired);
    let plan = run.plan();
    let rounds = matches!(request, Request::Plan { rounds: true, .. }).then(|| rounds(run));
    let answer = PlanAnswer { host: context.flags.host(), plan, rounds, refused: false, rolled_back: None, healed: Vec::new() };
    let (reply, answers) = unbounded_channel();
    for answer in [Answer::Plan(Box::new(answer)), Answer::Done { exit_code: 0, message: String::new() }] {
        let _ = reply.send(answer);
    }
    Answers::Own(answers)
}
