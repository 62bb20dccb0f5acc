//! `power-off`, `start`, `replace-disks`, `shut-down`, `reset`, `reboot`, `pause`, `resume`: a machine's power.

use super::action_kinds;
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;

action_kinds! {
    /// The machine is without power, and stays so.
    PowerOff(Name): is_machine, |name| format!("power off {}", name.get_ref());
    /// The power button; the machine shuts down in an orderly way.
    ShutDown(Name): is_machine, |name| format!("shut down {}", name.get_ref());
    /// A machine that is off is started; the step ends when it is up.
    Start(Name): is_machine, |name| format!("start {}", name.get_ref());
    /// A machine that is off gets new disks, with its image on them and nothing else.
    ReplaceDisks(Name): is_machine, |name| format!("replace the disks of {}", name.get_ref());
    /// The reset button: off and on between two instructions.
    Reset(Name): is_machine, |name| format!("reset {}", name.get_ref());
    /// An orderly restart; the step ends when it is up again.
    Reboot(Name): is_machine, |name| format!("reboot {}", name.get_ref());
    /// The machine stands still: not a packet, not an instruction.
    Pause(Name): is_machine, |name| format!("pause {}", name.get_ref());
    /// It goes on.
    Resume(Name): is_machine, |name| format!("resume {}", name.get_ref());
}

fn is_machine(name: &Name, checker: &Checker<'_>) -> Result<()> {
    checker.machine(name)
}
