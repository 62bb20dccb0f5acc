//! Health: what must be so before a scenario starts and after it ended, and the way back
//! to it. Explicit, and checked: a scenario never inherits what another one left.

use super::clients::NetworkClients;
use super::cluster::Cluster;
use super::cluster_checks;
use super::probe_result::ProbeResult;
use crate::error::{Error, Result};
use crate::exec;
use crate::netsim::AddressMessage;
use crate::progress::{self, Status};
use crate::qemu::RunFolder;
use crate::qemu::{self, Machine};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Native time in which all must be well: 20 s with KVM (see `Speed::limit`).
const HEALTHY_WITHIN: Duration = Duration::from_secs(10);
/// Native time in which a floating address that nobody holds must have a holder.
const TAKEOVER: Duration = Duration::from_secs(5);
/// Time for machines to say that they have an address, and its part that is not scaled.
const ANSWER: Duration = Duration::from_millis(40);
const LEAST: Duration = Duration::from_millis(150);

impl Cluster<'_> {
    /// For both addresses of a floating one: the machines that say on the wire that they
    /// have it.
    pub(super) fn holders_of(&self, floating: &str) -> Result<Vec<(IpAddr, Vec<String>)>> {
        let floating = self
            .architecture
            .floating
            .get(floating)
            .ok_or_else(|| Error::input(format!("there is no floating address {floating}")))?;
        let segment = self.segment(&floating.network)?;
        let patience = ANSWER.mul_f64(f64::from(self.time_scale)).max(LEAST);
        let ask = |address: IpAddr| {
            let answerers = segment.who_has(address, patience)?;
            Ok((address, answerers.into_iter().map(|one| one.port).collect()))
        };
        floating.addresses.all().map(ask).collect()
    }

    /// The one machine that holds both addresses of a floating one.
    pub(super) fn holder_of(&self, floating: &str) -> Result<String> {
        let all = self.holders_of(floating)?;
        let mut holders: Vec<&Vec<String>> = all.iter().map(|(_, holders)| holders).collect();
        holders.dedup();
        match holders.as_slice() {
            [one] if one.len() == 1 => Ok(one[0].clone()),
            _ => {
                let lines = all.iter().map(|(address, holders)| {
                    let who =
                        if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") };
                    format!("{address}: {who}")
                });
                Err(Error::check(format!("{floating} has not exactly one holder"))
                    .detail(lines.collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// That one machine holds a floating address: at once where two do, after the time of a
    /// takeover where nobody does (a scan of all ports leaves emulated machines so busy that
    /// their own checks come late).
    fn await_one_holder(&self, floating: &str) -> Result<()> {
        let end = Instant::now() + TAKEOVER.mul_f64(f64::from(self.time_scale));
        while let Err(error) = self.holder_of(floating) {
            let all = self.holders_of(floating)?;
            let is_split = all.iter().any(|(_, holders)| holders.len() > 1);
            if is_split || Instant::now() > end || exec::interrupted() {
                return Err(error);
            }
            std::thread::sleep(LEAST);
        }
        Ok(())
    }

    /// Keeps the whole topology as it is now, to return to before each scenario.
    pub(super) fn save_baseline(&mut self) -> Result<()> {
        // A new folder: copies of this cluster may go on from what the old one has.
        let folder = Arc::new(RunFolder::new()?);
        let mut machines: Vec<&mut Machine> = self.machines.values_mut().collect();
        self.baseline = qemu::snapshot(&mut machines, folder.path())?;
        self.baseline_folder = folder;
        Ok(())
    }

    /// Undoes what scenarios did: networks are as they were, and all machines go on from
    /// the baseline; then all must become healthy.
    ///
    /// # Errors
    /// `Check` when the machines do not, `Build` when the harness breaks.
    pub fn restore(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.is_touched) {
            return self.wait_until_healthy();
        }
        let start = Instant::now();
        self.machines.clear();
        self.reset_networks()?;
        for machine in qemu::restore(&self.config.emulator, &self.baseline)? {
            self.machines.insert(machine.config().name.clone(), machine);
        }
        let returned = start.elapsed().as_secs_f64();
        self.wait_until_healthy()?;
        let settled = start.elapsed().as_secs_f64();
        progress::step("Restored", format!("in {returned:.1} s, healthy after {settled:.1} s"));
        Ok(())
    }

    /// Networks without a fault, and clients that know nothing of the past.
    fn reset_networks(&mut self) -> Result<()> {
        for segment in self.networks.values() {
            segment.provider(None)?;
            segment.reset();
        }
        self.clients = NetworkClients::attach(self.architecture, &self.networks)?;
        Ok(())
    }

    /// Boots all machines from their images again: what a broken harness has left is not
    /// worth keeping.
    pub(super) fn start_over(&mut self) -> Result<()> {
        // Until all is well again: without machines nothing may be found to be well.
        self.is_touched = true;
        self.machines.clear();
        self.reset_networks()?;
        self.boot_all()?;
        self.wait_until_healthy()?;
        self.save_baseline()?;
        self.is_touched = false;
        Ok(())
    }

    /// What must hold at the end of every scenario.
    pub(super) fn always(&mut self) -> Result<()> {
        self.machines.values().try_for_each(Machine::check_emulator)?;
        let floating: Vec<String> = self.architecture.floating.keys().cloned().collect();
        for name in floating {
            self.await_one_holder(&name)?;
        }
        if let Some(problem) = self.unannounced() {
            return Err(Error::check(problem));
        }
        for (name, machine) in &self.machines {
            let alarms = machine.alarms();
            if !alarms.is_empty() {
                let lines: Vec<String> = alarms.into_iter().map(|(_, line)| line).collect();
                return Err(Error::check(format!(
                    "{name} logged a panic, an oops or an out-of-memory kill"
                ))
                .detail(lines.join("\n")));
            }
        }
        Ok(())
    }

    /// Waits until every machine is up and well, and every floating address has exactly
    /// one holder, which has announced it.
    pub(super) fn wait_until_healthy(&mut self) -> Result<()> {
        let (start, status) = (Instant::now(), Status::new());
        // By how fast the machines are, as every boot: no promise is timed here.
        let limits = self.machines.values().map(|machine| machine.limit(HEALTHY_WITHIN).length());
        let end = start + limits.max().unwrap_or(HEALTHY_WITHIN);
        loop {
            let problem = match self.find_problem()? {
                None => return Ok(()),
                Some(problem) => problem,
            };
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            if Instant::now() > end {
                return Err(Error::check(format!(
                    "cluster not healthy after {:.0} s",
                    start.elapsed().as_secs_f64()
                ))
                .detail(problem));
            }
            status.show(|| {
                let first = problem.lines().next().unwrap_or_default();
                format!("waiting until healthy, {:.0} s: {first}", start.elapsed().as_secs_f64())
            });
            std::thread::sleep(LEAST);
        }
    }

    /// What is not healthy, if anything is not.
    fn find_problem(&mut self) -> Result<Option<String>> {
        if let Some(problem) = self.unannounced() {
            return Ok(Some(problem));
        }
        Ok(match cluster_checks::healthy(self)? {
            ProbeResult::Met => None,
            ProbeResult::NotMet(seen) => Some(seen),
        })
    }

    /// A floating address whose holder has not announced it on the wire, if there is one.
    pub(super) fn unannounced(&self) -> Option<String> {
        for floating in self.architecture.floating.values() {
            let Some(segment) = self.networks.get(&floating.network) else { continue };
            let holder = match self.holder_of(&floating.name) {
                Ok(holder) => holder,
                Err(error) => return Some(error.to_string()),
            };
            for address in floating.addresses.all() {
                let observations = segment.observations();
                let said = observations.iter().rev().find_map(|one| match &one.message {
                    AddressMessage::Announcement(own) if *own == address => Some(one.port.clone()),
                    AddressMessage::Announcement(_)
                    | AddressMessage::Reply(_)
                    | AddressMessage::Vrrp { .. } => None,
                });
                if said.as_deref() != Some(holder.as_str()) {
                    let last = said.unwrap_or_else(|| "nobody".to_owned());
                    return Some(format!("{holder} holds {address}, which {last} announced last"));
                }
            }
        }
        None
    }
}
