//! Looks at the whole topology: health, addresses, and every port, against what the spec
//! says.

use super::crowd::patient;
use super::look::Look;
use super::stage::Stage;
use super::table;
use crate::error::{Error, Result};
use crate::spec::Prefix;
use crate::vm::{Machine, PortState, Scan, Users};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Calls a second of all scans together, and of those for one machine: more would leave
/// emulated machines no time for their own business, and a floating address would move.
const MOST_CALLS: u32 = 15_000;
const CALLS_OF_A_MACHINE: u32 = 5_000;
/// How often a port of the table that was silent is asked again.
const CALM_CALLS: u32 = 3;
/// As many lines of each machine as a person reads.
const JOURNAL_LINES: u32 = 60;
/// Native time for reading them.
const GLANCE: Duration = Duration::from_secs(2);
/// Native time for a machine's questions about itself.
const HEALTH: Duration = Duration::from_secs(10);
/// A line for everything that is not well; nothing when all is. A machine that still boots
/// is not asked for its checks, and not in a hurry: they would take its time.
const ILL: &str = r#"state=$(timeout 5 systemctl is-system-running --wait)
[ -n "$state" ] || state=$(systemctl is-system-running)
if [ "$state" = running ]
then imagebuild-check | grep -v -e '^good:' -e '^skipped:'
else echo "the system is $state"; systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend --plain
fi
true"#;

/// What all machines say to a command; they are asked at a time.
fn ask_all(
    stage: &mut Stage<'_>,
    ask: impl Fn(&mut Machine) -> Result<String> + Sync,
) -> Vec<(String, Result<String>)> {
    let ask = &ask;
    std::thread::scope(|scope| {
        let threads: Vec<_> = stage
            .machines
            .iter_mut()
            .map(|(name, machine)| (name.clone(), scope.spawn(move || ask(machine))))
            .collect();
        let died = |_| Err(Error::build("the thread that asked a machine died"));
        threads.into_iter().map(|(name, one)| (name, one.join().unwrap_or_else(died))).collect()
    })
}

/// The last lines that each machine logged within so many seconds. One that does not
/// answer any more has none here: its console is kept. Nobody waits long for that: a
/// machine that hangs is often why its scenario failed.
pub(super) fn journals(stage: &mut Stage<'_>, seconds: f64) -> BTreeMap<String, String> {
    let since = seconds.ceil() as u64 + 1;
    let command =
        format!("journalctl -q --no-pager -o short-precise --since=-{since}s -n {JOURNAL_LINES}");
    let ask = |machine: &mut Machine| {
        if machine.status()? != "running" {
            return Err(Error::check("it stands still"));
        }
        let output = machine.run_or_give_up(&command, GLANCE, GLANCE)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    };
    let answers = ask_all(stage, ask).into_iter();
    answers.filter_map(|(name, said)| Some((name, said.ok()?))).collect()
}

/// Whether every machine is up and well.
pub(super) fn healthy(stage: &mut Stage<'_>) -> Result<Look> {
    let off = stage.machines.iter().filter(|(_, machine)| !machine.is_on());
    let mut ill: Vec<String> = off.map(|(name, _)| format!("{name}: it is off")).collect();
    if !ill.is_empty() {
        return Ok(Look::Not(ill.join("\n")));
    }
    for (name, said) in ask_all(stage, |machine| machine.succeed(ILL, HEALTH)) {
        let said = said?;
        if !said.is_empty() {
            ill.push(format!("{name}: {said}"));
        }
    }
    Ok(if ill.is_empty() { Look::Holds } else { Look::Not(ill.join("\n")) })
}

