//! What happens while a plan is carried out: lines that stay, and on a terminal a few below them that
//! are drawn anew.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::agent::protocol::Progress;
use crate::report::{Ink, Paint, word};
use crate::time::format_duration;

use super::ui::Ui;

/// So many lines are drawn anew at most: more would scroll on a small terminal.
const MOST_LINES: usize = 8;

/// Shows progress.
#[derive(Debug)]
pub(super) struct View {
    ui: Ui,
    /// Steps that run, and since when.
    running: BTreeMap<String, Instant>,
    /// How workloads stand that are not Healthy.
    waiting: BTreeMap<String, String>,
    /// Lines that stand below and go with the next drawing.
    drawn: usize,
}

impl View {
    pub(super) fn new(ui: Ui) -> Self {
        View { ui, running: BTreeMap::new(), waiting: BTreeMap::new(), drawn: 0 }
    }

    /// Takes in what happened.
    pub(super) fn take(&mut self, progress: Progress) {
        self.clear();
        if let Some(line) = self.line(&progress) {
            self.ui.say(&line);
        }
        match progress {
            Progress::Started { step } => drop(self.running.insert(step, Instant::now())),
            Progress::Done { step, .. } | Progress::Failed { step, .. } => {
                self.running.remove(&step);
                // How far a pull is ends with the pull, well or not.
                if let Some(image) = step.strip_prefix("pull ") {
                    self.waiting.remove(&format!("Image/{image}"));
                }
            }
            Progress::Workload { object, message } if message.starts_with("Healthy") => drop(self.waiting.remove(&object)),
            Progress::Workload { object, message } => drop(self.waiting.insert(object, message)),
            Progress::Note { .. } => {}
        }
        self.draw();
    }

    /// Draws what runs and what is waited for. Does nothing where nobody watches.
    pub(super) fn draw(&mut self) {
        if !self.ui.live {
            return;
        }
        self.clear();
        let now = Instant::now();
        let lines = self.lines(now, width());
        self.drawn = lines.len();
        let mut err = io::stderr().lock();
        for line in lines {
            let _ = writeln!(err, "{line}");
        }
    }

    /// Takes the lines away that were drawn.
    pub(super) fn clear(&mut self) {
        if self.drawn > 0 {
            // Up to the first of them, then everything below goes.
            let _ = write!(io::stderr().lock(), "\u{1b}[{}F\u{1b}[J", self.drawn);
            self.drawn = 0;
        }
    }

    /// Returns the line that stays, if one does.
    fn line(&self, progress: &Progress) -> Option<String> {
        let paint = self.ui.err;
        Some(match progress {
            // Where lines are drawn anew, what runs is among them.
            Progress::Started { .. } if self.ui.live => return None,
            Progress::Started { step } => format!("begin   {}", word::step(step)),
            Progress::Done { step, millis } => {
                let time = paint.ink(Ink::Dim, &format!("({})", format_duration(Duration::from_millis(*millis))));
                format!("{}    {} {time}", paint.ink(Ink::Good, "done"), word::step(step))
            }
            Progress::Failed { step, message } => {
                format!("{}  {}: {}", paint.ink(Ink::Bad, "failed"), word::step(step), word::clean(message))
            }
            Progress::Workload { object, message } => {
                let ink = if message.starts_with("Healthy") { Ink::Good } else { Ink::Warn };
                format!("{}   {} {}", paint.ink(ink, "state"), word::clean(object), word::clean(message))
            }
            Progress::Note { message } => format!("note    {}", word::clean(message)),
        })
    }

    fn lines(&self, now: Instant, width: usize) -> Vec<String> {
        let running = self.running.iter().map(|(step, since)| {
            let time = format_duration(Duration::from_secs(now.duration_since(*since).as_secs()));
            (Ink::Accent, format!("  {} ({time})", word::step(step)))
        });
        let waiting =
            self.waiting.iter().map(|(object, message)| (Ink::Warn, format!("  {} {}", word::clean(object), word::clean(message))));
        let all: Vec<(Ink, String)> = running.chain(waiting).collect();
        let surplus = all.len().saturating_sub(MOST_LINES);
        let more = (surplus > 0).then(|| (Ink::Dim, format!("  and {surplus} more")));
        all.into_iter().take(MOST_LINES).chain(more).map(|(ink, line)| painted(self.ui.err, ink, &line, width)).collect()
    }
}

/// Returns a line that is cut so that it does not wrap: a wrapped one could not be taken away again.
fn painted(paint: Paint, ink: Ink, line: &str, width: usize) -> String {
    let line: String = line.chars().take(width.saturating_sub(1)).collect();
    paint.ink(ink, &line)
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(live: bool) -> View {
        View::new(Ui { out: Paint::Plain, err: Paint::Plain, live })
    }

    fn started(step: &str) -> Progress {
        Progress::Started { step: step.to_owned() }
    }

    #[test]
    fn what_runs_is_shown_until_it_is_done() {
        let mut view = view(false);
        view.take(started("pull example/api:2"));
        view.take(Progress::Workload {
            object: "shop/Deployment/api".to_owned(),
            message: "Progressing: 0 of 2 replicas serve".to_owned(),
        });
        let now = Instant::now();
        assert_eq!(view.lines(now, 80), ["  pull example/api:2 (0s)", "  shop/Deployment/api Progressing: 0 of 2 replicas serve"]);
        assert_eq!(view.lines(now, 11), ["  pull exa", "  shop/Dep"]);
        view.take(Progress::Done { step: "pull example/api:2".to_owned(), millis: 1200 });
        view.take(Progress::Workload { object: "shop/Deployment/api".to_owned(), message: "Healthy: 2 of 2 replicas serve".to_owned() });
        assert_eq!(view.lines(now, 80), [""; 0]);
    }

    #[test]
    fn many_steps_stay_within_a_few_lines() {
        let mut view = view(false);
        (0..20).for_each(|number| view.take(started(&format!("create {number:02}"))));
        let lines = view.lines(Instant::now(), 80);
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MOST_LINES + 1, Some("  and 12 more")));
    }

    #[test]
    fn lines_that_stay_say_how_long_it_took() {
        let done = Progress::Done { step: "create x".to_owned(), millis: 1200 };
        assert_eq!(view(false).line(&done).as_deref(), Some("done    create x (1.2s)"));
        assert_eq!(view(true).line(&started("create x")), None);
        assert_eq!(view(false).line(&started("create x")).as_deref(), Some("begin   create x"));
    }
}
