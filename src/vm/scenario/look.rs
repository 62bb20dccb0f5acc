//! Looks whether an expectation holds just now, and says what is seen instead.

use super::addresses::of_host;
use super::clock::Clock;
use super::crowd::patient;
use super::loads::Loads;
use super::stage::Stage;
use super::sweep;
use crate::error::Result;
use crate::exec::quote;
use crate::scenario::{
    Answers, Cast, CommandSays, Expectation, FileIs, Holding, LogSays, Name, Reach, UnitIs,
};
use crate::vm::PortState;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// What was expected.
    Holds,
    /// Something else.
    Not(String),
}

impl Look {
    fn of(holds: bool, seen: impl FnOnce() -> String) -> Look {
        if holds { Look::Holds } else { Look::Not(seen()) }
    }
}

/// Native time for a question to the shell.
const QUESTION: Duration = Duration::from_secs(5);
/// Native time for an answer to a request of an expectation.
const ANSWER: Duration = Duration::from_secs(2);
/// "Only from these", "never from these": so many answers in a row at least, as balancers
/// take turns.
const ROW: usize = 4;

/// Looks, for one scenario.
pub(super) struct Looker<'s, 'a> {
    pub(super) stage: &'s mut Stage<'a>,
    pub(super) cast: &'s Cast,
    pub(super) clock: Clock,
    pub(super) loads: &'s Loads,
    /// Servers that answered an expectation that wants each of several.
    pub(super) met: &'s mut BTreeSet<String>,
}

impl Looker<'_, '_> {
    /// One look.
    pub(super) fn look(&mut self, expectation: &Expectation) -> Result<Look> {
        if let Some(name) = expectation.asked().map(|name| self.cast.machine(name.get_ref()))
            && self.stage.machine(name)?.is_shut_down()
        {
            return Ok(Look::Not(format!("{name}: it is off")));
        }
        match expectation {
            Expectation::Held(held) => self.held(held),
            Expectation::Answers(answers) => self.answers(answers),
            Expectation::Load(load) => Ok(self.loads.look(load, self.cast, self.clock)),
            Expectation::Unit(unit) => self.unit(unit),
            Expectation::Listens(port) => {
                let command = format!("ss -Hltn 'sport = :{}'", port.port);
                let seen = self.ask(&port.on, &command)?;
                Ok(Look::of(seen.is_empty() != port.is, || match seen.as_str() {
                    "" => "nothing listens there".to_owned(),
                    lines => format!("it listens:\n{lines}"),
                }))
            }
            Expectation::Reachable(reach) => self.reach(reach, true),
            Expectation::Unreachable(reach) => self.reach(reach, false),
            Expectation::File(file) => self.file(file),
            Expectation::Command(command) => self.command(command),
            Expectation::Log(log) => self.log(log),
            Expectation::Healthy(_) => sweep::healthy(self.stage),
            Expectation::Addresses(_) => sweep::addresses(self.stage),
            Expectation::OnlyTheTable(one) => {
                sweep::ports(self.stage, one.from.as_ref().map(|from| from.get_ref().as_str()))
            }
        }
    }

    fn held(&mut self, held: &Holding) -> Result<Look> {
        for (address, holders) in self.stage.holders_of(held.floating.get_ref())? {
            let [holder] = holders.as_slice() else {
                let who =
                    if holders.is_empty() { "nobody".to_owned() } else { holders.join(" and ") };
                return Ok(Look::Not(format!("{who} answers for {address}")));
            };
            let name = |name: &Name| self.cast.machine(name.get_ref()).to_owned();
            let is_by = held.by.as_ref().map(name).is_none_or(|by| by == *holder);
            let is_other = held.other_than.as_ref().map(name).is_none_or(|other| other != *holder);
            if !(is_by && is_other) {
                return Ok(Look::Not(format!("{holder} answers for {address}")));
            }
        }
        Ok(Look::Holds)
    }

    fn answers(&mut self, answers: &Answers) -> Result<Look> {
        let url = answers.url.get_ref();
        let (network, addresses) =
            of_host(self.stage.architecture, self.cast, &url.host, answers.over)?;
        let network = answers.seen_from.as_ref().map_or(network, |from| from.get_ref().clone());
        let is_any = answers.from.is_empty() && answers.not_from.is_empty();
        let rounds = if is_any { 1 } else { ROW.max(self.stage.architecture.servers.len()) };
        for _ in 0..rounds {
            for (_, address) in &addresses {
                if let Some(seen) = self.answer(answers, &network, *address)? {
                    return Ok(Look::Not(seen));
                }
            }
        }
        let wanted = answers.from_each.iter().map(|name| self.cast.machine(name.get_ref()));
        let missing: Vec<&str> = wanted.filter(|name| !self.met.contains(*name)).collect();
        Ok(Look::of(missing.is_empty(), || format!("no answer from {} yet", missing.join(", "))))
    }

