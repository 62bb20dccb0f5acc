//! What can be said at the prompt, and what a line means. Pure.

use crate::error::{Error, Result};
use crate::names;
use crate::scenario::action::{self, OnInterface, OnLink, OnUnit};
use crate::scenario::{Action, Direction, Signal, Url};
use crate::spec::Architecture;
use toml::Spanned;

pub(super) const HELP: &str = "\
status                       every machine, and who holds the floating addresses
http URL                     request a page: http web/, http http://web1.private/
shell MACHINE [COMMAND]      run one command, or open a shell
power-off MACHINE            also start, shut-down, reset, reboot, pause, resume,
                             replace-disks
kill MACHINE PROGRAM         send SIGKILL
stop-unit MACHINE UNIT       systemctl stop; start-unit
disconnect MACHINE NETWORK   drop all frames, carrier stays up; reconnect
link-down MACHINE NETWORK    take the carrier away; link-up
reset-network NETWORK        no partition, every machine connected
restore                      return to the state after boot
quit
";

/// The first words, for completion.
pub(super) const VERBS: [&str; 22] = [
    "status",
    "http",
    "shell",
    "power-off",
    "replace-disks",
    "start",
    "shut-down",
    "reset",
    "reboot",
    "pause",
    "resume",
    "kill",
    "stop-unit",
    "start-unit",
    "disconnect",
    "reconnect",
    "link-down",
    "link-up",
    "reset-network",
    "restore",
    "help",
    "quit",
];

/// A line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Help,
    Status,
    Quit,
    Restore,
    Http(Url),
    Shell { machine: String, command: Option<String> },
    Action(Action),
}

impl Command {
    /// What a line means; nothing for an empty one.
    pub(super) fn parse(line: &str, architecture: &Architecture) -> Result<Option<Command>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((verb, rest)) = words.split_first() else { return Ok(None) };
        let reader = Reader { verb, rest, architecture };
        Ok(Some(match *verb {
            "help" => Command::Help,
            "status" => Command::Status,
            "quit" | "exit" => Command::Quit,
            "restore" => Command::Restore,
            "http" => Command::Http(reader.url()?),
            "shell" => {
                let machine = reader.machine()?.into_inner();
                let after = |text: &'_ str| {
                    text.trim()
                        .split_once(char::is_whitespace)
                        .map(|(_, rest)| rest.trim().to_owned())
                };
                Command::Shell { command: after(line).and_then(|rest| after(&rest)), machine }
            }
            _ => Command::Action(reader.action()?),
        }))
    }
}

struct Reader<'a> {
    verb: &'a str,
    rest: &'a [&'a str],
    architecture: &'a Architecture,
}

