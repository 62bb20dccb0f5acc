//! Makes what several plans lack, as many steps at a time as the machine has
//! processors: a step starts when all that it reads is there. Steps that plans have
//! in common are made once.

use super::Build;
use crate::error::{Error, Result};
use crate::exec;
use crate::plan::step::Planned;
use crate::progress::{self, Event};
use crate::store::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many steps run at a time where the user does not say: one a processor.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Makes every missing step of `builds`, `jobs` at a time. After a failure nothing new
/// is started; what runs is brought to its end, and is kept.
///
/// # Errors
/// The first failure.
pub fn make_all(builds: &[Build<'_>], jobs: usize) -> Result<()> {
    let work = Work::of(builds)?;
    let workers = jobs.min(work.missing.len());
    let desk = Desk { state: Mutex::new(State::default()), changed: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| desk.work(&work));
        }
    });
    lock(&desk.state).failure.take().map_or(Ok(()), Err)
}

/// A step that is missing, and the steps that must be made before it.
struct Missing<'a> {
    planned: &'a Planned,
    build: &'a Build<'a>,
    after: Vec<Key>,
}

struct Work<'a> {
    /// In the order of the plans, each step once.
    missing: Vec<Missing<'a>>,
}

impl<'a> Work<'a> {
    /// What is missing for the last step of each plan. Nothing behind a result that is
    /// there is looked at: it may be gone from the store for good reason.
    fn of(builds: &'a [Build<'a>]) -> Result<Work<'a>> {
        let mut wanted: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        let mut cached: BTreeSet<Key> = BTreeSet::new();
        for build in builds {
            let mut stack = vec![&build.plan.last];
            while let Some(planned) = stack.pop() {
                let (key, step) = (planned.key(), planned.step());
                if wanted.contains_key(&key) || cached.contains(&key) {
                    continue;
                }
                if build.executor.store.find(key)?.is_some() {
                    let digits = key.to_string();
                    progress::event(Event::StepCached { step: step.name(), key: &digits });
                    cached.insert(key);
                    continue;
                }
                let inputs = step.inputs();
                wanted.insert(key, inputs.iter().map(|input| input.key()).collect());
                stack.extend(inputs);
            }
        }
        let is_missing: BTreeSet<Key> = wanted.keys().copied().collect();
        let mut missing = Vec::new();
        for build in builds {
            for planned in &build.plan.steps {
                let Some(inputs) = wanted.remove(&planned.key()) else { continue };
                let after = inputs.into_iter().filter(|key| is_missing.contains(key)).collect();
                missing.push(Missing { planned, build, after });
            }
        }
        Ok(Work { missing })
    }
}

#[derive(Debug, Default)]
struct State {
    started: BTreeSet<Key>,
    done: BTreeSet<Key>,
    failure: Option<Error>,
}

/// Where workers take their next step.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn work(&self, work: &Work<'_>) {
        let _release = Release(self);
        while let Some(missing) = self.next(work) {
            let made = missing.build.provide(missing.planned);
            let mut state = lock(&self.state);
            match made {
                Ok(_) => drop(state.done.insert(missing.planned.key())),
                Err(error) => drop(state.failure.get_or_insert(error)),
            }
            self.changed.notify_all();
        }
    }

    /// The next step whose inputs are there; waits for one; none when all are started,
    /// or one has failed.
    fn next<'a>(&self, work: &'a Work<'a>) -> Option<&'a Missing<'a>> {
        let mut state = lock(&self.state);
        loop {
            if state.failure.is_some() || exec::interrupted() {
                return None;
            }
            if state.started.len() == work.missing.len() {
                return None;
            }
            let ready = work.missing.iter().find(|step| {
                !state.started.contains(&step.planned.key())
                    && step.after.iter().all(|key| state.done.contains(key))
            });
            if let Some(ready) = ready {
                state.started.insert(ready.planned.key());
                return Some(ready);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Lets the others end when a step panics: they would wait for it for ever.
struct Release<'a>(&'a Desk);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = Error::bug("a step panicked");
            lock(&self.0.state).failure.get_or_insert(told);
            self.0.changed.notify_all();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
