//! Clusters of one architecture, so that several scenarios run at a time: one is booted, the
//! others are restored from its snapshot, on networks of their own. Emulated machines whose
//! timers are scaled are idle most of the time, while a scenario waits.

use super::cluster::{Cluster, ClusterConfig, host_processors, processors_of_each};
use super::outcome::Run;
use crate::error::Result;
use crate::qemu::{Accelerator, MEMORY_MIB, accelerator};
use crate::spec::{Architecture, Spec};
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Clusters that nobody uses now; those who want one wait for it.
#[derive(Debug)]
pub struct ClusterPool<'a> {
    free: Mutex<Vec<Cluster<'a>>>,
    returned: Condvar,
    /// Of the one that was booted, when it was.
    booted: Run,
}

/// A cluster that is one's own until this value ends.
#[derive(Debug)]
pub struct PooledCluster<'c, 'a> {
    pool: &'c ClusterPool<'a>,
    // Empty only while it ends.
    cluster: Vec<Cluster<'a>>,
}

impl<'a> ClusterPool<'a> {
    /// Boots a topology, and has `count` of it. Machines of the others start when they are
    /// first wanted.
    ///
    /// # Errors
    /// As [`Cluster::set_up`].
    pub fn set_up(
        spec: &'a Spec,
        architecture: &'a Architecture,
        config: ClusterConfig,
        count: NonZeroUsize,
    ) -> Result<ClusterPool<'a>> {
        let first = Cluster::set_up(spec, architecture, config)?;
        let booted = first.facts();
        let others: Result<Vec<Cluster<'a>>> =
            (2..=count.get()).map(|number| first.copy(number)).collect();
        let mut free = others?;
        // Taken from the end: what boots is used first.
        free.reverse();
        free.push(first);
        Ok(ClusterPool { free: Mutex::new(free), returned: Condvar::new(), booted })
    }

    /// Waits for one that nobody uses.
    pub fn acquire(&self) -> PooledCluster<'_, 'a> {
        let waited = self.returned.wait_while(self.lock(), |free| free.is_empty());
        let cluster = waited.unwrap_or_else(PoisonError::into_inner).pop();
        PooledCluster { pool: self, cluster: cluster.into_iter().collect() }
    }

    /// What is known of the topology, and of the machines of those that nobody uses; no
    /// scenario has been run.
    pub fn facts(&self) -> Run {
        let mut all = self.booted.clone();
        // A machine that went on from a snapshot knows nothing of its boot's panics.
        let now: Vec<Run> = self.lock().iter().map(Cluster::facts).collect();
        for (name, other) in now.into_iter().flat_map(|run| run.machines) {
            let own = all.machines.entry(name).or_default();
            own.forgiven_panics = own.forgiven_panics.max(other.forgiven_panics);
            own.slowdown = own.slowdown.max(other.slowdown);
        }
        all
    }

    /// Ends all machines; see [`Cluster::shut_down`].
    ///
    /// # Errors
    /// The first of theirs.
    pub fn shut_down(self) -> Result<()> {
        let all = self.free.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ends: Vec<Result<()>> = all.into_iter().rev().map(Cluster::shut_down).collect();
        ends.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cluster<'a>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Deref for PooledCluster<'_, 'a> {
    type Target = Cluster<'a>;

    fn deref(&self) -> &Cluster<'a> {
        &self.cluster[0]
    }
}

impl<'a> DerefMut for PooledCluster<'_, 'a> {
    fn deref_mut(&mut self) -> &mut Cluster<'a> {
        &mut self.cluster[0]
    }
}

impl Drop for PooledCluster<'_, '_> {
    fn drop(&mut self) {
        self.pool.lock().append(&mut self.cluster);
        self.pool.returned.notify_one();
    }
}

/// How many copies of a topology this host has processors and memory for.
///
/// # Errors
/// When `IMAGEBUILD_ACCEL` names no accelerator.
pub fn pool_size(architecture: &Architecture) -> Result<NonZeroUsize> {
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

/// Emulated processors that one of the host's is enough for, if timers are scaled: with
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
