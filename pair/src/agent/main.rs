//! The agent of a pair of databases, on both of them and on the witness: carries out what the
//! deciding part (the library of this crate) wants done, and tells it what it sees.
//!
//! One thread decides; the others wait for what takes time (datagrams, MariaDB, the disk, copies)
//! and send it what they have seen. `docs/pairs.md` of imagebuild has the protocol.

#![allow(
    clippy::disallowed_methods,
    reason = "imagebuild has a library for programs; on the servers there is std"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may"))]

mod commands;
mod copying;
mod look;
mod register_file;
mod report;
mod runtime;
mod session;
mod settings;
mod threads;
mod wire;

use settings::Settings;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
The pair of databases.

  imagebuild-replication [status]        how this server sees it; ends with 1 if anything
                                         needs a person, or is not back to normal yet
  imagebuild-replication status --json   the same for programs
  imagebuild-replication well            whether this server is, by itself: 0 or 1
  imagebuild-replication takeover        the primary or its data is lost for good, or each
                                         database has data of its own: this one is to take
                                         writes, though it may lack some
  imagebuild-replication recover         voters have lost their disks: go on with what the
                                         others know
  imagebuild-replication ask ADDRESS reads|writes
                                         whether the database server there would be of use
  imagebuild-replication run             the agent
  imagebuild-replication check           whether its file is right
  imagebuild-replication alive           whether the agent has said anything lately
  imagebuild-replication leave           the machine is about to stop: hand the writes over
  imagebuild-replication swap            before MariaDB starts: complete what a power cut
                                         interrupted, forget what was not applied
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("imagebuild-replication: {why}");
            ExitCode::FAILURE
        }
    }
}

/// By how many times all is slower here: the credential `time-scale` of tests.
fn factor() -> u64 {
    let value = std::env::var("TIME_SCALE").ok();
    let value = value.or_else(|| {
        let timers = fs::read_to_string("/run/imagebuild/timers.env").ok()?;
        Some(report::value(&timers, "TIME_SCALE").to_owned())
    });
    value.and_then(|text| text.parse().ok()).filter(|factor| *factor > 0).unwrap_or(1)
}

