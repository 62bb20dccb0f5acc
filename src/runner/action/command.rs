//! `run`.

use super::{COMMAND, perform};
use std::time::Duration;

perform! {
    Run: |one, runner| {
        let native = one.within.map_or(COMMAND, |within| Duration::from_secs_f64(within.get()));
        runner.machine(&one.on)?.succeed(&one.command, native).map(drop)
    };
}
