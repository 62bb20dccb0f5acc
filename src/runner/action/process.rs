//! `kill`.

use super::perform;
use crate::exec::quote;

perform! {
    Kill: |one, runner| {
        let command = format!("pkill -{} -x {}", one.signal, quote(&one.process));
        runner.shell(&one.on, &command)
    };
}
