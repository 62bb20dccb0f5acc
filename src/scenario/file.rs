//! A scenario's file: keys and types as written, then checked as a whole.

use super::Name;
use super::action::Action;
use super::alias::Alias;
use super::check::Checker;
use super::check_file;
use super::expectation::Expectation;
use super::promises::Promises;
use super::url::Url;
use super::values::{ClientCount, Families, Method, Rate, Seconds, some_text};
use crate::error::{Place, Result};
use crate::names;
use crate::spec::source::Sources;
use crate::spec::{Architecture, Tree};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// Folder of the scenarios; each architecture has one in it.
pub(super) const FOLDER: &str = "vm-tests";

/// Where the scenario `arch4/balancer-gone` is.
fn path_of(name: &str) -> String {
    format!("{FOLDER}/{name}.toml")
}

/// The file, before anything but its form is checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawScenario {
    /// One line that says what happens.
    #[serde(deserialize_with = "some_text")]
    title: String,
    /// The number of the promise in src/scenario/promises.toml that is put to the test.
    pub(super) promise: Option<Name>,
    /// Further promises that it puts to the test.
    #[serde(default)]
    pub(super) also: Vec<Name>,
    /// All but the keys above and `about` is that of another scenario: `"arch4/balancer-gone"`.
    like: Option<Spanned<String>>,
    /// Whether it reads pages of the demo site: nothing for a website of the user's own.
    #[serde(default)]
    demo_site: bool,
    /// More about it, in sentences.
    #[serde(default)]
    about: String,
    /// `[aliases]`: names for machines that are found when the run starts.
    #[serde(default)]
    pub(super) aliases: BTreeMap<Name, Alias>,
    /// `[loads.<name>]`: web clients.
    #[serde(default)]
    pub(super) loads: BTreeMap<Name, RawLoad>,
    /// `[[steps]]`, one after the other.
    #[serde(default)]
    pub(super) steps: Vec<Spanned<RawStep>>,
    /// `[negative-control]`: how to take away what the promise rests on.
    pub(super) negative_control: Option<NegativeControl>,
}

impl RawScenario {
    /// With all that is another scenario's, if it is like one.
    fn with_like(self, sources: &mut Sources, tree: &Tree) -> Result<RawScenario> {
        let Some(like) = &self.like else { return Ok(self) };
        let span = like.span();
        let has_more = self.demo_site
            || !self.aliases.is_empty()
            || !self.loads.is_empty()
            || !self.steps.is_empty()
            || self.negative_control.is_some();
        if has_more {
            let message =
                "a scenario that is like another one has its own title, promise and about";
            let hint = "take all else out, or take `like` out and copy the other file";
            return Err(sources.error(span, message).hint(hint));
        }
        let name = like.get_ref();
        let Some(file) = tree.get(&path_of(name)) else {
            let known = tree.below(FOLDER).filter_map(|(path, _)| path.strip_suffix(".toml"));
            let known: Vec<&str> = known.collect();
            let message = format!("there is no scenario `{name}`");
            return Err(sources
                .error(span, message)
                .hint(names::suggest(name, known.iter().copied())));
        };
        let base: RawScenario = sources.parse(&path_of(name), &file.content)?;
        if base.like.is_some() {
            let message = format!("`{name}` is like another one itself");
            return Err(sources.error(span, message).hint("name that one"));
        }
        let about = if self.about.is_empty() { base.about } else { self.about };
        let (title, promise, also) = (self.title, self.promise, self.also);
        Ok(RawScenario { title, promise, also, about, ..base })
    }

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
    pub(super) name: String,
    /// Actions, one after the other.
    #[serde(default, rename = "do")]
    pub(super) actions: Vec<Spanned<Action>>,
    /// What must then hold, one after the other.
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expectation>>,
}

/// In a load's `url` and `body`: another number in each request.
const NUMBER: &str = "{number}";

/// A load as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLoad {
    pub(super) url: Spanned<Url>,
    #[serde(default)]
    over: Families,
    per_second: Option<Rate>,
    clients: Option<Spanned<ClientCount>>,
    think_time: Option<Spanned<Seconds>>,
    #[serde(default)]
    keep_alive: bool,
    deadline: Seconds,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    body: String,
    contains: Option<String>,
}

/// Web clients who ask for the same thing again and again.
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
    pub contains: Option<String>,
}

/// How often requests of a load come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second of all clients together, whatever the servers do.
    Open(Rate),
    /// So many clients, each of which sends its next request after its answer and its think time.
    Closed(ClientCount, Option<Seconds>),
}

impl RawLoad {
    /// Whether each request has another number.
    fn has_numbers(&self) -> bool {
        self.url.get_ref().path.contains(NUMBER) || self.body.contains(NUMBER)
    }

    fn finished(self, name: &Name, sources: &Sources) -> Result<Load> {
        let pace = self.pace(name, sources)?;
        let RawLoad { url, over, keep_alive, deadline, method, body, contains, .. } = self;
        Ok(Load { url: url.into_inner(), over, pace, keep_alive, deadline, method, body, contains })
    }

