//! What a step expects: one key a kind. `within` gives it time to come true, `stays`
//! says for how long it must remain so.

use super::Name;
use super::url::{Host, Url};
use super::values::{Families, Seconds, some_text};
use serde::Deserialize;

/// One expectation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// A floating address is held by exactly one machine.
    Held(Holding),
    /// A URL answers.
    Answers(Answers),
    /// What a load has seen so far.
    Load(LoadSaw),
    /// A unit's state.
    Unit(UnitIs),
    /// A port on which a machine listens, seen from itself.
    Listens(Listens),
    /// A port that answers, seen from a network.
    Reachable(Reach),
    /// A port that does not answer, seen from a network.
    Unreachable(Reach),
    /// A file.
    File(FileIs),
    /// What a command says.
    Command(CommandSays),
    /// A line of the journal, since the scenario started.
    Log(LogSays),
    /// Every machine is up, no unit has failed, every health check is good.
    Healthy(Everything),
    /// Every address of the spec is on its interface.
    Addresses(Everything),
    /// A full scan finds what the spec lists, and nothing else.
    OnlyTheTable(Sweep),
}

impl Expectation {
    /// What it asks for, if it is of a URL.
    pub(super) fn url(&self) -> Option<&Url> {
        if let Expectation::Answers(answers) = self { Some(answers.url.get_ref()) } else { None }
    }

    /// The machine whose shell is asked, if one is.
    pub fn asked(&self) -> Option<&Name> {
        match self {
            Expectation::Unit(one) => Some(&one.on),
            Expectation::Listens(one) => Some(&one.on),
            Expectation::File(one) => Some(&one.on),
            Expectation::Command(one) => Some(&one.on),
            Expectation::Log(one) => Some(&one.on),
            Expectation::Held(_)
            | Expectation::Answers(_)
            | Expectation::Load(_)
            | Expectation::Reachable(_)
            | Expectation::Unreachable(_)
            | Expectation::Healthy(_)
            | Expectation::Addresses(_)
            | Expectation::OnlyTheTable(_) => None,
        }
    }

    /// How long it has to come true, and for how long it must stay so.
    pub fn times(&self) -> (Option<Seconds>, Option<Seconds>) {
        match self {
            Expectation::Held(one) => (one.within, one.stays),
            Expectation::Answers(one) => (one.within, one.stays),
            Expectation::Load(one) => (one.within, None),
            Expectation::Unit(one) => (one.within, one.stays),
            Expectation::Listens(one) => (one.within, one.stays),
            Expectation::Reachable(one) | Expectation::Unreachable(one) => (one.within, one.stays),
            Expectation::File(one) => (one.within, one.stays),
            Expectation::Command(one) => (one.within, one.stays),
            Expectation::Log(one) => (one.within, None),
            Expectation::Healthy(one) | Expectation::Addresses(one) => (one.within, None),
            Expectation::OnlyTheTable(_) => (None, None),
        }
    }
}

/// See [`Expectation::Held`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holding {
    /// The floating address.
    pub floating: Name,
    /// Who must hold it; any one machine, if nothing is said.
    pub by: Option<Name>,
    /// Who must not.
    pub other_than: Option<Name>,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

/// See [`Expectation::Answers`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Answers {
    /// What is asked for.
    pub url: toml::Spanned<Url>,
    /// Over which IP versions; both, if nothing is said.
    #[serde(default)]
    pub over: Families,
    /// From which network; that of the address, if nothing is said.
    pub seen_from: Option<Name>,
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Words that are in the body.
    pub body: Option<String>,
    /// Every answer is one of these servers'.
    #[serde(default)]
    pub from: Vec<Name>,
    /// No answer is one of these servers'.
    #[serde(default)]
    pub not_from: Vec<Name>,
    /// Each of these servers answers, sooner or later.
    #[serde(default)]
    pub from_each: Vec<Name>,
    /// The server shows this certificate: that of a credential of its, such as
    /// `site.certificate`.
    pub certificate: Option<Name>,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

fn ok() -> u16 {
    200
}

/// See [`Expectation::Load`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadSaw {
    /// The load, running or ended.
    pub name: Name,
    /// At least so many good answers.
    pub good: Option<u32>,
    /// At most so many failed requests.
    pub failed: Option<u32>,
    /// At most so long without a good answer.
    pub silence: Option<Seconds>,
    /// Each of these servers answered.
    #[serde(default)]
    pub from_each: Vec<Name>,
    /// Time to come true: for what a load has yet to see.
    pub within: Option<Seconds>,
}

/// A unit's state, as `systemctl is-active` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    #[default]
    Active,
    /// It does not.
    Inactive,
    /// It ended with an error.
    Failed,
}

impl State {
    /// systemd's word.
    pub fn word(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Inactive => "inactive",
            State::Failed => "failed",
        }
    }
}

/// See [`Expectation::Unit`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnitIs {
    /// The machine.
    pub on: Name,
    /// `haproxy.service`.
    #[serde(deserialize_with = "some_text")]
    pub unit: String,
    /// Its state.
    #[serde(default)]
    pub is: State,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

/// See [`Expectation::Listens`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Listens {
    /// The machine.
    pub on: Name,
    /// TCP's number.
    pub port: u16,
    /// Whether anything listens there.
    #[serde(default = "yes")]
    pub is: bool,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

fn yes() -> bool {
    true
}

/// See [`Expectation::Reachable`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reach {
    /// Whose address.
    pub to: toml::Spanned<Host>,
    /// TCP's number.
    pub port: u16,
    /// The network in which the one who tries is.
    pub from: Name,
    /// Over which IP versions; both, if nothing is said.
    #[serde(default)]
    pub over: Families,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

/// See [`Expectation::File`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileIs {
    /// The machine.
    pub on: Name,
    /// Its whole path.
    pub file: Name,
    /// Whether it is there.
    #[serde(default = "yes")]
    pub exists: bool,
    /// Words that are in it.
    pub has: Option<String>,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

/// See [`Expectation::Command`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CommandSays {
    /// The machine.
    pub on: Name,
    /// For its shell.
    #[serde(deserialize_with = "some_text")]
    pub run: String,
    /// Its exit code.
    #[serde(default)]
    pub code: i32,
    /// Words that are in what it prints.
    pub says: Option<String>,
    /// Words that are not.
    pub lacks: Option<String>,
    /// Time to come true.
    pub within: Option<Seconds>,
    /// Time to remain so.
    pub stays: Option<Seconds>,
}

/// See [`Expectation::Log`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogSays {
    /// The machine.
    pub on: Name,
    /// Of this unit only.
    pub unit: Option<String>,
    /// Words of a line.
    #[serde(deserialize_with = "some_text")]
    pub says: String,
    /// Time to come true.
    pub within: Option<Seconds>,
}

/// Something about the whole topology.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Everything {
    /// Time to come true.
    pub within: Option<Seconds>,
}

/// See [`Expectation::OnlyTheTable`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sweep {
    /// The network from which is looked; from all at a time, if nothing is said.
    pub from: Option<Name>,
}
