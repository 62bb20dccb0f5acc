//! `set-clock`.

use super::perform;

perform! {
    // timesyncd has nobody to ask, and would only be told once.
    SetClock: |one, runner| {
        let command = format!("date --set=@$(($(date +%s) + {})) >/dev/null", one.by);
        runner.shell(&one.on, &command)
    };
}
