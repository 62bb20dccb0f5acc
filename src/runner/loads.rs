//! The loads of one scenario: those that run, and what those that ended have seen.

use super::clients::{NetworkClients, record};
use super::clock::Clock;
use super::outcome::Request;
use crate::client::Load;
use crate::error::{Error, Result};
use crate::scenario::{self, Family};
use std::collections::BTreeMap;

/// One load, over each of its IP versions.
#[derive(Debug)]
struct Going {
    load: scenario::Load,
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
        load: &scenario::Load,
        clients: &NetworkClients,
        (network, urls): (&str, &[(Family, String)]),
        clock: Clock,
    ) -> Result<()> {
        let loads = clients.load(network, load, urls, clock)?;
        let going =
            Going { load: load.clone(), loads, from: clock.now(), to: None, done: Vec::new() };
        match self.0.insert(name.to_owned(), going) {
            None => Ok(()),
            Some(_) => Err(Error::input(format!("the load {name} was started before"))),
        }
    }

    /// Whether one goes on.
    pub(super) fn is_any(&self) -> bool {
        self.0.values().any(|going| going.to.is_none())
    }

    /// Ends a load; once more does nothing.
    pub(super) fn stop(&mut self, name: &str, clock: Clock) -> Result<()> {
        let Some(going) = self.0.get_mut(name) else { return Ok(()) };
        // What is on its way now may take its time.
        going.to.get_or_insert(clock.now());
        // All of them first: each of those after waits for what is on its way.
        going.loads.iter().for_each(|(_, load)| load.end_soon());
        for (family, load) in std::mem::take(&mut going.loads) {
            let exchanges = load.stop()?;
            let what = (name, &going.load);
            going.done.extend(exchanges.iter().map(|one| record(what, family, clock, one)));
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
    pub(super) fn so_far(&self, name: &str, clock: Clock) -> (Vec<Request>, f64, f64) {
        let Some(going) = self.0.get(name) else { return (Vec::new(), 0.0, 0.0) };
        let running = going.loads.iter().flat_map(|(family, load)| {
            load.so_far().into_iter().map(|one| record((name, &going.load), *family, clock, &one))
        });
        let all = by_time(going.done.iter().cloned().chain(running).collect());
        (all, going.from, going.to.unwrap_or_else(|| clock.now()))
    }
}

fn by_time(mut requests: Vec<Request>) -> Vec<Request> {
    requests.sort_by(|a, b| a.at.total_cmp(&b.at));
    requests
}
