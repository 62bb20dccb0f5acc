//! What is told while work goes on: the events, their lines and their JSON.

use super::Verbosity;
use serde::Serialize;

/// Something that happened, as programs are told of it: an object a line, `event` says which.
/// Fields are added when there is more to say; none changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event<'a> {
    /// What people read as a line.
    Message {
        /// The first word: `Locked`, `Fetched`.
        verb: &'a str,
        /// The rest.
        text: &'a str,
    },
    /// What must not be missed.
    Warning {
        /// All of it.
        text: &'a str,
    },
    /// An external command (only with `--verbose`).
    Command {
        /// As a shell takes it.
        text: &'a str,
    },
    /// A step of a build has started.
    StepStarted {
        /// Its kind: `packages`, `config-layer`.
        step: &'a str,
        /// Its key in the store, as hexadecimal digits.
        key: &'a str,
        /// What it makes.
        summary: &'a str,
    },
    /// It has ended well.
    StepDone {
        /// Its kind.
        step: &'a str,
        /// Its key.
        key: &'a str,
        /// How long it took.
        seconds: f64,
    },
    /// Its result is in the store already.
    StepCached {
        /// Its kind.
        step: &'a str,
        /// Its key.
        key: &'a str,
    },
    /// How far a transfer is; ten times a second at most.
    Bytes {
        /// What is transferred.
        what: &'a str,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A run of a scenario has ended.
    Scenario {
        /// Its name.
        name: &'a str,
        /// Whether it was the negative control.
        negative_control: bool,
        /// `passed`, `failed` or `broke`; of a negative control, `passed` says that it failed
        /// as it must.
        verdict: &'a str,
        /// How long it took.
        seconds: f64,
    },
    /// Why the program ends.
    Error {
        /// With which code.
        exit_code: u8,
        /// As people read it.
        text: &'a str,
    },
}

impl Event<'_> {
    /// From which verbosity on it is told.
    pub(super) fn verbosity(&self) -> Verbosity {
        match self {
            Event::Warning { .. } | Event::Error { .. } => Verbosity::Quiet,
            Event::Command { .. } => Verbosity::Verbose,
            Event::Message { .. }
            | Event::StepStarted { .. }
            | Event::StepDone { .. }
            | Event::StepCached { .. }
            | Event::Bytes { .. }
            | Event::Scenario { .. } => Verbosity::Normal,
        }
    }

    /// The line that people read, if they are told.
    pub(super) fn line(&self) -> Option<String> {
        match self {
            Event::Message { verb, text } => Some(format!("{verb:>12} {text}")),
            Event::Warning { text } => Some(format!("warning: {text}")),
            Event::Command { text } => Some(format!("           + {text}")),
            Event::StepStarted { step, summary, .. } => {
                Some(format!("{:>12} {step}: {summary}", "Making"))
            }
            Event::Error { text, .. } => Some((*text).to_owned()),
            Event::StepDone { .. }
            | Event::StepCached { .. }
            | Event::Bytes { .. }
            | Event::Scenario { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn events_are_for_people_or_for_programs() {
        let started = Event::StepStarted { step: "kernel", key: "ab12", summary: "linux" };
        assert_eq!(started.line().as_deref(), Some("      Making kernel: linux"));
        let json = |event: Event<'_>| serde_json::to_string(&event).unwrap();
        assert_eq!(
            json(started),
            r#"{"event":"step-started","step":"kernel","key":"ab12","summary":"linux"}"#
        );
        let (name, verdict) = ("whole-server-lost", "passed");
        let run = Event::Scenario { name, negative_control: true, verdict, seconds: 1.5 };
        assert_eq!(run.line(), None);
        assert_eq!(
            json(run),
            r#"{"event":"scenario","name":"whole-server-lost","negative-control":true,"verdict":"passed","seconds":1.5}"#
        );
        let text = "cannot write \"x\"\n  it is a folder";
        assert_eq!(
            json(Event::Error { exit_code: 2, text }),
            r#"{"event":"error","exit-code":2,"text":"cannot write \"x\"\n  it is a folder"}"#
        );
    }
}
