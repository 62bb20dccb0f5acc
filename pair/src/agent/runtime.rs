//! The thread that decides: takes what others have seen, asks the deciding part, and sees to it
//! that what that wants is done in its order.

use crate::commands::{self, Commander, Process};
use crate::copying::{self, set_aside};
use crate::look::{Look, More, Told};
use crate::register_file::{Found, RegisterFile};
use crate::report::Report;
use crate::settings::Settings;
use crate::threads::{self, Seen, Sockets, State, lock, targets};
use crate::wire::{self, Key};
use imagebuild_pair::{
    Action, Command, Config, Data, Event, Member, Members, Message, Need, Node, Replication,
    Status, Times,
};
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A turn, in milliseconds at normal speed.
const TURN: u64 = 50;
/// Between two looks at MariaDB.
const LOOK: u64 = 80;
/// A look is of no more use after so long.
const LOOK_LASTS: u64 = 400;
/// Between two looks at the world.
const WORLD: u64 = 100;
/// That it is seen counts for so long: less than a peer must be silent to be taken for lost, so
/// that a server that is cut off itself knows it by then.
const CONNECTED_LASTS: u64 = 450;
/// A disk that has taken no write for so long takes none.
const DISK_LASTS: u64 = 4000;
/// MariaDB is killed when a command or a look has had no answer for so long.
const HANGS: u64 = 60_000;

/// The agent, until its end.
pub(crate) fn run(settings: &Settings, factor: u64) -> Result<ExitCode, String> {
    let io = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&settings.run).map_err(io)?;
    let key = Key::new(secret(&settings.secret)?.as_bytes(), settings)?;
    let (register, found) = RegisterFile::open(&settings.register, settings)
        .map_err(|error| format!("{}: {error}", settings.register.display()))?;
    let acceptor = match found {
        Found::State(state) => Some(state),
        Found::Nothing => None,
        Found::Damaged => {
            eprintln!("the register's file is damaged, or another machine's: it is set aside");
            None
        }
    };
    let own = Node(settings.own as u8);
    let members = Members::with_witnesses(settings.members.len() as u8 - 2);
    let number = u64::from_be_bytes(*crate::random()?.first_chunk().ok_or("no random number")?);
    let mut times = Times::default();
    if let Some(database) = &settings.database {
        times.stalled = database.alone_after;
    }
    let member = Member::new(own, members, times.scaled(factor), acceptor, number);

    // Bounded: datagrams that nobody has time for are dropped.
    let (sender, seen) = sync_channel(1024);
    let state: State = Arc::new(Mutex::new((Instant::now(), String::new())));
    let sockets = threads::receive(settings, &key, &sender);
    let mut commands = None;
    // A copy of all data wants the database's password: the witness does not have it.
    let mut copy_key = None;
    if let Some(database) = &settings.database {
        let password = secret(&database.password)?;
        threads::look(database, Duration::from_millis(LOOK * factor), &sender);
        let commander = Commander::new(settings, database, &password, factor);
        commands = Some(threads::command(commander, &sender));
        let key = Key::new(password.as_bytes(), settings)?;
        // Nobody asks a witness.
        threads::serve(settings, &key, &state, factor);
        copy_key = Some(key);
    }
    if settings.members.len() == 2 {
        threads::look_at_world(settings, Duration::from_millis(WORLD * factor), &sender);
    }
    let now = Instant::now();
    let mut agent = Agent {
        settings,
        key,
        copy_key,
        factor,
        began: now,
        member,
        own,
        register,
        sockets,
        sender,
        commands,
        state,
        look: None,
        unanswered: None,
        looked_at: now,
        told: None,
        running: None,
        proves: false,
        proof_began: None,
        killed_at: None,
        absent_since: None,
        answered_at: now,
        copies: false,
        copy_failed: None,
        waits: 0,
        has_all: None,
        waiting: HashMap::new(),
        disk_wrote: now,
        watches_disk: false,
        lets_read: false,
        answered_look: None,
        writer_seen: None,
        is_leaving: false,
        connected_at: None,
        said: String::new(),
        shown: None,
        address: None,
        reported: None,
    };
    let turn = Duration::from_millis(TURN * factor);
    let mut next = Instant::now();
    loop {
        match seen.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(what) => agent.take(what)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("all threads have ended".to_owned()),
        }
        // However much comes.
        if Instant::now() >= next {
            agent.turn()?;
            next = Instant::now() + turn;
        }
    }
}

/// The content of a credential.
fn secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

