//! The loads of one scenario: those that run, and what those that ended have seen.

use super::clock::Clock;
use super::crowd::{Crowd, record};
use super::look::Look;
use super::measure;
use super::outcome::Request;
use crate::error::{Error, Result};
use crate::scenario::{Cast, Family, Load as Wish, LoadSaw};
use crate::vm::Load;
use std::collections::BTreeMap;

/// One load, over each of its IP versions.
#[derive(Debug)]
struct Going {
    wish: Wish,
    loads: Vec<(Family, Load)>,
    /// When it began, and ended if it has.
    from: f64,
    to: Option<f64>,
    done: Vec<Request>,
}

/// All loads, by name.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<String, Going>);

impl Loads {
    /// Starts a load.
    pub(super) fn start(
        &mut self,
        name: &str,
        wish: &Wish,
        crowd: &Crowd,
        (network, urls): (&str, &[(Family, String)]),
        clock: Clock,
    ) -> Result<()> {
        let loads = crowd.load(network, wish, urls, clock)?;
        let going =
            Going { wish: wish.clone(), loads, from: clock.now(), to: None, done: Vec::new() };
        match self.0.insert(name.to_owned(), going) {
            None => Ok(()),
            Some(_) => Err(Error::input(format!("the load {name} was started before"))),
        }
    }

    /// Ends a load; once more does nothing.
    pub(super) fn stop(&mut self, name: &str, clock: Clock) -> Result<()> {
        let Some(going) = self.0.get_mut(name) else { return Ok(()) };
        // What is on its way now may take its time.
        going.to.get_or_insert(clock.now());
        // All of them first: each of those after waits for what is on its way.
        going.loads.iter().for_each(|(_, load)| load.end_soon());
        for (family, load) in std::mem::take(&mut going.loads) {
            let felt = load.stop()?;
            let what = (name, &going.wish);
            going.done.extend(felt.iter().map(|one| record(what, family, clock, one)));
        }
        Ok(())
    }

    /// Ends all loads; all requests by the time they were sent.
    pub(super) fn finish(mut self, clock: Clock) -> Result<Vec<Request>> {
        self.0.values().flat_map(|going| &going.loads).for_each(|(_, load)| load.end_soon());
        let names: Vec<String> = self.0.keys().cloned().collect();
        names.iter().try_for_each(|name| self.stop(name, clock))?;
        Ok(by_time(self.0.into_values().flat_map(|going| going.done).collect()))
    }

    /// Ends all loads at once; the requests that have ended, by the time they were sent.
    /// What was on its way is nobody's any more: the scenario has failed without it.
    pub(super) fn abandon(self, clock: Clock) -> Vec<Request> {
        let names: Vec<String> = self.0.keys().cloned().collect();
        by_time(names.iter().flat_map(|name| self.so_far(name, clock).0).collect())
    }

    /// What a load has seen so far, and since when and until when.
    fn so_far(&self, name: &str, clock: Clock) -> (Vec<Request>, f64, f64) {
        let Some(going) = self.0.get(name) else { return (Vec::new(), 0.0, 0.0) };
        let running = going.loads.iter().flat_map(|(family, load)| {
            load.so_far().into_iter().map(|one| record((name, &going.wish), *family, clock, &one))
        });
        let all = by_time(going.done.iter().cloned().chain(running).collect());
        (all, going.from, going.to.unwrap_or_else(|| clock.now()))
    }

    /// Whether a load saw what is expected.
    pub(super) fn look(&self, wish: &LoadSaw, cast: &Cast, clock: Clock) -> Look {
        let (requests, from, to) = self.so_far(wish.name.get_ref(), clock);
        let good = requests.iter().filter(|one| one.is_good()).count();
        let failed = requests.len() - good;
        let bad = || {
            let first = requests.iter().find(|one| !one.is_good());
            first.map_or(String::new(), |one| {
                let why = one.failure.as_deref().unwrap_or_default();
                format!(", first at {:.1} s over IPv{}: {why}", one.at, one.version)
            })
        };
        if wish.good.is_some_and(|least| good < least as usize) {
            return Look::Not(format!("{good} good answers, {failed} failed requests{}", bad()));
        }
        if wish.failed.is_some_and(|most| failed > most as usize) {
            return Look::Not(format!("{failed} of {} requests failed{}", requests.len(), bad()));
        }
        if let Some(most) = wish.silence {
            let silence = measure::silence(&requests, from, to);
            let allowed = clock.stretched(most).as_secs_f64();
            if silence > allowed {
                return Look::Not(format!(
                    "{silence:.1} s without a good answer, where {allowed:.1} s are allowed"
                ));
            }
        }
        let answered =
            |name: &&str| requests.iter().any(|one| one.server.as_deref() == Some(*name));
        let wanted = wish.from_each.iter().map(|name| cast.machine(name.get_ref()));
        let missing: Vec<&str> = wanted.filter(|name| !answered(name)).collect();
        match missing.as_slice() {
            [] => Look::Holds,
            names => Look::Not(format!("no good answer from {}{}", names.join(", "), bad())),
        }
    }
}

fn by_time(mut requests: Vec<Request>) -> Vec<Request> {
    requests.sort_by(|a, b| a.at.total_cmp(&b.at));
    requests
}