    /// What is wrong with one answer, if anything is.
    fn answer(
        &mut self,
        answers: &Answers,
        network: &str,
        address: IpAddr,
    ) -> Result<Option<String>> {
        let url = answers.url.get_ref().at(address);
        let deadline = ANSWER.mul_f64(self.clock.factor());
        let exchange = self.stage.crowd.ask(network, &url, deadline)?;
        let answer = match &exchange.result {
            Ok(answer) => answer,
            Err(failure) => return Ok(Some(format!("{url}: {failure}"))),
        };
        let (status, text) = (answer.status, answer.text());
        let server = answer.server.clone().unwrap_or_default();
        if status != answers.status {
            let whose = if server.is_empty() { server } else { format!(" from {server}") };
            return Ok(Some(format!("{url}: {status}{whose}: {}", first_line(&text))));
        }
        if let Some(words) = answers.body.as_ref().filter(|words| !text.contains(*words)) {
            let line = first_line(&text);
            return Ok(Some(format!("{url}: {status} without {words:?}: {line}")));
        }
        if let Some(name) = &answers.certificate {
            let own = self.stage.credentials.certificates(name.get_ref())?;
            if !answer.certificate.is_some_and(|shown| own.contains(&shown)) {
                return Ok(Some(format!("{url}: another certificate than {}", name.get_ref())));
            }
        }
        if !is_whose(answers, self.cast, &server) {
            let whose =
                if server.is_empty() { "a server that does not say its name" } else { &server };
            return Ok(Some(format!("{url}: an answer from {whose}")));
        }
        self.met.insert(server);
        Ok(None)
    }

    fn unit(&mut self, unit: &UnitIs) -> Result<Look> {
        let command = format!("systemctl is-active {} || true", quote(&unit.unit));
        let seen = self.ask(&unit.on, &command)?;
        Ok(Look::of(seen == unit.is.word(), || format!("{} is {seen}", unit.unit)))
    }

    fn reach(&mut self, reach: &Reach, wanted: bool) -> Result<Look> {
        let host = reach.to.get_ref();
        let (_, addresses) = of_host(self.stage.architecture, self.cast, host, reach.over)?;
        let scan = patient(self.clock.factor());
        for (_, address) in addresses {
            let from = reach.from.get_ref();
            let state = self.stage.crowd.port(from, address, reach.port, scan)?;
            if (state == PortState::Open) != wanted {
                let seen =
                    format!("port {} of {address} is {state:?}, seen from {from}", reach.port);
                return Ok(Look::Not(seen));
            }
        }
        Ok(Look::Holds)
    }

    fn file(&mut self, file: &FileIs) -> Result<Look> {
        let path = quote(file.file.get_ref());
        let seen = self.ask(
            &file.on,
            &format!(
                "if test -f {path}; then echo +; cat {path}; elif test -e {path}; then echo +; fi"
            ),
        )?;
        let content = seen.strip_prefix('+').map(str::trim_start);
        Ok(match (content, &file.has) {
            (None, _) => Look::of(!file.exists, || "there is no such file".to_owned()),
            (Some(_), _) if !file.exists => Look::Not("the file is there".to_owned()),
            (Some(text), Some(words)) => {
                Look::of(text.contains(words), || format!("in it is: {}", first_line(text)))
            }
            (Some(_), None) => Look::Holds,
        })
    }

    fn command(&mut self, wish: &CommandSays) -> Result<Look> {
        let machine = self.stage.machine(self.cast.machine(wish.on.get_ref()))?;
        let output = machine.run(&wish.run, QUESTION)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lacks = wish.says.as_ref().is_some_and(|words| !said.contains(words));
        let has = wish.lacks.as_ref().is_some_and(|words| said.contains(words));
        Ok(Look::of(output.code == wish.code && !lacks && !has, || {
            let words = String::from_utf8_lossy(&output.stderr);
            format!("it ended with {}:\n{}{}", output.code, said, words).trim_end().to_owned()
        }))
    }

    fn log(&mut self, log: &LogSays) -> Result<Look> {
        let unit = log.unit.as_ref().map_or(String::new(), |unit| format!("-u {} ", quote(unit)));
        let seconds = self.clock.now().ceil() as u64 + 1;
        let says = quote(&log.says);
        let command = format!(
            "journalctl -q --no-pager -o cat {unit}--since=-{seconds}s | grep -F -- {says} || true"
        );
        let seen = self.ask(&log.on, &command)?;
        Ok(Look::of(!seen.is_empty(), || "no such line".to_owned()))
    }

    fn ask(&mut self, on: &Name, command: &str) -> Result<String> {
        self.stage.machine(self.cast.machine(on.get_ref()))?.succeed(command, QUESTION)
    }
}

/// Whether an answer may be this server's. One that does not say whose it is may be
/// anyone's.
fn is_whose(answers: &Answers, cast: &Cast, server: &str) -> bool {
    let names = |list: &[Name]| list.iter().any(|name| cast.machine(name.get_ref()) == server);
    let is_wanted = answers.from.is_empty() || names(&answers.from);
    let is_barred = server.is_empty() || names(&answers.not_from);
    is_wanted && (answers.not_from.is_empty() || !is_barred)
}

/// The first line that says something, cut.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(empty)");
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn whose_answer_it_may_be() {
        let read = |more: &str| -> Answers {
            toml::from_str(&format!("url = \"http://web/\"\n{more}")).unwrap()
        };
        let parts = [("active", "web1"), ("standby", "web2")];
        let parts = parts.map(|(part, machine)| (part.to_owned(), machine.to_owned()));
        let cast = Cast(BTreeMap::from(parts));
        let whose = |more: &str| {
            let answers = read(more);
            ["web1", "web2", "web3", ""].map(|server| is_whose(&answers, &cast, server))
        };
        assert_eq!(whose(""), [true, true, true, true]);
        assert_eq!(whose("from = [\"standby\"]"), [false, true, false, false]);
        assert_eq!(whose("not-from = [\"active\"]"), [false, true, true, false]);
        assert_eq!(
            whose("from = [\"active\", \"web3\"]\nnot-from = [\"active\"]"),
            [false, false, true, false]
        );
    }
}
