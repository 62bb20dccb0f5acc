//! Parse, run, print the error: a table of contents.

use imagebuild::cli::Cli;
use imagebuild::error::Error;
use imagebuild::progress::{self, Event};
use imagebuild::{exec, sandbox};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The sandbox's own processes are this program, too; they must stay single-threaded.
    let hidden: Vec<OsString> = std::env::args_os().skip(1).take(2).collect();
    match hidden.iter().filter_map(|word| word.to_str()).collect::<Vec<_>>().as_slice() {
        [sandbox::OUTER] => return sandbox::run_outer(),
        [sandbox::INNER] => return sandbox::run_inner(),
        [sandbox::ID_MAPPER, pid] => return finish(sandbox::run_id_mapper(pid)),
        _ => {}
    }
    let cli = Cli::read();
    finish(watch_signals().and_then(|()| cli.run()))
}

fn finish(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit_code = error.kind().exit_code();
            progress::event(Event::Error { exit_code, text: &error.to_string() });
            ExitCode::from(exit_code)
        }
    }
}

/// Whether who started this program wants it to live on: `nohup` ignores SIGHUP for it.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The first signal ends running programs, so that the work unwinds and cleans up;
/// a second one ends this process at once.
fn watch_signals() -> Result<(), Error> {
    // A shell's job in the background ignores SIGINT too, but not so that it lives on.
    let hangup = Some(SIGHUP).filter(|hangup| !is_ignored(*hangup));
    let ends = [SIGINT, SIGTERM].into_iter().chain(hangup);
    let mut signals = signal_hook::iterator::Signals::new(ends)
        .map_err(|e| Error::build(format!("cannot watch for signals: {e}")))?;
    std::thread::spawn(move || {
        for (count, _signal) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(130);
            }
            exec::interrupt();
        }
    });
    Ok(())
}