/// Whether every address of the spec is on its interface.
pub(super) fn addresses(stage: &mut Stage<'_>) -> Result<Look> {
    let architecture = stage.architecture;
    for server in architecture.servers.values() {
        for (network, own) in &server.addresses {
            let Some(network) = architecture.networks.get(network) else { continue };
            let interface = &network.interface;
            let machine = stage.machine(&server.name)?;
            let said = machine.succeed(&format!("ip -o address show dev {interface}"), HEALTH)?;
            let one = |address: Option<IpAddr>, prefix: Option<Prefix>| {
                Some(format!(" {}/{} ", address?, prefix?.length))
            };
            let v4 = one(own.v4.map(IpAddr::from), network.v4);
            let v6 = one(own.v6.map(IpAddr::from), network.v6);
            let wanted: Vec<String> = v4.into_iter().chain(v6).collect();
            if let Some(address) = wanted.iter().find(|address| !said.contains(*address)) {
                let name = &server.name;
                return Ok(Look::Not(format!(
                    "{interface} of {name} lacks {}:\n{said}",
                    address.trim()
                )));
            }
        }
    }
    Ok(Look::Holds)
}

/// Whether a scan of all ports from `network` (from every one, if none is named) finds what
/// the spec lists for somebody there, and nothing else. All addresses at a time: a scan is
/// mostly waiting.
pub(super) fn ports(stage: &Stage<'_>, network: Option<&str>) -> Result<Look> {
    let networks = stage.architecture.networks.keys().map(String::as_str);
    let mut scans = Vec::new();
    for network in networks.filter(|name| network.is_none_or(|one| one == *name)) {
        let users = stage.crowd.on(network)?;
        let table = table::open_to(stage.spec, stage.architecture, network).into_iter();
        scans.extend(table.map(|(address, listed)| (network, users, address, listed)));
    }
    let patient = patient(f64::from(stage.factor));
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let all = MOST_CALLS.min(CALLS_OF_A_MACHINE * size(stage.machines.len()));
    let share = all / size(scans.len());
    let how = Scan { per_second: share.clamp(1, patient.per_second), ..patient };
    let results: Vec<Result<_>> = std::thread::scope(|scope| {
        let scan = |users: &'_ Users, address| users.scan(address, 1..=u16::MAX, how);
        let threads: Vec<_> = scans
            .iter()
            .map(|(_, users, address, _)| scope.spawn(move || scan(users, *address)))
            .collect();
        let died = |_| Err(Error::build("the thread of a scan died"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
    });
    let mut wrong = Vec::new();
    for ((network, users, address, listed), found) in scans.iter().zip(results) {
        let mut open = open_of(found?);
        // In the rush of all scans a machine may have had no time for a call: what answers
        // when it is asked alone is open.
        for _ in 0..CALM_CALLS {
            let silent: Vec<u16> = listed.difference(&open).copied().collect();
            if silent.is_empty() {
                break;
            }
            open.extend(open_of(users.scan(*address, silent, patient)?));
        }
        wrong.extend(complaint(*address, network, listed, &open));
    }
    Ok(if wrong.is_empty() { Look::Holds } else { Look::Not(wrong.join("\n")) })
}

fn open_of(found: Vec<(u16, PortState)>) -> BTreeSet<u16> {
    let open = found.into_iter().filter(|(_, state)| *state == PortState::Open);
    open.map(|(port, _)| port).collect()
}

fn complaint(
    address: IpAddr,
    network: &str,
    listed: &BTreeSet<u16>,
    open: &BTreeSet<u16>,
) -> Option<String> {
    let list = |ports: Vec<&u16>| ports.iter().map(|port| port.to_string()).collect::<Vec<_>>();
    let beyond = list(open.difference(listed).collect());
    let silent = list(listed.difference(open).collect());
    match (beyond.as_slice(), silent.as_slice()) {
        ([], []) => None,
        (ports, []) => Some(format!("{address}, from {network}: also open: {}", ports.join(", "))),
        ([], ports) => Some(format!("{address}, from {network}: not open: {}", ports.join(", "))),
        (more, less) => Some(format!(
            "{address}, from {network}: also open: {}; not open: {}",
            more.join(", "),
            less.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_too_much_and_what_is_missing() {
        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        let complaint = |listed: &[u16], open: &[u16]| {
            super::complaint("172.16.0.11".parse().unwrap(), "public", &set(listed), &set(open))
        };
        assert_eq!(complaint(&[80], &[80]), None);
        assert_eq!(
            complaint(&[80], &[22, 3306]).as_deref(),
            Some("172.16.0.11, from public: also open: 22, 3306; not open: 80")
        );
    }
}
