//! Deeds and expectations in words, for status lines, time lines and failures.

use super::Name;
use super::action::{Action, Disturbance, OnLink};
use super::expectation::{Answers, Expectation, Holding, LoadSaw, Reach};
use super::values::Direction;
use std::fmt;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::CutPower(name) => write!(f, "cut the power of {}", name.get_ref()),
            Action::ShutDown(name) => write!(f, "shut down {}", name.get_ref()),
            Action::Start(name) => write!(f, "switch on {}", name.get_ref()),
            Action::Reset(name) => write!(f, "reset {}", name.get_ref()),
            Action::Reboot(name) => write!(f, "reboot {}", name.get_ref()),
            Action::Pause(name) => write!(f, "pause {}", name.get_ref()),
            Action::Resume(name) => write!(f, "resume {}", name.get_ref()),
            Action::Kill(one) => {
                write!(f, "send {} to {} on {}", one.signal, one.process, one.on.get_ref())
            }
            Action::StopUnit(one) => write!(f, "stop {} on {}", one.unit, one.on.get_ref()),
            Action::StartUnit(one) => write!(f, "start {} on {}", one.unit, one.on.get_ref()),
            Action::RestartUnit(one) => write!(f, "restart {} on {}", one.unit, one.on.get_ref()),
            Action::MaskUnit(one) => write!(f, "mask {} on {}", one.unit, one.on.get_ref()),
            Action::UnmaskUnit(one) => write!(f, "unmask {} on {}", one.unit, one.on.get_ref()),
            Action::Write(one) => write!(f, "write {} on {}", one.file.get_ref(), one.on.get_ref()),
            Action::Delete(one) => {
                write!(f, "delete {} on {}", one.file.get_ref(), one.on.get_ref())
            }
            Action::Restore(one) => {
                write!(f, "restore {} on {}", one.file.get_ref(), one.on.get_ref())
            }
            Action::LinkDown(link) => write!(f, "take the carrier from {}", cable(link)),
            Action::LinkUp(link) => write!(f, "give the carrier back to {}", cable(link)),
            Action::CutCable(link) => write!(f, "cut {}", cable(link)),
            Action::MendCable(link) => write!(f, "mend {}", cable(link)),
            Action::Calm(link) => write!(f, "calm {}", cable(link)),
            Action::Disturb(line) => disturbance(f, line),
            Action::Partition { network, groups } => {
                let group = |names: &Vec<Name>| list(names);
                let groups: Vec<String> = groups.iter().map(group).collect();
                write!(f, "partition {}: {}", network.get_ref(), groups.join(" | "))
            }
            Action::Heal(network) => write!(f, "heal {}", network.get_ref()),
            Action::Provider(network) => {
                write!(f, "make {} a provider's network", network.get_ref())
            }
            Action::Run { on, command, .. } => write!(f, "run `{command}` on {}", on.get_ref()),
            Action::StartLoad(load) => write!(f, "start the load {}", load.get_ref()),
            Action::StopLoad(load) => write!(f, "stop the load {}", load.get_ref()),
            Action::SetClock { on, by } => write!(f, "set the clock of {} {by:+} s", on.get_ref()),
        }
    }
}

fn cable(link: &OnLink) -> String {
    let way = match link.direction {
        Direction::In => ", to it",
        Direction::Out => ", from it",
        Direction::Both => "",
    };
    format!("{}'s {} link{way}", link.of.get_ref(), link.network.get_ref())
}

fn disturbance(f: &mut fmt::Formatter<'_>, line: &Disturbance) -> fmt::Result {
    write!(f, "disturb {}'s {} link:", line.of.get_ref(), line.network.get_ref())?;
    if let Some(share) = line.loss {
        write!(f, " {} % lost", share.get() * 100.0)?;
    }
    if let Some(share) = line.duplicate {
        write!(f, " {} % twice", share.get() * 100.0)?;
    }
    if let Some(delay) = line.delay {
        write!(f, " {delay} late")?;
    }
    match line.bits_per_second {
        Some(rate) => write!(f, " {rate} bit/s"),
        None => Ok(()),
    }
}