struct Agent<'a> {
    settings: &'a Settings,
    key: Key,
    /// Of the database's password.
    copy_key: Option<Key>,
    factor: u64,
    began: Instant,
    member: Member,
    own: Node,
    register: RegisterFile,
    sockets: Sockets,
    sender: SyncSender<Seen>,
    commands: Option<Sender<(Command, Option<Process>)>>,
    /// What is answered to `state`.
    state: State,
    /// The last look, when it ended, and at which process.
    look: Option<(Look, Instant, Process)>,
    /// Why the last look found nothing.
    unanswered: Option<String>,
    /// When a look was answered last, or failed: one that hangs does neither.
    looked_at: Instant,
    /// The process that was told to follow, or not to, and which of the two it was last.
    told: Option<(Process, Told)>,
    /// The command that has no answer yet, and since when.
    running: Option<(Command, Instant)>,
    /// Whether a proof is under way, and when the last one began.
    proves: bool,
    proof_began: Option<(u64, Instant)>,
    /// When MariaDB was killed because it hung.
    killed_at: Option<Instant>,
    /// MariaDB has not been there since.
    absent_since: Option<Instant>,
    /// When the last command had its answer.
    answered_at: Instant,
    copies: bool,
    copy_failed: Option<Instant>,
    /// How often it was told to wait; a proof is of one of them.
    waits: u64,
    has_all: Option<(u64, Process)>,
    /// Commits that wait for the replica, and since when.
    waiting: HashMap<String, Instant>,
    disk_wrote: Instant,
    watches_disk: bool,
    /// Whether readers were let in when MariaDB was looked at last, and when that was.
    lets_read: bool,
    answered_look: Option<Instant>,
    /// When a write had somewhere to go, last.
    writer_seen: Option<Instant>,
    is_leaving: bool,
    /// When a gateway answered, or a link had its carrier, last: only of two without a witness.
    connected_at: Option<Instant>,
    said: String,
    shown: Option<(Option<Config>, Option<Need>)>,
    /// What keepalived was told last.
    address: Option<bool>,
    reported: Option<Instant>,
}