impl Reader<'_> {
    fn action(&self) -> Result<Action> {
        Ok(match self.verb {
            "power-off" => Action::PowerOff(action::PowerOff(self.machine()?)),
            "replace-disks" => Action::ReplaceDisks(action::ReplaceDisks(self.machine()?)),
            "start" => Action::Start(action::Start(self.machine()?)),
            "shut-down" => Action::ShutDown(action::ShutDown(self.machine()?)),
            "reset" => Action::Reset(action::Reset(self.machine()?)),
            "reboot" => Action::Reboot(action::Reboot(self.machine()?)),
            "pause" => Action::Pause(action::Pause(self.machine()?)),
            "resume" => Action::Resume(action::Resume(self.machine()?)),
            "kill" => {
                let (on, process) = (self.machine()?, self.word(1, "a program, such as nginx")?);
                Action::Kill(action::Kill { on, process, signal: Signal::Kill })
            }
            "stop-unit" => Action::StopUnit(action::StopUnit(self.unit()?)),
            "start-unit" => Action::StartUnit(action::StartUnit(self.unit()?)),
            "disconnect" => Action::Disconnect(action::Disconnect(self.link()?)),
            "reconnect" => Action::Reconnect(action::Reconnect(self.link()?)),
            "link-down" => Action::LinkDown(action::LinkDown(self.interface()?)),
            "link-up" => Action::LinkUp(action::LinkUp(self.interface()?)),
            "reset-network" => Action::ResetNetwork(action::ResetNetwork(self.network(0)?)),
            other => {
                return Err(Error::input(format!("there is no `{other}` here"))
                    .hint(names::suggest(other, VERBS)));
            }
        })
    }

    fn word(&self, place: usize, what: &str) -> Result<String> {
        let word = self.rest.get(place).map(|word| (*word).to_owned());
        word.ok_or_else(|| Error::input(format!("`{}` wants {what}", self.verb)))
    }

    fn known<'k>(
        &self,
        place: usize,
        what: &str,
        known: impl Iterator<Item = &'k String>,
    ) -> Result<Spanned<String>> {
        let known: Vec<&str> = known.map(String::as_str).collect();
        let list = known.join(", ");
        let word = self.word(place, what).map_err(|e| e.hint(format!("known: {list}")))?;
        if known.contains(&word.as_str()) {
            return Ok(Spanned::new(0..0, word));
        }
        let message = format!("{} has no {} `{word}`", self.architecture.name, &what[2..]);
        Err(Error::input(message).hint(names::suggest(&word, known.iter().copied())))
    }

    fn machine(&self) -> Result<Spanned<String>> {
        self.known(0, "a machine", self.architecture.servers.keys())
    }

    fn network(&self, place: usize) -> Result<Spanned<String>> {
        self.known(place, "a network", self.architecture.networks.keys())
    }

    fn link(&self) -> Result<OnLink> {
        let (of, network) = (self.machine()?, self.network(1)?);
        let server = self.architecture.server(of.get_ref())?;
        if !server.addresses.contains_key(network.get_ref()) {
            let message = format!("{} is not on the {} network", server.name, network.get_ref());
            return Err(Error::input(message));
        }
        Ok(OnLink { of, network, direction: Direction::Both })
    }

    fn interface(&self) -> Result<OnInterface> {
        self.link().map(|OnLink { of, network, .. }| OnInterface { of, network })
    }

    fn unit(&self) -> Result<OnUnit> {
        let (on, unit) = (self.machine()?, self.word(1, "a unit, such as nginx.service")?);
        Ok(OnUnit { on, unit })
    }

    fn url(&self) -> Result<Url> {
        let word = self.word(0, "a URL, such as http://web/")?;
        let text = if word.contains("://") { word } else { format!("http://{word}") };
        text.parse().map_err(|why: String| Error::input(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Spec, Tree};
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Option<Command>, String> {
        let spec = Spec::load(Tree::embedded()).unwrap();
        let architecture = spec.architecture("arch4").unwrap();
        Command::parse(line, architecture).map_err(|error| error.to_string())
    }

    fn action(line: &str) -> String {
        match parse(line) {
            Ok(Some(Command::Action(action))) => action.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_understood() {
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(action("disconnect web1 public"), "disconnect web1's public link");
        assert_eq!(action("kill web2 nginx"), "send KILL to nginx on web2");
        assert_eq!(action("power-off database1"), "power off database1");
        let command = Some("ip -o address".to_owned());
        let shell = Command::Shell { machine: "web1".to_owned(), command };
        assert_eq!(parse("shell web1 ip -o address"), Ok(Some(shell.clone())));
        assert_eq!(parse(" shell  web1\t ip -o address "), Ok(Some(shell)));
        assert_eq!(parse("http web/x"), Ok(Some(Command::Http("http://web/x".parse().unwrap()))));
    }

    #[test]
    fn slips_are_answered_with_a_hint() {
        let wrong = |line: &str| parse(line).unwrap_err();
        assert_eq!(
            wrong("disconect web1 public"),
            "error: there is no `disconect` here\nhint: did you mean `disconnect`? (or `reconnect`)"
        );
        assert_eq!(
            wrong("disconnect wbe1 public"),
            "error: arch4 has no machine `wbe1`\nhint: did you mean `web1`? (or `web2`)"
        );
        assert_eq!(
            wrong("disconnect web1"),
            "error: `disconnect` wants a network\nhint: known: private, public"
        );
        assert_eq!(
            wrong("disconnect database1 public"),
            "error: database1 is not on the public network"
        );
        assert_eq!(wrong("kill web1"), "error: `kill` wants a program, such as nginx");
    }

    #[test]
    fn every_verb_is_in_the_help() {
        for verb in VERBS.iter().filter(|verb| **verb != "help") {
            assert!(HELP.contains(verb), "{verb}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line: String) {
            drop(parse(&line));
        }
    }
}
