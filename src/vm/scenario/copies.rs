//! Copies of one topology, so that several scenarios are told at a time: one is booted, the
//! others go on from the moment that it kept, on networks of their own. Emulated machines
//! whose timers are stretched are idle most of the time, while a scenario waits.

use super::outcome::Run;
use super::stage::{Props, Stage};
use crate::error::Result;
use crate::spec::{Architecture, Spec};
use crate::vm::MEMORY_MIB;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Stages that nobody uses now; those who want one wait for it.
#[derive(Debug)]
pub struct Copies<'a> {
    free: Mutex<Vec<Stage<'a>>>,
    returned: Condvar,
}

/// A stage that is one's own until this value ends.
#[derive(Debug)]
pub struct Lent<'c, 'a> {
    copies: &'c Copies<'a>,
    // Empty only while it ends.
    stage: Vec<Stage<'a>>,
}

impl<'a> Copies<'a> {
    /// Boots a topology, and has `count` of it. Machines of the others start when they are
    /// first wanted.
    ///
    /// # Errors
    /// As [`Stage::set_up`].
    pub fn set_up(
        spec: &'a Spec,
        architecture: &'a Architecture,
        props: Props,
        count: NonZeroUsize,
    ) -> Result<Copies<'a>> {
        let first = Stage::set_up(spec, architecture, props)?;
        let others: Result<Vec<Stage<'a>>> =
            (2..=count.get()).map(|number| first.copy(number)).collect();
        let mut free = others?;
        // Taken from the end: what boots is used first.
        free.reverse();
        free.push(first);
        Ok(Copies { free: Mutex::new(free), returned: Condvar::new() })
    }

    /// Waits for one that nobody uses.
    pub fn lend(&self) -> Lent<'_, 'a> {
        let waited = self.returned.wait_while(self.lock(), |free| free.is_empty());
        let stage = waited.unwrap_or_else(PoisonError::into_inner).pop();
        Lent { copies: self, stage: stage.into_iter().collect() }
    }

    /// What is known of the machines of those that nobody uses; no scenario has been run.
    pub fn facts(&self) -> Run {
        let mut facts = self.lock().iter().rev().map(Stage::facts).collect::<Vec<_>>().into_iter();
        let mut all = facts.next().unwrap_or_default();
        for (name, other) in facts.flat_map(|run| run.machines) {
            let own = all.machines.entry(name).or_default();
            own.forgiven_panics = own.forgiven_panics.max(other.forgiven_panics);
            own.speed_factor = own.speed_factor.max(other.speed_factor);
        }
        all
    }

    /// Ends all machines; see [`Stage::strike`].
    ///
    /// # Errors
    /// The first of theirs.
    pub fn strike(self) -> Result<()> {
        let all = self.free.into_inner().unwrap_or_else(PoisonError::into_inner);
        let struck: Vec<Result<()>> = all.into_iter().rev().map(Stage::strike).collect();
        struck.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stage<'a>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Deref for Lent<'_, 'a> {
    type Target = Stage<'a>;

    fn deref(&self) -> &Stage<'a> {
        &self.stage[0]
    }
}

impl<'a> DerefMut for Lent<'_, 'a> {
    fn deref_mut(&mut self) -> &mut Stage<'a> {
        &mut self.stage[0]
    }
}

impl Drop for Lent<'_, '_> {
    fn drop(&mut self) {
        self.copies.lock().append(&mut self.stage);
        self.copies.returned.notify_one();
    }
}

/// How many copies of a topology this host has processors and memory for.
pub fn fitting(architecture: &Architecture) -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // A quarter stays for what QEMU itself takes, and for others.
    let room = available_mib(Path::new("/proc/meminfo")) * 3 / 4;
    let of_one = u64::from(MEMORY_MIB) * architecture.servers.len() as u64;
    let copies = usize::try_from(room / of_one.max(1)).unwrap_or(1).min(processors);
    NonZeroUsize::new(copies).unwrap_or(NonZeroUsize::MIN)
}

/// `MemAvailable:   22867012 kB`: proc_meminfo(5). Nothing where it is not said.
fn available_mib(meminfo: &Path) -> u64 {
    let text = std::fs::read_to_string(meminfo).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "MemTotal: 9 kB\nMemAvailable:    4096000 kB\n").unwrap();
        assert_eq!(available_mib(file.path()), 4000);
        assert_eq!(available_mib(Path::new("/nowhere")), 0);
        assert!(available_mib(Path::new("/proc/meminfo")) > 0);
    }
}