fn list(names: &[Name]) -> String {
    names.iter().map(|name| name.get_ref().as_str()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Held(held) => holding(f, held),
            Expectation::Answers(answers) => self::answers(f, answers),
            Expectation::Load(load) => load_saw(f, load),
            Expectation::Unit(unit) => {
                write!(f, "{} on {} is {}", unit.unit, unit.on.get_ref(), unit.is.word())
            }
            Expectation::Listens(port) => {
                let verb = if port.is { "listens" } else { "does not listen" };
                write!(f, "{} {verb} on port {}", port.on.get_ref(), port.port)
            }
            Expectation::Reachable(reach) => self::reach(f, reach, "reachable"),
            Expectation::Unreachable(reach) => self::reach(f, reach, "unreachable"),
            Expectation::File(file) => {
                let (path, on) = (file.file.get_ref(), file.on.get_ref());
                match (&file.has, file.exists) {
                    (Some(words), _) => write!(f, "{path} on {on} has {words:?}"),
                    (None, true) => write!(f, "{path} is on {on}"),
                    (None, false) => write!(f, "{path} is not on {on}"),
                }
            }
            Expectation::Command(command) => {
                write!(
                    f,
                    "`{}` on {} ends with {}",
                    command.run,
                    command.on.get_ref(),
                    command.code
                )?;
                if let Some(words) = &command.says {
                    write!(f, " and says {words:?}")?;
                }
                match &command.lacks {
                    Some(words) => write!(f, " and does not say {words:?}"),
                    None => Ok(()),
                }
            }
            Expectation::Log(log) => write!(f, "{} logs {:?}", log.on.get_ref(), log.says),
            Expectation::Healthy(_) => f.write_str("every machine is healthy"),
            Expectation::Addresses(_) => f.write_str("every address is on its interface"),
            Expectation::OnlyTheTable(sweep) => {
                f.write_str("only the ports of the table answer")?;
                match &sweep.from {
                    Some(from) => write!(f, " on {}", from.get_ref()),
                    None => Ok(()),
                }
            }
        }?;
        let (within, stays) = self.times();
        if let Some(within) = within {
            write!(f, ", within {within}")?;
        }
        match stays {
            Some(stays) => write!(f, ", for {stays}"),
            None => Ok(()),
        }
    }
}

fn holding(f: &mut fmt::Formatter<'_>, held: &Holding) -> fmt::Result {
    write!(f, "{} is held by ", held.floating.get_ref())?;
    match (&held.by, &held.other_than) {
        (Some(by), _) => write!(f, "{} alone", by.get_ref()),
        (None, Some(other)) => write!(f, "one machine other than {}", other.get_ref()),
        (None, None) => f.write_str("exactly one machine"),
    }
}

fn answers(f: &mut fmt::Formatter<'_>, answers: &Answers) -> fmt::Result {
    write!(f, "{} answers {}", answers.url.get_ref(), answers.status)?;
    if let [only] = answers.over.each() {
        write!(f, " over {only}")?;
    }
    if let Some(words) = &answers.body {
        write!(f, " with {words:?}")?;
    }
    if let Some(name) = &answers.certificate {
        write!(f, ", with the certificate of {}", name.get_ref())?;
    }
    if !answers.from.is_empty() {
        write!(f, ", only from {}", list(&answers.from))?;
    }
    if !answers.not_from.is_empty() {
        write!(f, ", never from {}", list(&answers.not_from))?;
    }
    if !answers.from_each.is_empty() {
        write!(f, ", from each of {}", list(&answers.from_each))?;
    }
    Ok(())
}

fn load_saw(f: &mut fmt::Formatter<'_>, load: &LoadSaw) -> fmt::Result {
    let mut parts = Vec::new();
    if let Some(good) = load.good {
        parts.push(format!("at least {good} good answers"));
    }
    if let Some(failed) = load.failed {
        parts.push(match failed {
            0 => "no failed request".to_owned(),
            some => format!("at most {some} failed requests"),
        });
    }
    if let Some(silence) = load.silence {
        parts.push(format!("no good answer for {silence} at most"));
    }
    if !load.from_each.is_empty() {
        parts.push(format!("answers from each of {}", list(&load.from_each)));
    }
    write!(f, "{} saw {}", load.name.get_ref(), parts.join(", "))
}

fn reach(f: &mut fmt::Formatter<'_>, reach: &Reach, verb: &str) -> fmt::Result {
    let (to, port, from) = (reach.to.get_ref(), reach.port, reach.from.get_ref());
    write!(f, "port {port} of {to} is {verb} from {from}")
}