    fn pace(&self, name: &Name, sources: &Sources) -> Result<Pace> {
        let wrong = |span: Range<usize>, message: &str, hint: &str| {
            Err(sources.error(span, message).hint(hint))
        };
        match (self.per_second, &self.clients, &self.think_time) {
            (Some(rate), None, None) => Ok(Pace::Open(rate)),
            (None, Some(clients), pause) => {
                Ok(Pace::Closed(*clients.get_ref(), pause.as_ref().map(|pause| *pause.get_ref())))
            }
            (Some(_), Some(clients), _) => wrong(
                clients.span(),
                "`clients` wait for their answers, `per-second` waits for nobody",
                "keep one of the two",
            ),
            (_, None, Some(pause)) => wrong(
                pause.span(),
                "only `clients` pause between their requests",
                "add `clients`, or take `think-time` out",
            ),
            (None, None, None) => wrong(
                name.span(),
                "this load does not say how often requests come",
                "add `per-second = 4`, or `clients = 4`, each of which waits for its answers",
            ),
        }
    }
}

/// How the mechanism is taken away; a run with it must fail.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NegativeControl {
    /// What is taken away, in words.
    #[serde(deserialize_with = "some_text")]
    pub name: String,
    /// Done before the first step.
    #[serde(rename = "do")]
    pub actions: Vec<Spanned<Action>>,
}

/// An action, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedAction {
    /// What is done.
    pub action: Action,
    /// Where that is written.
    pub place: Option<Place>,
}

/// An expectation, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedExpectation {
    /// What must hold.
    pub expectation: Expectation,
    /// Where that is written.
    pub place: Option<Place>,
}

/// One step of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What happens, in words.
    pub name: String,
    /// Actions, one after the other.
    pub actions: Vec<PlacedAction>,
    /// What must then hold, one after the other.
    pub expectations: Vec<PlacedExpectation>,
}

/// A scenario that fits its architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending: `whole-server-lost`.
    pub name: String,
    /// One line.
    pub title: String,
    /// The promise that it tests.
    pub promise: Option<String>,
    /// Further promises that it tests.
    pub also: Vec<String>,
    /// Whether it reads pages of the demo site.
    pub demo_site: bool,
    /// Sentences.
    pub about: String,
    /// By name.
    pub aliases: BTreeMap<String, Alias>,
    /// By name.
    pub loads: BTreeMap<String, Load>,
    /// In order.
    pub steps: Vec<Step>,
    /// What is taken away, in words, and the actions.
    pub negative_control: Option<(String, Vec<PlacedAction>)>,
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
        Scenario::read_in(&Tree::default(), (path, content), architecture, promises)
    }

    /// As [`Scenario::read`], of one that may be like another one of this project.
    pub(super) fn read_in(
        tree: &Tree,
        (path, content): (&str, &[u8]),
        architecture: &Architecture,
        promises: &Promises,
    ) -> Result<Scenario> {
        let mut sources = Sources::default();
        let raw: RawScenario = sources.parse(path, content)?;
        let raw = raw.with_like(&mut sources, tree)?;
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
        let loads = raw.loads.keys().map(|name| name.get_ref().as_str()).collect();
        let numbers = raw.loads.iter().filter(|(_, load)| load.has_numbers());
        let numbers = numbers.map(|(name, _)| name.get_ref().as_str()).collect();
        let aliases = &raw.aliases;
        let checker = Checker { sources, architecture, promises, aliases, loads, numbers };
        check_file::check(&raw, &checker)?;
        let stem = Path::new(path).file_stem().unwrap_or_default();
        finished(stem.to_string_lossy().into_owned(), raw, sources)
    }
}

/// The scenario, once all is checked: names without spans, actions with their places.
fn finished(name: String, raw: RawScenario, sources: &Sources) -> Result<Scenario> {
    let act = |one: Spanned<Action>| {
        let place = sources.place(&one.span());
        PlacedAction { action: one.into_inner(), place }
    };
    let expect = |one: Spanned<Expectation>| {
        let place = sources.place(&one.span());
        PlacedExpectation { expectation: one.into_inner(), place }
    };
    let step = |step: Spanned<RawStep>| {
        let RawStep { name, actions, expect: expected } = step.into_inner();
        Step {
            name,
            actions: actions.into_iter().map(act).collect(),
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
        also: raw.also.into_iter().map(Spanned::into_inner).collect(),
        demo_site: raw.demo_site,
        about: raw.about.trim().to_owned(),
        aliases: raw.aliases.into_iter().map(|(name, alias)| (name.into_inner(), alias)).collect(),
        loads,
        negative_control: raw.negative_control.map(|negative_control| {
            (negative_control.name, negative_control.actions.into_iter().map(act).collect())
        }),
        steps: raw.steps.into_iter().map(step).collect(),
    })
}
