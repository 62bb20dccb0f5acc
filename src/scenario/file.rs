//! A scenario's file: keys and types as written, then checked as a whole.

use super::Name;
use super::action::Action;
use super::cast::Part;
use super::check::Checker;
use super::expectation::Expectation;
use super::promises::Promises;
use super::url::Url;
use super::values::{Families, Method, People, Rate, Seconds, some_text};
use crate::error::{Place, Result};
use crate::spec::Architecture;
use crate::spec::source::Sources;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The file, before anything but its form is checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawScenario {
    /// One line that says what happens.
    #[serde(deserialize_with = "some_text")]
    title: String,
    /// The number of the promise in docs/promises.md that is put to the test.
    pub(super) promise: Option<Name>,
    /// Whether it reads pages of the demo site: nothing for a website of the user's own.
    #[serde(default)]
    demo_site: bool,
    /// More about it, in sentences.
    #[serde(default)]
    about: String,
    /// `[cast]`: names for machines that are found when the story starts.
    #[serde(default)]
    pub(super) cast: BTreeMap<Name, Part>,
    /// `[loads.<name>]`: web users.
    #[serde(default)]
    pub(super) loads: BTreeMap<Name, RawLoad>,
    /// `[[steps]]`, one after the other.
    pub(super) steps: Vec<Spanned<RawStep>>,
    /// `[mask]`: how to take away what the promise rests on.
    pub(super) mask: Option<Mask>,
}

impl RawScenario {
    /// What loads and expectations ask for.
    fn urls(&self) -> impl Iterator<Item = &Url> {
        let expected = self.steps.iter().flat_map(|step| &step.get_ref().expect);
        let asked = expected.filter_map(|one| one.get_ref().url());
        self.loads.values().map(|load| load.url.get_ref()).chain(asked)
    }
}

/// One of `[[steps]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStep {
    /// What happens, in words: shown while it runs, and on every time line.
    #[serde(deserialize_with = "some_text")]
    pub(super) say: String,
    /// Deeds, one after the other.
    #[serde(default, rename = "do")]
    pub(super) deeds: Vec<Spanned<Action>>,
    /// What must then hold, one after the other.
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expectation>>,
}

/// A load as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLoad {
    pub(super) url: Spanned<Url>,
    #[serde(default)]
    over: Families,
    per_second: Option<Rate>,
    users: Option<Spanned<People>>,
    pause: Option<Spanned<Seconds>>,
    #[serde(default)]
    keep_alive: bool,
    deadline: Seconds,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    body: String,
    good: Option<String>,
}

/// Web users who ask for the same thing again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// What they ask for.
    pub url: Url,
    /// Over which IP versions, in turn; both, if nothing is said.
    pub over: Families,
    /// How often.
    pub pace: Pace,
    /// Whether connections serve more than one request.
    pub keep_alive: bool,
    /// How long each waits for its answer.
    pub deadline: Seconds,
    /// GET, if nothing is said.
    pub method: Method,
    /// What a POST sends.
    pub body: String,
    /// Words that are in the body of a good answer.
    pub good: Option<String>,
}

/// How often requests of a load come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second of all users together, whatever the servers do.
    Open(Rate),
    /// So many users, each of whom asks again when he has his answer and has rested.
    Closed(People, Option<Seconds>),
}

impl RawLoad {
    fn finished(self, name: &Name, sources: &Sources) -> Result<Load> {
        let pace = self.pace(name, sources)?;
        let RawLoad { url, over, keep_alive, deadline, method, body, good, .. } = self;
        Ok(Load { url: url.into_inner(), over, pace, keep_alive, deadline, method, body, good })
    }

    fn pace(&self, name: &Name, sources: &Sources) -> Result<Pace> {
        let wrong = |span: Range<usize>, message: &str, hint: &str| {
            Err(sources.error(span, message).hint(hint))
        };
        match (self.per_second, &self.users, &self.pause) {
            (Some(rate), None, None) => Ok(Pace::Open(rate)),
            (None, Some(users), pause) => {
                Ok(Pace::Closed(*users.get_ref(), pause.as_ref().map(|pause| *pause.get_ref())))
            }
            (Some(_), Some(users), _) => wrong(
                users.span(),
                "`users` wait for their answers, `per-second` waits for nobody",
                "keep one of the two",
            ),
            (_, None, Some(pause)) => wrong(
                pause.span(),
                "only `users` rest between their requests",
                "add `users`, or take `pause` out",
            ),
            (None, None, None) => wrong(
                name.span(),
                "this load does not say how often requests come",
                "add `per-second = 4`, or `users = 4`, each of whom waits for his answers",
            ),
        }
    }
}