impl Agent<'_> {
    fn take(&mut self, seen: Seen) -> Result<(), String> {
        match seen {
            Seen::Message(from, message) => {
                let actions = self.member.handle(Event::Message { from, message });
                self.act(actions)?;
            }
            Seen::Look(began, found) => {
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
            Seen::Done(command, done) => self.done(command, done),
            Seen::Copied(done) => {
                self.copies = false;
                self.answered_at = Instant::now();
                self.look = None;
                self.told = None;
                if let Err(why) = done {
                    self.say(format!("the copy has failed: {why}"));
                    self.copy_failed = Some(Instant::now());
                }
            }
            Seen::Proved(number, proof) => {
                self.proves = false;
                if let Ok(process) = proof {
                    self.has_all = Some((number, process));
                }
            }
            Seen::World(began) => self.connected_at = Some(began),
            Seen::DiskWrites => self.disk_wrote = Instant::now(),
        }
        Ok(())
    }

    fn done(&mut self, command: Command, done: Result<Process, String>) {
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

    /// From when MariaDB has answered: before that its folder may not be there yet.
    fn watch_disk(&mut self) {
        if let (Some(database), false) = (&self.settings.database, self.watches_disk) {
            self.watches_disk = true;
            self.disk_wrote = Instant::now();
            threads::write_to_disk(database, &self.sender);
        }
    }

    fn milliseconds(&self, count: u64) -> Duration {
        Duration::from_millis(count * self.factor)
    }

    /// Since when each commit waits: of a statement only MariaDB knows when it began.
    fn note_waiting(&mut self, look: &Look) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.waiting);
        let since = |one: &String| before.get(one).copied().unwrap_or(now);
        self.waiting = look.waiting.iter().map(|one| (one.clone(), since(one))).collect();
    }

    fn turn(&mut self) -> Result<(), String> {
        self.is_leaving = self.settings.run.join("leave").exists();
        self.member.leave(self.is_leaving);
        let forced = self.settings.run.join("takeover");
        if forced.exists() {
            let _ = fs::remove_file(forced);
            self.member.force_takeover();
        }
        let database = self.status();
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let fresh = self.milliseconds(CONNECTED_LASTS);
        let is_connected = self.connected_at.is_some_and(|at| at.elapsed() < fresh);
        let actions = self.member.handle(Event::Tick { now, database, is_connected });
        self.act(actions)?;
        self.prove(database);
        self.show(database);
        self.end_what_hangs();
        self.start_what_is_dead();
        Ok(())
    }

    /// While an open primary waits for a replica that has to prove that it has everything: one
    /// proof at a time, and again if it fails.
    fn prove(&mut self, status: Option<Status>) {
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
    fn start_what_is_dead(&mut self) {
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

    /// What is known of MariaDB now.
    fn status(&self) -> Option<Status> {
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

    fn act(&mut self, actions: Vec<Action>) -> Result<(), String> {
        for action in actions {
            match action {
                Action::Save(acceptor) => {
                    // Nothing may be answered that is not on disk.
                    self.register.save(acceptor).map_err(|error| {
                        format!("{}: {error}", self.settings.register.display())
                    })?;
                }
                Action::Send(to, message) => self.send(to, message),
                Action::Database(command) => self.tell(command),
            }
        }
        Ok(())
    }

    /// By every network: one that is down must not cut anybody off.
    fn send(&self, to: Node, message: Message) {
        let bytes = wire::encode(&self.key, self.own, to, message);
        let sockets = lock(&self.sockets);
        for (place, address) in targets(self.settings, to) {
            if let Some(Some(socket)) = sockets.get(place) {
                let _ = socket.send_to(&bytes, SocketAddr::new(address, self.settings.port));
            }
        }
    }

    fn tell(&mut self, command: Command) {
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
                Command::Open | Command::NoWait if alone => copying::mark_alone(&database.data),
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

    /// MariaDB that answers nothing for a minute will not do so any more.
    fn end_what_hangs(&mut self) {
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

    fn say(&mut self, text: String) {
        if text != self.said {
            eprintln!("{text}");
        }
        self.said = text;
    }

    /// For keepalived at once, for all others twice a second.
    fn show(&mut self, status: Option<Status>) {
        let may_hold = self.member.may_hold_address();
        if self.address != Some(may_hold) {
            self.address = Some(may_hold);
            // keepalived: not 0 is a fault.
            let word = if may_hold { "0\n" } else { "1\n" };
            if let Err(error) = fs::write(self.settings.run.join("address-fault"), word) {
                self.say(format!("address-fault: {error}"));
                self.address = None;
            }
        }
        if self.member.knows_a_writer() {
            self.writer_seen = Some(Instant::now());
        }
        let now = (self.member.known(), self.member.need());
        let has_changed = self.shown != Some(now);
        let is_due = self.reported.is_none_or(|at| at.elapsed() > self.milliseconds(500));
        if !has_changed && !is_due {
            return;
        }
        self.reported = Some(Instant::now());
        let look = self.look.as_ref().map(|(look, _, _)| look);
        let data = self.settings.database.as_ref().map(|database| &database.data);
        let aside = data.map(|data| set_aside(data)).unwrap_or_default();
        let text = Report {
            settings: self.settings,
            member: &self.member,
            status,
            position: look.map_or("unknown".to_owned(), |look| look.position.clone()),
            lag: look.and_then(|look| look.lag),
            is_leaving: self.is_leaving,
            said: self.unanswered.as_ref().unwrap_or(&self.said),
            copies: self.copies,
            // A command that takes a moment is no reason to send readers away; who is late, or
            // cut off, locks them out by itself.
            reads: self.lets_read
                && !self.copies
                && self.answered_look.is_some_and(|at| at.elapsed() < self.milliseconds(2000)),
            // Not at once: readers do not have to leave while the role moves.
            writes: self.writer_seen.is_some_and(|at| at.elapsed() < self.milliseconds(5000)),
            set_aside: aside.iter().map(|path| path.display().to_string()).collect(),
        }
        .text();
        if has_changed {
            self.shown = Some(now);
            self.announce(now);
            // Both have everything again: what was acknowledged alone, too.
            if let (Some(database), Some(config)) = (&self.settings.database, now.0) {
                if config.both {
                    copying::unmark_alone(&database.data);
                }
            }
        }
        let new = self.settings.run.join("state.new");
        let written =
            fs::write(&new, &text).and_then(|()| fs::rename(&new, self.settings.run.join("state")));
        if let Err(error) = written {
            self.say(format!("state: {error}"));
        }
        *lock(&self.state) = (Instant::now(), text);
        alive();
    }

    fn announce(&self, (known, need): (Option<Config>, Option<Need>)) {
        let name = |node: Node| &self.settings.members[usize::from(node.0)].name;
        match known {
            Some(config) if config.both => {
                eprintln!("epoch {}: {} writes, both have it", config.epoch, name(config.primary));
            }
            Some(config) => {
                eprintln!("epoch {}: {} writes, alone", config.epoch, name(config.primary));
            }
            None => eprintln!("it is not known yet who writes"),
        }
        if let Some(need) = need {
            eprintln!("*** {need:?}");
        }
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

/// Tells systemd that the agent does not hang (sd_notify(3)).
fn alive() {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(b"WATCHDOG=1", path);
    }
}
