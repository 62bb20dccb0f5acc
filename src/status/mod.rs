//! What the servers of an architecture say of themselves, asked over SSH, all at once: which image
//! runs, since when, whether its checks are good, who holds which floating address.

use crate::error::Result;
use crate::exec::Output;
use crate::progress;
use crate::remote::{self, Login, printable};
use crate::spec::{Architecture, Server};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

const SCRIPT: &str = include_str!("status.sh");
/// What a server's key is known by.
const ALIAS: &str = "imagebuild-server";
/// From so many percent on, a disk is told of.
const NEARLY_FULL: u8 = 90;

/// A server that is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its name.
    pub server: String,
    /// Where it answers SSH, and who logs in.
    pub login: Login,
    /// Its seed's host key; without it, the user's own `ssh` must know the key.
    pub host_key: Option<String>,
    /// The image that it should run.
    pub image: String,
    /// The image's version.
    pub version: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The server's name.
    pub server: String,
    /// Why it could not be asked.
    pub unreachable: Option<String>,
    /// What it said.
    pub facts: Option<Facts>,
    /// What is not as it should be, a sentence each.
    pub wrong: Vec<String>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// IMAGE_ID.
    pub image: String,
    /// IMAGE_VERSION.
    pub version: String,
    /// The slot that was booted: `a` or `b`.
    pub slot: String,
    /// Seconds since it booted.
    pub up: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Addresses on its interfaces, of other scopes than the link's.
    pub addresses: Vec<IpAddr>,
    /// Checks that are good.
    pub good: Vec<String>,
    /// Checks that were left out, and why.
    pub skipped: Vec<String>,
    /// Checks that are not, with what was run.
    pub bad: Vec<String>,
    /// Units that failed.
    pub failed_units: Vec<String>,
    /// How full `/var` and the data are, in percent, by where they are mounted.
    pub full: BTreeMap<String, u8>,
    /// What a pair of databases says: `role`, `both`, `needs` ...
    pub pair: BTreeMap<String, String>,
}

impl Facts {
    /// Reads the lines `fact NAME VALUE`; nothing, if the last of them did not come.
    fn parse(text: &str) -> Option<Facts> {
        let mut facts = Facts::default();
        let mut is_whole = false;
        for line in text.lines() {
            let Some((name, value)) =
                line.strip_prefix("fact ").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let value = value.trim();
            match name {
                "image" => facts.image = value.to_owned(),
                "version" => facts.version = value.to_owned(),
                "slot" => facts.slot = value.to_owned(),
                "up" => facts.up = value.parse().unwrap_or(0),
                "kernel" => facts.kernel = value.to_owned(),
                "address" => facts.addresses.extend(value.parse::<IpAddr>().ok()),
                "check" => facts.check(value),
                "failed" => facts.failed_units.push(value.to_owned()),
                "full" => {
                    let parts = value.split_once(' ');
                    let part = parts.and_then(|(full, place)| Some((place, full.parse().ok()?)));
                    facts
                        .full
                        .extend(part.map(|(place, full): (&str, u8)| (place.to_owned(), full)));
                }
                "pair" => {
                    let pair = value.split_once('=');
                    facts.pair.extend(pair.map(|(key, value)| (key.to_owned(), value.to_owned())));
                }
                "end" => is_whole = true,
                _ => {}
            }
        }
        is_whole.then_some(facts)
    }

    /// A line of imagebuild-check's.
    fn check(&mut self, line: &str) {
        let (list, text) = match line.split_once(':') {
            Some(("good", text)) => (&mut self.good, text),
            Some(("skipped", text)) => (&mut self.skipped, text),
            Some(("FAILED", text)) => (&mut self.bad, text),
            _ => return,
        };
        list.push(text.trim().to_owned());
    }