fn run(words: &[&str]) -> Result<ExitCode, String> {
    if let ["help" | "--help" | "-h"] = words {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let path = std::env::var("IMAGEBUILD_PAIR_CONF");
    let path = path.unwrap_or_else(|_| "/usr/lib/imagebuild/pair.conf".to_owned());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let settings = Settings::read(&text).map_err(|why| format!("{path}: {why}"))?;
    let state = || report::read(&settings.run, factor());
    let code = |is_good: bool| ExitCode::from(u8::from(!is_good));
    match words {
        ["ask", address, what @ ("reads" | "writes")] => {
            let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
            Ok(code(ask(SocketAddr::new(address, settings.port), what)))
        }
        ["run"] => runtime::run(&settings, factor()),
        [] | ["status"] => {
            let text = state()?;
            print!("{text}");
            Ok(code(report::is_well(&text)))
        }
        ["status", "--json"] => {
            let text = state()?;
            print!("{}", report::json(&text));
            Ok(code(report::is_well(&text)))
        }
        ["well"] => {
            let text = state()?;
            let is = |key, value| report::value(&text, key) == value;
            Ok(code(is("role", "witness") || is("reads", "yes")))
        }
        ["check"] => Ok(ExitCode::SUCCESS),
        // keepalived's question: whether what the agent has said last still counts.
        ["alive"] => {
            let written = fs::metadata(settings.run.join("state")).and_then(|of| of.modified());
            let age = written.ok().and_then(|at| at.elapsed().ok());
            Ok(code(age.is_some_and(|age| age.as_secs() < 3 * factor())))
        }
        ["leave"] => leave(&settings),
        ["takeover"] => takeover(&settings, state),
        ["recover"] => recover(&settings, &state()?),
        ["swap"] => match &settings.database {
            Some(database) => copying::complete(&database.data)
                .and_then(|()| copying::forget_replication(&database.data))
                .map(|()| ExitCode::SUCCESS),
            None => Ok(ExitCode::SUCCESS),
        },
        _ => {
            eprint!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

/// Asks the agent of another server; no answer is a no.
fn ask(address: SocketAddr, what: &str) -> bool {
    let patience = Duration::from_secs(2 * factor());
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"state\n")?;
        let mut text = String::new();
        stream.take(64 * 1024).read_to_string(&mut text)?;
        Ok(text)
    };
    answer().is_ok_and(|text| report::value(&text, what) == "yes")
}

/// The other database takes over, if it may; no longer than a stop may take.
fn leave(settings: &Settings) -> Result<ExitCode, String> {
    let asked = settings.run.join("leave");
    File::create(&asked).map_err(|error| format!("{}: {error}", asked.display()))?;
    let own = &settings.own().name;
    let state = || fs::read_to_string(settings.run.join("state")).unwrap_or_default();
    let leads = |text: &str| report::value(text, "primary") == own;
    // Alone, or with a replica that does not count: nobody may take over.
    let is_alone = |text: &str| leads(text) && report::value(text, "both") == "no";
    let led = leads(&state());
    for _ in 0..50 * factor() {
        let text = state();
        if !leads(&text) || is_alone(&text) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // Commits that still wait must not be acknowledged by an orderly end.
    if let (true, false, Some(database)) = (led, is_alone(&state()), &settings.database) {
        commands::kill(database)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn takeover(
    settings: &Settings,
    state: impl Fn() -> Result<String, String>,
) -> Result<ExitCode, String> {
    // While a command has no answer nothing is needed.
    let waits = |text: &str| {
        let needs = report::value(text, "needs");
        needs.starts_with("MayLackWrites") || needs.starts_with("TwoHistories")
    };
    let mut state_now = state()?;
    for _ in 0..20 * factor() {
        if waits(&state_now) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        state_now = state()?;
    }
    let state = &state_now;
    let role = report::value(state, "role");
    // Of two, one that was started after the other one was lost does not know what it is.
    let is_last = settings.members.len() == 2 && role == "unknown";
    let is_one_of_two = report::value(state, "needs").starts_with("TwoHistories");
    // Without the need nothing would come of it today, and something tomorrow.
    if settings.database.is_none() || !(waits(state) || is_last) {
        return Err("this database waits for no takeover: see `imagebuild-replication`".to_owned());
    }
    let other = settings.members.iter().take(2).find(|peer| *peer != settings.own());
    let other = other.map_or("", |peer| &peer.name);
    if is_one_of_two {
        println!("{other}'s data will be set aside there, and replaced by a copy of what is here.");
    } else {
        println!(
            "{other} must be lost for good, or its data: this database takes writes without\n\
             what only {other} has. That is set aside there if it comes back after all."
        );
    }
    confirm(other)?;
    File::create(settings.run.join("takeover")).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn recover(settings: &Settings, state: &str) -> Result<ExitCode, String> {
    let known = report::value(state, "others-know");
    if known.is_empty() {
        return Err("nothing to recover: this server needs no more than its disk has, or nobody \
                    else knows the register"
            .to_owned());
    }
    println!(
        "More than one voter has lost its disk. The others know this, and perhaps not the last:\n\
         {known}.\n\
         If another database has taken writes after that, they are set aside there."
    );
    confirm("recover")?;
    File::create(settings.run.join("recover")).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// A person types a word, or nothing is done.
fn confirm(word: &str) -> Result<(), String> {
    println!("Type {word} to go on:");
    let mut line = String::new();
    BufReader::new(std::io::stdin()).read_line(&mut line).map_err(|error| error.to_string())?;
    if line.trim() == word { Ok(()) } else { Err("nothing was done".to_owned()) }
}

/// Bytes that nobody can guess.
fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(bytes)
}