/// How the mechanism is taken away; a run with it must fail.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mask {
    /// What is taken away, in words.
    #[serde(deserialize_with = "some_text")]
    pub say: String,
    /// Done before the first step.
    #[serde(rename = "do")]
    pub deeds: Vec<Spanned<Action>>,
}

/// A deed, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// What is done.
    pub action: Action,
    /// Where that is written.
    pub place: Option<Place>,
}

/// An expectation, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// What must hold.
    pub expectation: Expectation,
    /// Where that is written.
    pub place: Option<Place>,
}

/// One step of a story.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What happens, in words.
    pub say: String,
    /// Deeds, one after the other.
    pub deeds: Vec<Act>,
    /// What must then hold, one after the other.
    pub expectations: Vec<Expect>,
}

/// A story that fits its architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending: `whole-server-lost`.
    pub name: String,
    /// One line.
    pub title: String,
    /// The promise that it tests.
    pub promise: Option<String>,
    /// Whether it reads pages of the demo site.
    pub demo_site: bool,
    /// Sentences.
    pub about: String,
    /// By name.
    pub cast: BTreeMap<String, Part>,
    /// By name.
    pub loads: BTreeMap<String, Load>,
    /// In order.
    pub steps: Vec<Step>,
    /// What is taken away, in words, and the deeds.
    pub mask: Option<(String, Vec<Act>)>,
}

impl Scenario {
    /// Reads the file `path` with this content for `architecture`.
    ///
    /// # Errors
    /// With file, line and column of the first thing that is wrong.
    pub fn read(
        path: &str,
        content: &[u8],
        architecture: &Architecture,
        promises: &Promises,
    ) -> Result<Scenario> {
        let mut sources = Sources::default();
        let raw: RawScenario = sources.parse(path, content)?;
        Scenario::checked(path, raw, &sources, architecture, promises)
    }

    /// As [`Scenario::read`], of one that is for all architectures: nothing, where it asks a
    /// website that `architecture` does not have, or not over TLS.
    pub(super) fn read_for_all(
        path: &str,
        content: &[u8],
        architecture: &Architecture,
        promises: &Promises,
    ) -> Result<Option<Scenario>> {
        let mut sources = Sources::default();
        let raw: RawScenario = sources.parse(path, content)?;
        if raw.urls().any(|url| url.is_missing_in(architecture)) {
            return Ok(None);
        }
        Scenario::checked(path, raw, &sources, architecture, promises).map(Some)
    }

    fn checked(
        path: &str,
        raw: RawScenario,
        sources: &Sources,
        architecture: &Architecture,
        promises: &Promises,
    ) -> Result<Scenario> {
        Checker { sources, architecture, promises, raw: &raw }.check()?;
        let stem = Path::new(path).file_stem().unwrap_or_default();
        finished(stem.to_string_lossy().into_owned(), raw, sources)
    }
}

/// The scenario, once all is checked: names without spans, deeds with their places.
fn finished(name: String, raw: RawScenario, sources: &Sources) -> Result<Scenario> {
    let act = |one: Spanned<Action>| {
        let place = sources.place(&one.span());
        Act { action: one.into_inner(), place }
    };
    let expect = |one: Spanned<Expectation>| {
        let place = sources.place(&one.span());
        Expect { expectation: one.into_inner(), place }
    };
    let step = |step: Spanned<RawStep>| {
        let RawStep { say, deeds, expect: expected } = step.into_inner();
        Step {
            say,
            deeds: deeds.into_iter().map(act).collect(),
            expectations: expected.into_iter().map(expect).collect(),
        }
    };
    let mut loads = BTreeMap::new();
    for (name, load) in raw.loads {
        let load = load.finished(&name, sources)?;
        loads.insert(name.into_inner(), load);
    }
    Ok(Scenario {
        name,
        title: raw.title,
        promise: raw.promise.map(Spanned::into_inner),
        demo_site: raw.demo_site,
        about: raw.about.trim().to_owned(),
        cast: raw.cast.into_iter().map(|(name, part)| (name.into_inner(), part)).collect(),
        loads,
        mask: raw.mask.map(|mask| (mask.say, mask.deeds.into_iter().map(act).collect())),
        steps: raw.steps.into_iter().map(step).collect(),
    })
}