    /// What is not as it should be.
    fn wrong(&self, question: &Question) -> Vec<String> {
        let mut wrong = Vec::new();
        if (&self.image, &self.version) != (&question.image, &question.version) {
            wrong.push(format!(
                "it runs {} version {}, the project's is {} version {}",
                if self.image.is_empty() { "no image of ours," } else { &self.image },
                self.version,
                question.image,
                question.version
            ));
        }
        if self.good.is_empty() && self.bad.is_empty() {
            wrong.push("it told of no checks".to_owned());
        }
        wrong.extend(self.bad.iter().map(|check| format!("check failed: {check}")));
        wrong.extend(self.failed_units.iter().map(|unit| format!("unit failed: {unit}")));
        let nearly = self.full.iter().filter(|(_, full)| **full >= NEARLY_FULL);
        wrong.extend(nearly.map(|(place, full)| format!("{place} is {full} % full")));
        for key in ["needs", "set-aside"] {
            let value = self.pair.get(key).filter(|value| !value.is_empty());
            wrong.extend(value.map(|value| format!("the pair of databases: {key}: {value}")));
        }
        wrong
    }
}

/// Asks all of them at once.
///
/// # Errors
/// When this machine has no `ssh`, or no room for a host key.
pub fn ask(questions: &[Question]) -> Result<Vec<Answer>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            questions.iter().map(|question| scope.spawn(|| ask_one(question))).collect();
        let died = |_| Err(crate::error::Error::bug("the thread that asked a server died"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
    })
}

fn ask_one(question: &Question) -> Result<Answer> {
    let known = remote::known_hosts(ALIAS, question.host_key.as_slice())?;
    let pinned = known.as_ref().map(|file| (ALIAS, file.path()));
    let mut program = remote::ssh(&question.login, pinned);
    // Several at once: nobody is asked for anything.
    for option in ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=10"] {
        program = program.args(["-o", option]);
    }
    let command = format!("exec sh -c '{SCRIPT}'");
    let program = program.args(["--", &question.login.host, &command]);
    let output = program.envs(std::env::vars_os()).quiet().output()?;
    Ok(answer(question, &output))
}

fn answer(question: &Question, output: &Output) -> Answer {
    let server = question.server.clone();
    match Facts::parse(&printable(&output.stdout)) {
        Some(facts) => {
            let wrong = facts.wrong(question);
            Answer { server, unreachable: None, facts: Some(facts), wrong }
        }
        None => {
            let said = printable(&output.stderr);
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let why = last.unwrap_or("it says nothing").to_owned();
            let wrong = vec![format!("cannot be asked at {}: {why}", question.login)];
            Answer { server, unreachable: Some(why), facts: None, wrong }
        }
    }
}

/// The answers for people: a line for each server, and what is wrong below it.
pub fn text(architecture: &Architecture, answers: &[Answer]) -> String {
    let width = answers.iter().map(|answer| answer.server.len()).max().unwrap_or(0);
    let mut text = String::new();
    for answer in answers {
        let told = answer.facts.as_ref().map(|facts| line(architecture, facts));
        let told = told.unwrap_or_else(|| "does not answer".to_owned());
        text += &format!("{:width$}  {told}\n", answer.server);
        for wrong in &answer.wrong {
            text += &format!("{:width$}  ! {wrong}\n", "");
        }
    }
    text
}

fn line(architecture: &Architecture, facts: &Facts) -> String {
    let mut parts = vec![
        format!("{} version {}", facts.image, facts.version),
        format!("slot {}", facts.slot),
        format!("up {}", duration(facts.up)),
        match facts.good.len() {
            1 => "1 check good".to_owned(),
            good => format!("{good} checks good"),
        },
    ];
    if !facts.skipped.is_empty() {
        parts.push(format!("{} left out", facts.skipped.len()));
    }
    let held = architecture.floating.values().filter(|floating| {
        floating.addresses.all().any(|address| facts.addresses.contains(&address))
    });
    let held: Vec<&str> = held.map(|floating| floating.name.as_str()).collect();
    if !held.is_empty() {
        parts.push(format!("holds {}", held.join(", ")));
    }
    if let Some(role) = facts.pair.get("role") {
        let both = facts.pair.get("both").is_some_and(|both| both == "yes");
        parts.push(format!("{role}, {}", if both { "in sync" } else { "not in sync" }));
    }
    parts.join(", ")
}

