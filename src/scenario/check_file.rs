//! Checks a file: the names in it, and its order: a load is started before it is asked.

use super::Name;
use super::action::OnLoad;
use super::check::Checker;
use super::file::RawScenario;
use crate::error::Result;
use std::collections::BTreeSet;
use toml::Spanned;

/// The first thing that is wrong in a file, if anything is.
pub(super) fn check(raw: &RawScenario, checker: &Checker<'_>) -> Result<()> {
    for promise in raw.promise.iter().chain(&raw.also) {
        checker.promise(promise)?;
    }
    for (name, alias) in &raw.aliases {
        checker.alias(name, alias)?;
    }
    for load in raw.loads.values() {
        checker.host(load.url.span(), &load.url.get_ref().host)?;
    }
    checker.steps(raw)
}

impl Checker<'_> {
    /// Every step, and the negative control.
    fn steps(&self, raw: &RawScenario) -> Result<()> {
        if raw.steps.iter().all(|step| step.get_ref().expect.is_empty()) {
            let span = raw.steps.first().map_or(0..0, Spanned::span);
            let hint =
                "give a step `expect = [...]`: a scenario that expects nothing tests nothing";
            return Err(self.sources.error(span, "this scenario cannot fail").hint(hint));
        }
        let control = raw.negative_control.iter();
        for action in control.flat_map(|control| &control.actions) {
            action.get_ref().check(self)?;
        }
        let mut started: BTreeSet<&str> = BTreeSet::new();
        for step in &raw.steps {
            if step.get_ref().actions.is_empty() && step.get_ref().expect.is_empty() {
                let message = "this step neither does nor expects anything";
                return Err(self.sources.error(step.span(), message).hint("add `do` or `expect`"));
            }
            for action in &step.get_ref().actions {
                action.get_ref().check(self)?;
                match action.get_ref().load() {
                    Some(OnLoad::Starts(name)) => drop(started.insert(name.get_ref())),
                    Some(OnLoad::Stops(name)) => self.is_started(name, &started)?,
                    None => {}
                }
            }
            for one in &step.get_ref().expect {
                one.get_ref().check(self, one.span())?;
                if let Some(name) = one.get_ref().load() {
                    self.is_started(name, &started)?;
                }
            }
        }
        Ok(())
    }

    fn is_started(&self, name: &Name, started: &BTreeSet<&str>) -> Result<()> {
        if started.contains(name.get_ref().as_str()) {
            return Ok(());
        }
        let load = name.get_ref();
        let message = format!("the load `{load}` has not been started");
        let hint = format!("add `{{ start-load = \"{load}\" }}` to the `do` of an earlier step");
        Err(self.sources.error(name.span(), message).hint(hint))
    }
}
