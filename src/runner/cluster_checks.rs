//! What all machines are asked: whether they are healthy, and for their journals.

use super::cluster::Cluster;
use super::probe_result::ProbeResult;
use crate::error::{Error, Result};
use crate::qemu::Machine;
use std::collections::BTreeMap;
use std::time::Duration;

/// As many lines of each machine as a person reads.
const JOURNAL_LINES: u32 = 60;
/// Native time for reading them.
const GLANCE: Duration = Duration::from_secs(2);
/// Native time for a machine's questions about itself.
pub(super) const HEALTH: Duration = Duration::from_secs(10);
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
    cluster: &mut Cluster<'_>,
    ask: impl Fn(&mut Machine) -> Result<String> + Sync,
) -> Vec<(String, Result<String>)> {
    let ask = &ask;
    std::thread::scope(|scope| {
        let threads: Vec<_> = cluster
            .machines
            .iter_mut()
            .map(|(name, machine)| (name.clone(), scope.spawn(move || ask(machine))))
            .collect();
        let died = |_| Err(Error::bug("the thread that asked a machine died"));
        threads.into_iter().map(|(name, one)| (name, one.join().unwrap_or_else(died))).collect()
    })
}

/// The last lines that each machine logged within so many seconds. One that does not
/// answer any more has none here: its console is kept. Nobody waits long for that: a
/// machine that hangs is often why its scenario failed.
pub(super) fn journals(cluster: &mut Cluster<'_>, seconds: f64) -> BTreeMap<String, String> {
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
    let answers = ask_all(cluster, ask).into_iter();
    answers.filter_map(|(name, said)| Some((name, said.ok()?))).collect()
}

/// Whether every machine is up and well.
pub(super) fn healthy(cluster: &mut Cluster<'_>) -> Result<ProbeResult> {
    let off = cluster.machines.iter().filter(|(_, machine)| !machine.is_on());
    let mut ill: Vec<String> = off.map(|(name, _)| format!("{name}: it is off")).collect();
    if !ill.is_empty() {
        return Ok(ProbeResult::NotMet(ill.join("\n")));
    }
    for (name, said) in ask_all(cluster, |machine| machine.succeed(ILL, HEALTH)) {
        let said = said?;
        if !said.is_empty() {
            ill.push(format!("{name}: {said}"));
        }
    }
    Ok(ProbeResult::without(&ill))
}
