//! `stop-unit`, `start-unit`, `restart-unit`, `mask-unit`, `unmask-unit`.

use super::{ActionRunner, perform};
use crate::error::Result;
use crate::exec::quote;
use crate::scenario::action::OnUnit;

perform! {
    StopUnit: |one, runner| systemctl(runner, &one.0, "stop");
    StartUnit: |one, runner| systemctl(runner, &one.0, "start");
    RestartUnit: |one, runner| systemctl(runner, &one.0, "restart");
    MaskUnit: |one, runner| systemctl(runner, &one.0, "mask --runtime");
    UnmaskUnit: |one, runner| systemctl(runner, &one.0, "unmask --runtime");
}

fn systemctl(runner: &mut ActionRunner<'_, '_>, one: &OnUnit, verb: &str) -> Result<()> {
    runner.shell(&one.on, &format!("systemctl {verb} {}", quote(&one.unit)))
}
