//! What a step does to machines, links and loads: one key a deed. Every name is a
//! server's or a part's.

use super::Name;
use super::values::{Direction, Seconds, Share, Signal, some_text};
use serde::Deserialize;

/// One deed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// The machine is without power, and stays so.
    CutPower(Name),
    /// The power button; the machine shuts down in an orderly way.
    ShutDown(Name),
    /// A machine that is off is switched on; the step ends when it is up.
    Start(Name),
    /// The reset button: off and on between two instructions.
    Reset(Name),
    /// An orderly restart; the step ends when it is up again.
    Reboot(Name),
    /// The machine stands still: not a packet, not an instruction.
    Pause(Name),
    /// It goes on.
    Resume(Name),
    /// A signal to all processes of a name.
    Kill(OnProcess),
    /// `systemctl stop`.
    StopUnit(OnUnit),
    /// `systemctl start`.
    StartUnit(OnUnit),
    /// `systemctl restart`.
    RestartUnit(OnUnit),
    /// Forbids every start of a unit, also its own after a crash; one that runs goes on.
    MaskUnit(OnUnit),
    /// Allows it again.
    UnmaskUnit(OnUnit),
    /// Writes a file; what was there comes back with `restore`.
    Write(Held),
    /// Removes a file.
    Delete(OnFile),
    /// Brings back a file as it was before the scenario changed it.
    Restore(OnFile),
    /// The network card loses its carrier: the guest notices.
    LinkDown(OnLink),
    /// The carrier is back.
    LinkUp(OnLink),
    /// The cable is cut somewhere on its way: the guest does not notice.
    CutCable(OnLink),
    /// The cable is whole again.
    MendCable(OnLink),
    /// A bad line: loss, delay, duplicates, a slow rate.
    Disturb(Disturbance),
    /// A good line again.
    Calm(OnLink),
    /// The network falls apart: who is in different groups does not hear each other.
    Partition {
        /// Which network.
        network: Name,
        /// Machines, and `users`; who is not named still reaches all.
        groups: Vec<Vec<Name>>,
    },
    /// The network is whole again.
    Heal(Name),
    /// The network becomes a provider's, as those of many VPSs: multicast is dropped, and
    /// so is what comes from an address that the machine may not have.
    Provider(Name),
    /// Runs a command, which must end with 0.
    Run {
        /// The machine.
        on: Name,
        /// For its shell.
        #[serde(deserialize_with = "some_text")]
        command: String,
        /// How long it may take; 10 s if nothing is said.
        within: Option<Seconds>,
    },
    /// Starts a load of `[loads]`.
    StartLoad(Name),
    /// Ends a load.
    StopLoad(Name),
    /// Sets the clock forward (or back, if negative) by so many seconds.
    SetClock {
        /// The machine.
        on: Name,
        /// Seconds.
        by: i64,
    },
}

/// A process on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnProcess {
    /// The machine.
    pub on: Name,
    /// The name of the program, as `ps -C` takes it.
    #[serde(deserialize_with = "some_text")]
    pub process: String,
    /// Which signal.
    #[serde(default)]
    pub signal: Signal,
}

/// A unit on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnUnit {
    /// The machine.
    pub on: Name,
    /// `haproxy.service`.
    #[serde(deserialize_with = "some_text")]
    pub unit: String,
}

/// A file on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnFile {
    /// The machine.
    pub on: Name,
    /// Its whole path.
    pub file: Name,
}

/// A file with its content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Held {
    /// The machine.
    pub on: Name,
    /// Its whole path.
    pub file: Name,
    /// All that is in it then.
    pub text: String,
}

/// A machine's cable on a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnLink {
    /// The machine.
    pub of: Name,
    /// The network.
    pub network: Name,
    /// Which way; both, if nothing is said.
    #[serde(default)]
    pub direction: Direction,
}

/// A cable that does not do its work well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disturbance {
    /// The machine.
    pub of: Name,
    /// The network.
    pub network: Name,
    /// Which way; both, if nothing is said.
    #[serde(default)]
    pub direction: Direction,
    /// The share of frames that is lost.
    pub loss: Option<Share>,
    /// The share of frames that comes twice.
    pub duplicate: Option<Share>,
    /// How long every frame takes more.
    pub delay: Option<Seconds>,
    /// Bits a second that go through at most.
    pub bits_per_second: Option<u64>,
}
