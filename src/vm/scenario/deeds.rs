//! Carries out what a step does. Faults come from outside the guest wherever they can:
//! power, cables and carriers are QEMU's and the switch's; the rest goes by the shell.

use super::stage::Stage;
use crate::error::Result;
use crate::exec::quote;
use crate::scenario::{Action, Cast, Direction, Disturbance, Name, OnLink, USERS};
use crate::vm::{self, Faults, Machine, Provider};
use std::time::Duration;

/// Native time for a deed of the shell that says nothing else.
const DEED: Duration = Duration::from_secs(10);
/// Where the shell keeps files that a scenario changes, in the guest.
const KEPT: &str = "/run/imagebuild-test/kept";

/// Does what steps say.
pub(super) struct Doer<'s, 'a> {
    pub(super) stage: &'s mut Stage<'a>,
    pub(super) cast: &'s Cast,
}

impl Doer<'_, '_> {
    /// Carries a deed out; loads are not its business.
    pub(super) fn act(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::CutPower(name) => self.machine(name)?.cut_off(),
            Action::ShutDown(name) => self.machine(name)?.shut_down(),
            Action::Start(name) => self.machine(name)?.switch_on().map(drop),
            Action::Reset(name) => {
                self.machine(name)?.cut_power()?;
                self.machine(name)?.wait_for_shell().map(drop)
            }
            Action::Reboot(name) => self.machine(name)?.reboot().map(drop),
            Action::Pause(name) => self.machine(name)?.pause(),
            Action::Resume(name) => self.machine(name)?.resume(),
            Action::Kill(one) => {
                self.shell(&one.on, &format!("pkill -{} -x {}", one.signal, quote(&one.process)))
            }
            Action::StopUnit(one) => self.systemctl(&one.on, "stop", &one.unit),
            Action::StartUnit(one) => self.systemctl(&one.on, "start", &one.unit),
            Action::RestartUnit(one) => self.systemctl(&one.on, "restart", &one.unit),
            Action::MaskUnit(one) => self.systemctl(&one.on, "mask --runtime", &one.unit),
            Action::UnmaskUnit(one) => self.systemctl(&one.on, "unmask --runtime", &one.unit),
            Action::Write(one) => self.write(&one.on, one.file.get_ref(), &one.text),
            Action::Delete(one) => self.delete(&one.on, one.file.get_ref()),
            Action::Restore(one) => self.restore(&one.on, one.file.get_ref()),
            Action::LinkDown(link) => self.carrier(link, false),
            Action::LinkUp(link) => self.carrier(link, true),
            Action::CutCable(link) => self.cable(link, Faults::cut()),
            Action::MendCable(link) | Action::Calm(link) => self.cable(link, Faults::none()),
            Action::Disturb(line) => self.disturb(line),
            Action::Partition { network, groups } => self.partition(network, groups),
            Action::Heal(network) => {
                self.stage.segment(network.get_ref())?.heal();
                Ok(())
            }
            Action::Provider(network) => self.provider(network.get_ref()),
            Action::Run { on, command, within } => {
                let native = within.map_or(DEED, |within| Duration::from_secs_f64(within.get()));
                self.machine(on)?.succeed(command, native).map(drop)
            }
            Action::SetClock { on, by } => {
                // timesyncd has nobody to ask, and would only be told once.
                self.shell(on, &format!("date --set=@$(($(date +%s) + {by})) >/dev/null"))
            }
            Action::StartLoad(_) | Action::StopLoad(_) => Ok(()),
        }
    }

    fn machine(&mut self, name: &Name) -> Result<&mut Machine> {
        self.stage.machine(self.cast.machine(name.get_ref()))
    }

    fn shell(&mut self, on: &Name, command: &str) -> Result<()> {
        self.machine(on)?.succeed(command, DEED).map(drop)
    }

    fn systemctl(&mut self, on: &Name, verb: &str, unit: &str) -> Result<()> {
        self.shell(on, &format!("systemctl {verb} {}", quote(unit)))
    }

    fn write(&mut self, on: &Name, file: &str, text: &str) -> Result<()> {
        let (path, text) = (quote(file), quote(text));
        let change = format!("printf %s {text} >{path}.new && mv {path}.new {path}");
        self.shell(on, &format!("{} && {change}", keep(file)))
    }

    fn delete(&mut self, on: &Name, file: &str) -> Result<()> {
        self.shell(on, &format!("{} && rm {}", keep(file), quote(file)))
    }

    fn restore(&mut self, on: &Name, file: &str) -> Result<()> {
        let (path, kept) = (quote(file), kept(file));
        let put = format!("cp -a {kept} {path}.new && mv {path}.new {path} && rm {kept}");
        let remove = format!("test -e {kept}.absent && rm -f {path} {kept}.absent");
        let lost = "{ echo 'this scenario has not changed that file' >&2; exit 1; }";
        self.shell(on, &format!("if test -e {kept}; then {put}; else {remove} || {lost}; fi"))
    }

    fn carrier(&mut self, link: &OnLink, up: bool) -> Result<()> {
        let card = self.stage.card(link.network.get_ref())?;
        self.machine(&link.of)?.set_carrier(card, up)
    }

    fn cable(&mut self, link: &OnLink, faults: Faults) -> Result<()> {
        let machine = self.cast.machine(link.of.get_ref());
        let segment = self.stage.segment(link.network.get_ref())?;
        segment.faults(machine, direction(link.direction), faults)
    }

    fn disturb(&mut self, line: &Disturbance) -> Result<()> {
        let machine = self.cast.machine(line.of.get_ref());
        let faults = Faults {
            cut: false,
            loss: line.loss.map_or(0.0, |share| share.get()),
            duplicate: line.duplicate.map_or(0.0, |share| share.get()),
            delay: line.delay.map_or(Duration::ZERO, |time| Duration::from_secs_f64(time.get())),
            rate: line.bits_per_second,
        };
        let segment = self.stage.segment(line.network.get_ref())?;
        segment.faults(machine, direction(line.direction), faults)
    }

    fn partition(&mut self, network: &Name, groups: &[Vec<Name>]) -> Result<()> {
        let name = |name: &Name| match name.get_ref().as_str() {
            USERS => USERS.to_owned(),
            other => self.cast.machine(other).to_owned(),
        };
        let groups: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(name).collect()).collect();
        let groups: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(String::as_str).collect()).collect();
        let slices: Vec<&[&str]> = groups.iter().map(Vec::as_slice).collect();
        self.stage.segment(network.get_ref())?.partition(&slices)
    }

    /// Servers may use their own addresses and the floating ones that they may hold.
    fn provider(&mut self, network: &str) -> Result<()> {
        let architecture = self.stage.architecture;
        let mut rules = Provider::new();
        for server in architecture.servers.values() {
            let Some(own) = server.addresses.get(network) else { continue };
            let held = architecture
                .floating
                .values()
                .filter(|floating| floating.network == network && floating.is_at(&server.name));
            let all = held.map(|floating| floating.addresses).chain([*own]);
            let all: Vec<_> = all.flat_map(|addresses| addresses.all()).collect();
            rules = rules.allow(&server.name, all);
        }
        self.stage.segment(network)?.provider(Some(rules))
    }
}

fn direction(direction: Direction) -> vm::Direction {
    match direction {
        Direction::In => vm::Direction::ToMachine,
        Direction::Out => vm::Direction::FromMachine,
        Direction::Both => vm::Direction::Both,
    }
}

/// Where a file is kept, quoted.
fn kept(file: &str) -> String {
    quote(&format!("{KEPT}/{}", file.replace('/', "_")))
}

/// Keeps a file, or that there is none, unless that was done before.
fn keep(file: &str) -> String {
    let (path, kept) = (quote(file), kept(file));
    format!(
        "mkdir -p {KEPT} && if test -e {kept} || test -e {kept}.absent; then :; elif test -e {path}; then cp -a {path} {kept}; else touch {kept}.absent; fi"
    )
}