/// "3 d 4 h", "12 min".
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h {minutes} min"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// Where a server answers SSH, if nobody says it: its first address in the first network over
/// which it offers SSH.
pub fn address(server: &Server) -> Option<IpAddr> {
    let offered = server.ssh.iter().filter_map(|network| server.addresses.get(network));
    offered.flat_map(|own| own.all()).next()
}

/// Says how many are not as they should be.
///
/// # Errors
/// When there are any.
pub fn verdict(answers: &[Answer]) -> Result<()> {
    let wrong = answers.iter().filter(|answer| !answer.wrong.is_empty()).count();
    if wrong == 0 {
        progress::step("Asked", format!("{} servers: all as they should be", answers.len()));
        return Ok(());
    }
    let all = answers.len();
    let verb = if wrong == 1 { "is" } else { "are" };
    Err(crate::error::Error::check(format!(
        "{wrong} of {all} servers {verb} not as they should be"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use crate::spec::{Spec, Tree};

    const GOOD: &str = include_str!("../../tests/corpus/status/web1");

    fn question() -> Question {
        Question {
            server: "web1".to_owned(),
            login: "admin@172.16.0.11".parse().unwrap(),
            host_key: None,
            image: "arch4-web1".to_owned(),
            version: "1".to_owned(),
        }
    }

    fn answered(code: i32, stdout: &str, stderr: &str) -> Answer {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        answer(&question(), &Output { code, stdout, stderr })
    }

    fn shown(answers: &[Answer]) -> String {
        let spec = Spec::load(Tree::embedded()).unwrap();
        text(spec.architecture("arch4").unwrap(), answers)
    }

    #[test]
    fn a_line_for_each_and_what_is_wrong_below() {
        assert!(!SCRIPT.contains('\''));
        let good = answered(0, GOOD, "");
        assert_eq!(
            shown(std::slice::from_ref(&good)),
            "web1  arch4-web1 version 1, slot a, up 3 d 4 h, 2 checks good, holds web\n"
        );
        verdict(std::slice::from_ref(&good)).unwrap();
        let bad = GOOD
            .replace("fact check good:    PHP", "fact check FAILED:  PHP")
            .replace("fact version 1", "fact version 2")
            .replace("fact full 12 /var", "fact full 97 /var")
            .replace("fact end", "fact failed nginx.service\nfact pair role=replica\nfact pair both=no\nfact pair needs=TwoHistories: x\nfact end");
        let bad = answered(0, &bad, "");
        let lost =
            answered(255, "", "ssh: connect to host 172.16.0.11 port 22: No route to host\r\n");
        assert_eq!(
            shown(&[bad.clone(), lost.clone()]),
            "web1  arch4-web1 version 2, slot a, up 3 d 4 h, 1 check good, holds web, replica, not in sync
      ! it runs arch4-web1 version 2, the project's is arch4-web1 version 1
      ! check failed: PHP answers: /usr/lib/imagebuild/check-web php
      ! unit failed: nginx.service
      ! /var is 97 % full
      ! the pair of databases: needs: TwoHistories: x
web1  does not answer
      ! cannot be asked at admin@172.16.0.11: ssh: connect to host 172.16.0.11 port 22: No route to host
"
        );
        let error = verdict(&[good, bad, lost]).unwrap_err();
        assert_eq!(error.message(), "2 of 3 servers are not as they should be");
    }

    #[test]
    fn half_an_answer_is_none() {
        let half = answered(255, &GOOD.replace("fact end .\n", ""), "Connection reset by peer\n");
        assert_eq!(half.unreachable.as_deref(), Some("Connection reset by peer"));
    }

    #[test]
    fn a_corpus_of_answers_changed_at_random() {
        Fuzz::of("status", &["fact ", "check FAILED", "full 99 /", "pair =", "\n"]).run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let answer = answered(0, &text, &text);
            assert!(shown(&[answer]).starts_with("web1  "));
        });
    }
}
