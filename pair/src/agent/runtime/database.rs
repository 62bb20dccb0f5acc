//! What the deciding thread knows of its own MariaDB, and does with it: looks, commands, proofs,
//! copies; and who sees to it that it runs.

use super::Agent;
use crate::commands::{self, Process};
use crate::copying;
use crate::look::{Look, More, Told};
use crate::threads;
use imagebuild_pair::{Command, Config, Data, Replication, Status};
use std::time::Instant;

/// Between two looks at MariaDB.
pub(super) const LOOK: u64 = 80;
/// A look is of no more use after so long.
const LOOK_LASTS: u64 = 400;
/// A disk that has taken no write for so long takes none.
const DISK_LASTS: u64 = 4000;
/// MariaDB is killed when a command or a look has had no answer for so long.
const HANGS: u64 = 60_000;

impl Agent<'_> {
    /// A look has come back.
    pub(super) fn looked(&mut self, began: Instant, found: Result<(Look, Process), String>) {
        self.looked_at = Instant::now();
        // One that began before the last command was answered says nothing of it.
        let is_new = self.running.is_none() && began >= self.answered_at;
        self.look = match found {
            Ok((look, process)) => {
                self.unanswered = None;
                self.watch_disk();
                self.note_waiting(&look);
                self.lets_read = look.locked == 0;
                self.answered_look = Some(Instant::now());
                is_new.then_some((look, began, process))
            }
            Err(why) => {
                self.unanswered = Some(why);
                None
            }
        };
    }

    pub(super) fn done(&mut self, command: Command, done: Result<Process, String>) {
        self.running = None;
        self.answered_at = Instant::now();
        self.look = None;
        match done {
            Ok(process) => {
                self.said.clear();
                match command {
                    Command::Follow(_) => self.told = Some((process, Told::Follow)),
                    Command::StopFollowing => self.told = Some((process, Told::Stop)),
                    Command::Wait => self.waits += 1,
                    Command::OpenAnew => {
                        if let Some(database) = &self.settings.database {
                            copying::forget_restore(&database.data);
                        }
                    }
                    Command::Found
                    | Command::Open
                    | Command::Close
                    | Command::NoWait
                    | Command::Copy(_)
                    | Command::LockReaders
                    | Command::LetReadersIn => {}
                }
            }
            Err(why) => self.say(format!("{command:?}: {why}")),
        }
    }

    /// A copy has ended.
    pub(super) fn copied(&mut self, done: Result<(), String>) {
        self.copies = false;
        self.answered_at = Instant::now();
        self.look = None;
        self.told = None;
        if let Err(why) = done {
            self.say(format!("the copy has failed: {why}"));
            self.copy_failed = Some(Instant::now());
        }
    }

    /// From when MariaDB has answered: before that its folder may not be there yet.
    fn watch_disk(&mut self) {
        if let (Some(database), false) = (&self.settings.database, self.watches_disk) {
            self.watches_disk = true;
            self.disk_wrote = Instant::now();
            threads::write_to_disk(database, &self.sender);
        }
    }

    /// Since when each commit waits: of a statement only MariaDB knows when it began.
    fn note_waiting(&mut self, look: &Look) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.waiting);
        let since = |one: &String| before.get(one).copied().unwrap_or(now);
        self.waiting = look.waiting.iter().map(|one| (one.clone(), since(one))).collect();
    }

    /// What is known of MariaDB now.
    pub(super) fn status(&self) -> Option<Status> {
        if self.copies {
            return Some(COPYING);
        }
        if self.running.is_some() {
            return None;
        }
        let (look, began, process) = self.look.as_ref()?;
        if began.elapsed() > self.milliseconds(LOOK_LASTS) {
            return None;
        }
        let told = self.told.as_ref().filter(|(of, _)| of == process).map(|(_, told)| *told);
        let oldest = self.waiting.values().map(Instant::elapsed).max().unwrap_or_default();
        // The deciding part counts in this machine's time.
        let stalled = u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX);
        let has_position =
            self.settings.database.as_ref().is_none_or(|one| copying::has_position(&one.data));
        let max_lag = self.settings.database.as_ref().map_or(0, |one| one.max_lag * self.factor);
        let has_all = self.has_all.as_ref();
        let replica_has_all = has_all.is_some_and(|(n, of)| *n == self.waits && of == process);
        let disk_writes = self.disk_wrote.elapsed() < self.milliseconds(DISK_LASTS);
        let more = More { max_lag, disk_writes, replica_has_all, has_position };
        Some(look.status(told, stalled, more))
    }

    pub(super) fn tell(&mut self, command: Command) {
        let Some(database) = &self.settings.database else { return };
        let Some(copy_key) = &self.copy_key else { return };
        if self.running.is_some() || self.copies {
            return;
        }
        if let Command::Copy(from) = command {
            // One that has just failed would fail again.
            let pause = self.milliseconds(10_000);
            if self.copy_failed.is_some_and(|at| at.elapsed() < pause) {
                return;
            }
            // Not what its status says: of a copy without a position that is none.
            let look = self.look.as_ref().map(|(look, _, _)| look);
            let has_data = look.is_some_and(|look| look.has_history() || look.has_tables);
            self.copies = true;
            // A person has once made a database the primary that may have lacked writes: what is
            // here may be the only copy of them.
            let was_forced = self.member.known().is_some_and(Config::was_forced);
            let what = (from, has_data, was_forced);
            threads::copy(self.settings, database, copy_key, what, self.factor, &self.sender);
            return;
        }
        if let Some(config) = self.member.known() {
            let alone = config.primary == self.own && !config.both;
            let marked = match command {
                // What is acknowledged from now on is nowhere else.
                Command::Open | Command::OpenAnew | Command::NoWait if alone => {
                    copying::mark_alone(&database.data)
                }
                _ => Ok(()),
            };
            if let Err(why) = marked {
                self.say(format!("it cannot be noted that this database is alone: {why}"));
                return;
            }
        }
        if command == Command::NoWait {
            // What is answered from now on was not received by the replica.
            self.waits += 1;
        }
        if !matches!(command, Command::LetReadersIn | Command::LockReaders) {
            eprintln!("MariaDB: {}", told(command));
        }
        self.running = Some((command, Instant::now()));
        // To the process that was looked at, and no other.
        let process = self.look.as_ref().map(|(_, _, process)| process.clone());
        let job = (command, process);
        if self.commands.as_ref().is_none_or(|commands| commands.send(job).is_err()) {
            self.say("nobody carries commands out".to_owned());
        }
    }

    /// While an open primary waits for a replica that has to prove that it has everything: one
    /// proof at a time, and again if it fails.
    pub(super) fn prove(&mut self, status: Option<Status>) {
        let Some(database) = &self.settings.database else { return };
        let joins = self.member.known().is_some_and(|one| one.primary == self.own && !one.both);
        let waits = status.is_some_and(|status| status.open && status.waits);
        let Some((_, _, process)) = &self.look else { return };
        let has_all = self.has_all.as_ref();
        let is_done = has_all.is_some_and(|(n, of)| *n == self.waits && of == process);
        let pause = self.milliseconds(1000);
        let is_early = self
            .proof_began
            .is_some_and(|(number, at)| number == self.waits && at.elapsed() < pause);
        if joins && waits && !is_done && !self.proves && !is_early {
            self.proves = true;
            self.proof_began = Some((self.waits, Instant::now()));
            threads::prove(database, (self.waits, process.clone()), &self.sender);
        }
    }

    /// MariaDB that has ended is started again, whatever its unit says: nobody else does it after
    /// an error in the middle of a copy, or where it ended by itself.
    pub(super) fn start_what_is_dead(&mut self) {
        let Some(database) = &self.settings.database else { return };
        // Somebody else is at work on its files.
        let is_held = self.settings.run.join("hold").exists();
        let is_there = self.copies || self.is_leaving || is_held || self.unanswered.is_none();
        self.absent_since =
            if is_there { None } else { self.absent_since.or(Some(Instant::now())) };
        let limit = self.milliseconds(10_000);
        if self.absent_since.is_none_or(|at| at.elapsed() < limit) {
            return;
        }
        self.absent_since = None;
        if !commands::runs(database) {
            self.say("MariaDB is not there, and is started".to_owned());
            let start = database.start.clone();
            // Its unit may be starting: then this changes nothing.
            std::thread::spawn(move || {
                if let Err(why) = commands::program(&start) {
                    eprintln!("{why}");
                }
            });
        }
    }

    /// A proof has ended.
    pub(super) fn proved(&mut self, number: u64, proof: Result<Process, String>) {
        self.proves = false;
        if let Ok(process) = proof {
            self.has_all = Some((number, process));
        }
    }

    /// MariaDB that answers nothing for a minute will not do so any more.
    pub(super) fn end_what_hangs(&mut self) {
        let Some(database) = &self.settings.database else { return };
        let limit = self.milliseconds(HANGS);
        let command = self.running.is_some_and(|(_, since)| since.elapsed() > limit);
        let is_asked = self.killed_at.is_some_and(|at| at.elapsed() < limit);
        if self.copies || is_asked || !(command || self.looked_at.elapsed() > limit) {
            return;
        }
        self.killed_at = Some(Instant::now());
        self.say("MariaDB has not answered for a minute, and is killed".to_owned());
        let database = database.clone();
        // It may take long to be gone.
        std::thread::spawn(move || {
            let ended = commands::kill(&database).and_then(|()| commands::program(&database.start));
            if let Err(why) = ended {
                eprintln!("{why}");
            }
        });
    }
}

/// A database whose data is being replaced.
const COPYING: Status = Status {
    data: Data::None,
    open: false,
    waits: false,
    writers: false,
    replication: Replication::Copying,
    applied: false,
    cannot_apply: false,
    writable: false,
    readers: false,
    fresh: false,
    replica_has_all: false,
    replica_follows: false,
    stalled: 0,
};

fn told(command: Command) -> &'static str {
    match command {
        Command::Found => "begin the first history",
        Command::Open => "take writes",
        Command::OpenAnew => "take writes; who follows begins with a copy",
        Command::Close => "killed, and started again: take no writes",
        Command::Wait => "answer a commit when the replica has it",
        Command::NoWait => "answer a commit at once",
        Command::Follow(_) => "follow the primary",
        Command::StopFollowing => "receive nothing",
        Command::Copy(_) => "copy the primary's data",
        Command::LockReaders => "no readers: this may be old",
        Command::LetReadersIn => "readers are let in",
    }
}
