//! Clients that write numbered rows, one after the other, and note which were acknowledged.

use crate::node::{Node, WRITES};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many clients at a time.
const CLIENTS: u64 = 6;
/// A client that has had no answer for so long asks another time.
const PATIENCE: Duration = Duration::from_millis(1000);
/// One that does not get a connection tries again so soon.
const CONNECTING: Duration = Duration::from_millis(400);

/// Clients at work.
pub(crate) struct Ledger {
    acknowledged: Arc<Mutex<Vec<(Instant, u64)>>>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Ledger {
    /// Begins to write.
    pub(crate) fn start(machine: &Node, next: &Arc<AtomicU64>) -> Result<Ledger, String> {
        let acknowledged: Arc<Mutex<Vec<(Instant, u64)>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let (acknowledged, is_over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
            let next = Arc::clone(next);
            let words: Vec<String> =
                command_line(&machine.enter()?).into_iter().chain(client()).collect();
            clients.push(std::thread::spawn(move || {
                let mut session: Option<Session> = None;
                while !is_over.load(Ordering::Relaxed) {
                    let Some(open) = &mut session else {
                        session = Session::open(&words);
                        continue;
                    };
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let sql = format!("INSERT INTO ledger VALUES ({number}); SELECT {number};\n");
                    if open.ask(&sql, PATIENCE).as_deref() == Some(&number.to_string()) {
                        acknowledged.lock().unwrap().push((Instant::now(), number));
                        std::thread::sleep(Duration::from_millis(5));
                    } else {
                        session = None;
                    }
                }
            }));
        }
        Ok(Ledger { acknowledged, is_over, clients })
    }

    /// The longest time without an acknowledged write since a time.
    pub(crate) fn gap(&self, since: Instant) -> Duration {
        let all = self.acknowledged.lock().unwrap();
        let mut times: Vec<Instant> =
            all.iter().map(|(at, _)| *at).filter(|at| *at >= since).collect();
        times.sort();
        times.insert(0, since);
        times.push(Instant::now());
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Whether a write was acknowledged after a time.
    pub(crate) fn has_written_since(&self, since: Instant) -> bool {
        self.acknowledged.lock().unwrap().iter().any(|(at, _)| *at > since)
    }

    /// Ends the clients; gives the numbers of all acknowledged rows.
    pub(crate) fn end(self) -> Vec<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        self.acknowledged.lock().unwrap().iter().map(|(_, number)| *number).collect()
    }
}

fn client() -> Vec<String> {
    let host = format!("--host={WRITES}");
    let words = [
        "mariadb",
        "--user=app",
        "--password=app-\\password",
        &host,
        "--connect-timeout=1",
        "--batch",
        "--skip-column-names",
        "--unbuffered",
        "--skip-reconnect",
        "app",
    ];
    words.map(str::to_owned).to_vec()
}

fn command_line(command: &Command) -> Vec<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).collect()
}

struct Session {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Session {
    /// A connection to a database that takes writes.
    fn open(words: &[String]) -> Option<Session> {
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut session = Session { child, input, lines };
        let answer = session.ask("SELECT @@read_only;\n", CONNECTING);
        (answer.as_deref() == Some("0")).then_some(session)
    }

    fn ask(&mut self, sql: &str, patience: Duration) -> Option<String> {
        self.input.write_all(sql.as_bytes()).and_then(|()| self.input.flush()).ok()?;
        self.lines.recv_timeout(patience).ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
