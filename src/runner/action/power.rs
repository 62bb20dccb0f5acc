//! `power-off`, `start`, `replace-disks`, `shut-down`, `reset`, `reboot`, `pause`, `resume`.

use super::perform;

perform! {
    PowerOff: |one, runner| runner.machine(&one.0)?.power_off();
    ShutDown: |one, runner| runner.machine(&one.0)?.shut_down();
    Start: |one, runner| runner.machine(&one.0)?.start_and_wait().map(drop);
    ReplaceDisks: |one, runner| runner.machine(&one.0)?.replace_disks();
    Reset: |one, runner| {
        let machine = runner.machine(&one.0)?;
        machine.reset()?;
        machine.wait_for_shell().map(drop)
    };
    Reboot: |one, runner| runner.machine(&one.0)?.reboot().map(drop);
    Pause: |one, runner| runner.machine(&one.0)?.pause();
    Resume: |one, runner| runner.machine(&one.0)?.resume();
}
