//! Copies of one topology, so that several scenarios are told at a time: one is booted, the
//! others go on from the moment that it kept, on networks of their own. Emulated machines
//! whose timers are stretched are idle most of the time, while a scenario waits.

use super::outcome::Run;
use super::stage::{Props, Stage, host_processors, processors_of_each};
use crate::error::Result;
use crate::spec::{Architecture, Spec};
use crate::vm::{Accelerator, MEMORY_MIB, accelerator};
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Stages that nobody uses now; those who want one wait for it.
#[derive(Debug)]
pub struct Copies<'a> {
    free: Mutex<Vec<Stage<'a>>>,
    returned: Condvar,
    /// Of the one that was booted, when it was.
    booted: Run,
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
        let booted = first.facts();
        let others: Result<Vec<Stage<'a>>> =
            (2..=count.get()).map(|number| first.copy(number)).collect();
        let mut free = others?;
        // Taken from the end: what boots is used first.
        free.reverse();
        free.push(first);
        Ok(Copies { free: Mutex::new(free), returned: Condvar::new(), booted })
    }

    /// Waits for one that nobody uses.
    pub fn lend(&self) -> Lent<'_, 'a> {
        let waited = self.returned.wait_while(self.lock(), |free| free.is_empty());
        let stage = waited.unwrap_or_else(PoisonError::into_inner).pop();
        Lent { copies: self, stage: stage.into_iter().collect() }
    }

    /// What is known of the topology, and of the machines of those that nobody uses; no
    /// scenario has been run.
    pub fn facts(&self) -> Run {
        let mut all = self.booted.clone();
        // A machine that went on from a snapshot knows nothing of its boot's panics.
        let now: Vec<Run> = self.lock().iter().map(Stage::facts).collect();
        for (name, other) in now.into_iter().flat_map(|run| run.machines) {
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
///
/// # Errors
/// When `IMAGEBUILD_ACCEL` names no accelerator.
pub fn fitting(architecture: &Architecture) -> Result<NonZeroUsize> {
    let machines = architecture.servers.len();
    let busy = machines * processors_of_each(machines) as usize;
    let share = if accelerator()? == Accelerator::Tcg { BUSY_PER_PROCESSOR } else { 1 };
    let processors = host_processors();
    let fast = (processors * share / busy.max(1)).min(processors);
    let of_one = u64::from(MEMORY_MIB) * machines as u64;
    // A quarter stays for what QEMU itself takes, and for others.
    let room = available_mib() * 3 / 4 / of_one.max(1);
    let copies = fast.min(usize::try_from(room).unwrap_or(usize::MAX));
    Ok(NonZeroUsize::new(copies).unwrap_or(NonZeroUsize::MIN))
}

/// Emulated processors that one of the host's is enough for, if timers are stretched: with
/// three, two cores were busy for 60 to 90 % of the time that architecture 4's scenarios took.
const BUSY_PER_PROCESSOR: usize = 3;

/// Memory that is free, in MiB: proc_meminfo(5), and what the control group leaves of it.
fn available_mib() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let group = |name: &str| read(&format!("/sys/fs/cgroup/{name}")).trim().parse::<u64>().ok();
    let limit =
        group("memory.max").map(|most| most - group("memory.current").unwrap_or(0).min(most));
    let free = free_mib(&read("/proc/meminfo"));
    limit.map_or(free, |bytes| free.min(bytes >> 20))
}

/// `MemAvailable:   22867012 kB`; nothing where it is not said.
fn free_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(free_mib("MemTotal: 9 kB\nMemAvailable:    4096000 kB\n"), 4000);
        assert_eq!(free_mib(""), 0);
        assert!(available_mib() > 0);
    }
}
