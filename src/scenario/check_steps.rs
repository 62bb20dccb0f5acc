//! The names in each step, and its order: a load is started before it is asked.

use super::Name;
use super::action::Action;
use super::check::Checker;
use super::expectation::{Expectation, Holding, LoadSaw, Reach};
use super::url::Scheme;
use crate::error::Result;
use std::collections::BTreeSet;
use toml::Spanned;

impl Checker<'_> {
    /// Every step and the mask.
    pub(super) fn steps(&self) -> Result<()> {
        if self.raw.steps.iter().all(|step| step.get_ref().expect.is_empty()) {
            let span = self.raw.steps.first().map_or(0..0, Spanned::span);
            let hint =
                "give a step `expect = [...]`: a scenario that expects nothing tests nothing";
            return Err(self.sources.error(span, "this scenario cannot fail").hint(hint));
        }
        for deed in self.raw.mask.iter().flat_map(|mask| &mask.deeds) {
            self.action(deed.get_ref())?;
        }
        let mut started: BTreeSet<&str> = BTreeSet::new();
        for step in &self.raw.steps {
            if step.get_ref().deeds.is_empty() && step.get_ref().expect.is_empty() {
                let message = "this step neither does nor expects anything";
                return Err(self.sources.error(step.span(), message).hint("add `do` or `expect`"));
            }
            for deed in &step.get_ref().deeds {
                self.action(deed.get_ref())?;
                if let Action::StartLoad(name) = deed.get_ref() {
                    started.insert(name.get_ref());
                }
                if let Action::StopLoad(name) = deed.get_ref() {
                    self.is_started(name, &started)?;
                }
            }
            for one in &step.get_ref().expect {
                self.expectation(one)?;
                if let Expectation::Load(load) = one.get_ref() {
                    self.is_started(&load.name, &started)?;
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

    fn action(&self, action: &Action) -> Result<()> {
        match action {
            Action::CutPower(machine)
            | Action::ShutDown(machine)
            | Action::Start(machine)
            | Action::Reset(machine)
            | Action::Reboot(machine)
            | Action::Pause(machine)
            | Action::Resume(machine)
            | Action::Run { on: machine, .. }
            | Action::SetClock { on: machine, .. } => self.machine(machine),
            Action::Kill(process) => self.machine(&process.on),
            Action::StopUnit(unit)
            | Action::StartUnit(unit)
            | Action::RestartUnit(unit)
            | Action::MaskUnit(unit)
            | Action::UnmaskUnit(unit) => self.machine(&unit.on),
            Action::Write(file) => self.machine(&file.on).and_then(|()| self.path(&file.file)),
            Action::Delete(file) | Action::Restore(file) => {
                self.machine(&file.on).and_then(|()| self.path(&file.file))
            }
            Action::LinkDown(link)
            | Action::LinkUp(link)
            | Action::CutCable(link)
            | Action::MendCable(link)
            | Action::Calm(link) => self.link(&link.of, &link.network),
            Action::Disturb(line) => self.link(&line.of, &line.network),
            Action::Partition { network, groups } => {
                self.network(network)?;
                groups.iter().flatten().try_for_each(|member| {
                    self.member(member)?;
                    self.attached(member.span(), member.get_ref(), network.get_ref())
                })
            }
            Action::Heal(network) | Action::Provider(network) => self.network(network).map(drop),
            Action::StartLoad(load) | Action::StopLoad(load) => self.load(load),
        }
    }

    fn expectation(&self, one: &Spanned<Expectation>) -> Result<()> {
        match one.get_ref() {
            Expectation::Held(held) => self.holding(held),
            Expectation::Answers(answers) => {
                self.host(answers.url.span(), &answers.url.get_ref().host)?;
                if let Some(network) = &answers.seen_from {
                    self.network(network)?;
                }
                let is_open = answers.url.get_ref().scheme == Scheme::Http;
                if let Some(name) = answers.certificate.as_ref().filter(|_| is_open) {
                    let message = "nobody shows a certificate over http";
                    let hint = "write the URL with https://, or take `certificate` out";
                    return Err(self.sources.error(name.span(), message).hint(hint));
                }
                let servers = answers.from.iter().chain(&answers.not_from);
                let mut servers = servers.chain(&answers.from_each);
                servers.try_for_each(|server| self.machine(server))
            }
            Expectation::Load(load) => self.load_saw(load, one.span()),
            Expectation::Unit(unit) => self.machine(&unit.on),
            Expectation::Listens(port) => self.machine(&port.on),
            Expectation::Reachable(reach) | Expectation::Unreachable(reach) => self.reach(reach),
            Expectation::File(file) => self.machine(&file.on).and_then(|()| self.path(&file.file)),
            Expectation::Command(command) => self.machine(&command.on),
            Expectation::Log(log) => self.machine(&log.on),
            Expectation::Healthy(_) | Expectation::Addresses(_) => Ok(()),
            Expectation::OnlyTheTable(sweep) => {
                sweep.from.iter().try_for_each(|from| self.network(from).map(drop))
            }
        }
    }

    fn holding(&self, held: &Holding) -> Result<()> {
        let floating = self.floating(&held.floating)?;
        for who in held.by.iter().chain(&held.other_than) {
            self.machine(who)?;
            let name = who.get_ref();
            let is_server = self.architecture.servers.contains_key(name);
            if is_server && !floating.holders.contains(name) {
                let message = format!("{name} can never hold `{}`", floating.name);
                let hint = format!("its holders are: {}", floating.holders.join(", "));
                return Err(self.sources.error(who.span(), message).hint(hint));
            }
        }
        Ok(())
    }

    fn load_saw(&self, load: &LoadSaw, span: std::ops::Range<usize>) -> Result<()> {
        self.load(&load.name)?;
        let says_nothing = load.good.is_none()
            && load.failed.is_none()
            && load.silence.is_none()
            && load.from_each.is_empty();
        if says_nothing {
            let hint =
                "add `good` (at least), `failed` (at most), `silence` (at most) or `from-each`";
            return Err(self.sources.error(span, "nothing is expected of this load").hint(hint));
        }
        load.from_each.iter().try_for_each(|server| self.machine(server))
    }

    fn reach(&self, reach: &Reach) -> Result<()> {
        self.network(&reach.from)?;
        self.host(reach.to.span(), reach.to.get_ref())
    }
}
