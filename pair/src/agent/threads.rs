//! Who waits for what takes time, and sends what it has seen to the thread that decides.

use crate::commands::{self, Commander, Process};
use crate::copying;
use crate::look::{Look, query};
use crate::settings::{Database, Settings};
use crate::wire::{self, Key};
use imagebuild_pair::{Command, Message, Node};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What was seen.
pub(crate) enum Seen {
    /// A message of a member.
    Message(Node, Message),
    /// A look at MariaDB that began then, or why there is none.
    Look(Instant, Result<(Look, Process), String>),
    /// What became of the command, and which process was told.
    Done(Command, Result<Process, String>),
    /// What became of the copy.
    Copied(Result<(), String>),
    /// That the replica has received all that was committed before the wait with this number, or
    /// why that is not known.
    Proved(u64, Result<Process, String>),
    /// A gateway has answered, and all links have their carriers: asked then.
    World(Instant),
    /// The disk has taken a write.
    DiskWrites,
}

/// Sockets for datagrams, one for each of the own addresses, once it is there.
pub(crate) type Sockets = Arc<Mutex<Vec<Option<UdpSocket>>>>;

/// What is answered to `state`, and when it was written.
pub(crate) type State = Arc<Mutex<(Instant, String)>>;

/// Locks a mutex, also one whose holder has panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Receives datagrams on every own address. An address may come later than the agent.
pub(crate) fn receive(settings: &Settings, key: &Key, seen: &SyncSender<Seen>) -> Sockets {
    let addresses = settings.own().addresses.clone();
    let sockets: Sockets = Arc::new(Mutex::new(addresses.iter().map(|_| None).collect()));
    let (own, count) = (Node(settings.own as u8), settings.members.len() as u8);
    for (place, address) in addresses.into_iter().enumerate() {
        let (key, seen, sockets) = (key.clone(), seen.clone(), Arc::clone(&sockets));
        let at = SocketAddr::new(address, settings.port);
        thread::spawn(move || {
            let socket = until_bound(|| UdpSocket::bind(at));
            lock(&sockets)[place] = socket.try_clone().ok();
            let mut bytes = [0; 512];
            loop {
                let Ok((length, _)) = socket.recv_from(&mut bytes) else {
                    // An answer of ICMP to something sent.
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                if let Some((from, message)) = wire::decode(&key, own, count, &bytes[..length]) {
                    let sent = seen.try_send(Seen::Message(from, message));
                    if let Err(TrySendError::Disconnected(_)) = sent {
                        return;
                    }
                }
            }
        });
    }
    sockets
}

fn until_bound<T>(bind: impl Fn() -> std::io::Result<T>) -> T {
    let mut said = false;
    loop {
        match bind() {
            Ok(socket) => return socket,
            Err(error) if !said => {
                eprintln!("waiting for the address: {error}");
                said = true;
            }
            Err(_) => {}
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Answers over TCP: `state` for everybody whom the firewall lets in, `copy` for members.
pub(crate) fn serve(settings: &Settings, key: &Key, state: &State, factor: u64) {
    let lasts = Duration::from_secs(3 * factor);
    for address in settings.own().addresses.clone() {
        let at = SocketAddr::new(address, settings.port);
        let (settings, key, state) = (settings.clone(), key.clone(), Arc::clone(state));
        thread::spawn(move || {
            let listener = until_bound(|| TcpListener::bind(at));
            let busy = Arc::new(AtomicUsize::new(0));
            for stream in listener.incoming().flatten() {
                // Each is short but for a copy; more of them at once are no friends.
                if busy.load(Ordering::Relaxed) >= 16 {
                    continue;
                }
                busy.fetch_add(1, Ordering::Relaxed);
                let (settings, key, state) = (settings.clone(), key.clone(), Arc::clone(&state));
                let busy = Arc::clone(&busy);
                thread::spawn(move || {
                    if let Err(why) = answer(&settings, &key, (&state, lasts), stream) {
                        eprintln!("{why}");
                    }
                    busy.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }
}

fn answer(
    settings: &Settings,
    key: &Key,
    (state, lasts): (&Mutex<(Instant, String)>, Duration),
    stream: TcpStream,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).map_err(io)?;
    stream.set_write_timeout(Some(Duration::from_secs(60))).map_err(io)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // Who only looks whether the port is open says nothing.
    if (&mut stream).take(64).read_line(&mut line).is_err() {
        return Ok(());
    }
    match (line.trim(), &settings.database) {
        ("state", _) => {
            let (at, text) = lock(state).clone();
            // Nothing good is said of a server whose agent hangs.
            let text = if at.elapsed() < lasts { text } else { String::new() };
            // Who asked may have gone.
            let _ = stream.get_mut().write_all(text.as_bytes());
            Ok(())
        }
        ("copy", Some(database)) => copying::serve(key, database, &settings.run, stream),
        _ => Ok(()),
    }
}

/// Looks at MariaDB again and again.
pub(crate) fn look(database: &Database, every: Duration, seen: &SyncSender<Seen>) {
    let (database, seen) = (database.clone(), seen.clone());
    thread::spawn(move || {
        let clients = std::fs::read_to_string(&database.clients).unwrap_or_default();
        let query = query(&database.data.display().to_string(), &clients);
        let mut session = None;
        loop {
            let began = Instant::now();
            let found = Commander::look(&database, &query, &mut session);
            // Each new connection is a program that starts: not so often where nobody answers.
            let pause = if found.is_ok() { every } else { 4 * every };
            if seen.send(Seen::Look(began, found)).is_err() {
                return;
            }
            thread::sleep(pause.saturating_sub(began.elapsed()).max(every / 4));
        }
    });
}

/// Carries commands out, one after the other, each at the process that it is meant for.
pub(crate) fn command(
    mut commander: Commander,
    seen: &SyncSender<Seen>,
) -> Sender<(Command, Option<Process>)> {
    let (sender, commands): (_, Receiver<(Command, Option<Process>)>) = channel();
    let seen = seen.clone();
    thread::spawn(move || {
        for (command, process) in commands {
            let done = commander.run(command, process.as_ref());
            if seen.send(Seen::Done(command, done)).is_err() {
                return;
            }
        }
    });
    sender
}

/// Proves that the replica has everything, for the wait with a number.
pub(crate) fn prove(
    database: &Database,
    (number, process): (u64, Process),
    seen: &SyncSender<Seen>,
) {
    let (database, seen) = (database.clone(), seen.clone());
    thread::spawn(move || {
        let proof = commands::prove(&database, number, &process);
        let _ = seen.send(Seen::Proved(number, proof));
    });
}

/// Fetches a copy.
pub(crate) fn copy(
    settings: &Settings,
    database: &Database,
    key: &Key,
    (from, has_data, was_forced): (Node, bool, bool),
    factor: u64,
    seen: &SyncSender<Seen>,
) {
    let (settings, database, key) = (settings.clone(), database.clone(), key.clone());
    let seen = seen.clone();
    thread::spawn(move || {
        let from = usize::from(from.0);
        let what = copying::Old { has_data, was_forced };
        let done = copying::fetch(&key, &settings, &database, from, what, factor);
        let _ = seen.send(Seen::Copied(done));
    });
}

/// Writes to the database's disk once a second: one that is read-only or hangs is noticed.
pub(crate) fn write_to_disk(database: &Database, seen: &SyncSender<Seen>) {
    let (path, seen) = (database.data.join(".imagebuild-copy-probe"), seen.clone());
    thread::spawn(move || {
        loop {
            let written = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let written = written.and_then(|file| {
                file.write_all_at(&[b'.'; 4096], 0)?;
                file.sync_data()
            });
            if written.is_ok() && seen.send(Seen::DiskWrites).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Of two without a witness: looks whether this machine sees anything but the other one.
pub(crate) fn look_at_world(settings: &Settings, every: Duration, seen: &SyncSender<Seen>) {
    let (settings, seen) = (settings.clone(), seen.clone());
    thread::spawn(move || {
        loop {
            let began = Instant::now();
            if sees_world(&settings, 2 * every) && seen.send(Seen::World(began)).is_err() {
                return;
            }
            thread::sleep(every.saturating_sub(began.elapsed()));
        }
    });
}

fn sees_world(settings: &Settings, patience: Duration) -> bool {
    let patience = patience.as_secs_f64().to_string();
    let ping = |gateway: &IpAddr| {
        std::process::Command::new("ping")
            .args(["-q", "-n", "-c", "1", "-W", &patience, &gateway.to_string()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
    };
    // All at a time: one may be silent.
    let mut pings: Vec<_> = settings.gateways.iter().filter_map(|one| ping(one).ok()).collect();
    let mut answers = pings.is_empty() && settings.gateways.is_empty();
    for ping in &mut pings {
        answers |= ping.wait().is_ok_and(|status| status.success());
    }
    settings.links.iter().all(|link| has_carrier(link)) && answers
}

/// Whether an interface is up, and its cable in.
pub(crate) fn has_carrier(link: &str) -> bool {
    let text = std::fs::read_to_string(format!("/sys/class/net/{link}/carrier"));
    text.is_ok_and(|text| text.trim() == "1")
}

/// Where a member is reached from each own address.
pub(crate) fn targets(settings: &Settings, to: Node) -> Vec<(usize, IpAddr)> {
    let peer = &settings.members[usize::from(to.0)];
    peer.addresses.iter().copied().enumerate().collect()
}
