//! Health: what must be so before a scenario starts and after it ended, and the way back
//! to it. Explicit, and checked: a scenario never inherits what another one left.

use super::look::Look;
use super::stage::Stage;
use super::sweep;
use crate::error::{Error, Result};
use crate::exec;
use crate::vm::Saying;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Native time in which all must be well.
const SETTLING: Duration = Duration::from_secs(20);
/// Time for machines to say that they have an address, and its part that is not scaled.
const ANSWER: Duration = Duration::from_millis(40);
const LEAST: Duration = Duration::from_millis(150);

impl Stage<'_> {
    /// For both addresses of a floating one: the machines that say on the wire that they
    /// have it.
    pub(super) fn holders_of(&self, floating: &str) -> Result<Vec<(IpAddr, Vec<String>)>> {
        let floating = self
            .architecture
            .floating
            .get(floating)
            .ok_or_else(|| Error::input(format!("there is no floating address {floating}")))?;
        let segment = self.segment(&floating.network)?;
        let patience = ANSWER.mul_f64(f64::from(self.factor)).max(LEAST);
        let ask = |address: IpAddr| {
            let answerers = segment.who_has(address, patience)?;
            Ok((address, answerers.into_iter().map(|one| one.port).collect()))
        };
        floating.addresses.both().into_iter().map(ask).collect()
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

    /// Undoes what scenarios did: networks and carriers are as they were, and every machine
    /// that was changed boots anew from the shipped image; then all must come to rest.
    ///
    /// # Errors
    /// `Check` when the machines do not, `Build` when the harness breaks.
    pub fn restore(&mut self) -> Result<()> {
        for segment in self.networks.values() {
            segment.provider(None)?;
            segment.heal();
        }
        let cards = self.networks.len();
        let touched = std::mem::take(&mut self.touched);
        for machine in self.machines.iter_mut().filter(|(name, _)| !touched.contains(*name)) {
            if machine.1.status()? == "paused" {
                machine.1.resume()?;
            }
            (0..cards).try_for_each(|card| machine.1.set_link(card, true))?;
        }
        touched.iter().try_for_each(|name| self.boot_anew(name))?;
        self.settle()
    }

    /// What must hold at the end of every scenario.
    pub(super) fn always(&mut self) -> Result<()> {
        let floating: Vec<String> = self.architecture.floating.keys().cloned().collect();
        for name in floating {
            self.holder_of(&name)?;
        }
        if let Some(problem) = self.unannounced() {
            return Err(Error::check(problem));
        }
        for (name, machine) in &self.machines {
            let alarms = machine.alarms();
            if alarms.len() > machine.forgiven_panics() as usize {
                let lines: Vec<String> = alarms.into_iter().map(|(_, line)| line).collect();
                return Err(Error::check(format!("{name} said what no healthy machine says"))
                    .detail(lines.join("\n")));
            }
        }
        Ok(())
    }

    /// Waits until every machine is up and well, and every floating address has exactly
    /// one holder, which has announced it.
    pub(super) fn settle(&mut self) -> Result<()> {
        let end = Instant::now() + SETTLING.mul_f64(f64::from(self.factor));
        loop {
            let problem = match self.is_settled()? {
                None => return Ok(()),
                Some(problem) => problem,
            };
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            if Instant::now() > end {
                return Err(Error::check("the machines do not come to rest").detail(problem));
            }
            std::thread::sleep(LEAST);
        }
    }

    /// What is not at rest, if anything is not.
    fn is_settled(&mut self) -> Result<Option<String>> {
        let floating: Vec<String> = self.architecture.floating.keys().cloned().collect();
        for name in floating {
            if let Err(error) = self.holder_of(&name) {
                return Ok(Some(error.to_string()));
            }
        }
        Ok(match sweep::healthy(self)? {
            Look::Holds => self.unannounced(),
            Look::Not(seen) => Some(seen),
        })
    }

    /// A floating address whose holder has not announced it on the wire, if there is one.
    pub(super) fn unannounced(&self) -> Option<String> {
        for floating in self.architecture.floating.values() {
            let segment = self.networks.get(&floating.network)?;
            let holder = self.holder_of(&floating.name).ok()?;
            for address in floating.addresses.both() {
                let sightings = segment.sightings();
                let said = sightings.iter().rev().find_map(|one| match &one.saying {
                    Saying::Announcement(own) if *own == address => Some(one.port.clone()),
                    Saying::Announcement(_) | Saying::Answer(_) | Saying::Vrrp { .. } => None,
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
