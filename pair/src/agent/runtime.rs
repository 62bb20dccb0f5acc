//! The thread that decides: takes what others have seen, asks the deciding part, and sees to it
//! that what that wants is done in its order.

mod database;
mod show;

use crate::commands::{Commander, Process};
use crate::copying;
use crate::look::{Look, Told};
use crate::register_file::{Found, RegisterFile};
use crate::settings::Settings;
use crate::threads::{self, Seen, Sockets, State, lock, targets};
use crate::wire::{self, Key};
use imagebuild_pair::{
    Action, Command, Config, Event, Member, Members, Message, Need, Node, Times,
};
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A turn, in milliseconds at normal speed.
const TURN: u64 = 50;
/// Between two looks at the world.
const WORLD: u64 = 100;
/// That it is seen counts for so long: less than a peer must be silent to be taken for lost, so
/// that a server that is cut off itself knows it by then.
const CONNECTED_LASTS: u64 = 450;
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
        threads::look(database, Duration::from_millis(database::LOOK * factor), &sender);
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
            Seen::Look(began, found) => self.looked(began, found),
            Seen::Done(command, done) => self.done(command, done),
            Seen::Copied(done) => self.copied(done),
            Seen::Proved(number, proof) => self.proved(number, proof),
            Seen::World(began) => self.connected_at = Some(began),
            Seen::DiskWrites => self.disk_wrote = Instant::now(),
        }
        Ok(())
    }

    fn milliseconds(&self, count: u64) -> Duration {
        Duration::from_millis(count * self.factor)
    }

    fn turn(&mut self) -> Result<(), String> {
        self.is_leaving = self.settings.run.join("leave").exists();
        self.member.leave(self.is_leaving || self.is_cut());
        if let Some(database) = &self.settings.database {
            self.member.restored(copying::was_restored(&database.data));
        }
        // What a person has said, once.
        let said = |name: &str| fs::remove_file(self.settings.run.join(name)).is_ok();
        if said("takeover") {
            self.member.force_takeover();
        }
        if said("recover") {
            self.member.recover_anyway();
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

    /// Whether no write gets from or to this database: of two networks the other one may be up, so
    /// that the server is heard all the same.
    fn is_cut(&self) -> bool {
        let database = self.settings.database.as_ref();
        database.is_some_and(|database| !threads::has_carrier(&database.carrier))
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

    fn say(&mut self, text: String) {
        if text != self.said {
            eprintln!("{text}");
        }
        self.said = text;
    }
}
