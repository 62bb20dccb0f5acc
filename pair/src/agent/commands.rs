//! What a database is told, as SQL, and by the programs that start and kill it.

use crate::look::{Look, tables};
use crate::session::{Session, literal};
use crate::settings::{Database, Settings};
use imagebuild_pair::{Command, Node};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

/// MariaDB's process, told apart from every other: its number and when it was started.
pub(crate) type Process = String;

/// Who runs commands, one after the other, on one connection.
pub(crate) struct Commander {
    settings: Settings,
    database: Database,
    password: String,
    /// By how many times all is slower here than on a server.
    factor: u64,
    session: Option<(Session, Process)>,
    /// Connections of ours that may still be at work: of an agent before this one, or given up.
    stale: Vec<(Process, u64)>,
}

impl Commander {
    pub(crate) fn new(
        settings: &Settings,
        database: &Database,
        password: &str,
        factor: u64,
    ) -> Commander {
        let text = fs::read_to_string(settings.run.join("sessions")).unwrap_or_default();
        let stale = text.lines().filter_map(|line| {
            let (process, id) = line.split_once(' ')?;
            Some((process.to_owned(), id.parse().ok()?))
        });
        let commander = Commander {
            settings: settings.clone(),
            database: database.clone(),
            password: password.to_owned(),
            factor,
            session: None,
            stale: stale.collect(),
        };
        // Of an agent before this one that was killed meanwhile.
        commander.refuse_primary(false);
        commander
    }

    /// Carries a command out, at the process that it is meant for. Gives which one was told.
    pub(crate) fn run(
        &mut self,
        command: Command,
        meant: Option<&Process>,
    ) -> Result<Process, String> {
        if command == Command::Close {
            return self.kill_and_start();
        }
        let statements = self.statements(command);
        let stops = command == Command::StopFollowing;
        if stops {
            self.refuse_primary(true);
        }
        let is_used = self.session.is_some();
        let mut done = self.run_once(&statements, meant);
        if done.is_err() && is_used {
            // The connection was of a process that has ended since.
            done = self.run_once(&statements, meant);
        }
        if stops {
            self.refuse_primary(false);
        }
        done
    }

    fn run_once(&mut self, statements: &str, meant: Option<&Process>) -> Result<Process, String> {
        let (mut session, process) = match self.session.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        if meant.is_none_or(|meant| *meant != process) {
            return Err("MariaDB was started anew".to_owned());
        }
        match session.run(statements) {
            Ok(_) => {
                self.session = Some((session, process.clone()));
                Ok(process)
            }
            Err(error) => {
                self.stale.push((process, session.id));
                Err(error)
            }
        }
    }

    /// A replica that stops receiving connects to the primary once more, to end its connection
    /// there, and waits a second (whole seconds are MariaDB's unit) for one that is dead. The
    /// kernel's refusal comes at once. Without nft all this takes a second longer.
    fn refuse_primary(&self, refuses: bool) {
        let own = &self.settings.own().addresses[0];
        let peers = self.settings.members[..2].iter().flat_map(|peer| &peer.addresses);
        let rules = peers.filter(|address| *address != own).map(|address| {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            format!("add rule inet {TABLE} out {family} daddr {address} tcp dport 3306 reject with tcp reset\n")
        });
        let text = if refuses {
            let rules: String = rules.collect();
            format!(
                "add table inet {TABLE}\nadd chain inet {TABLE} out {{ type filter hook output priority 0; }}\n{rules}"
            )
        } else {
            format!("delete table inet {TABLE}\n")
        };
        let _ = filter(&text);
    }

    /// One look; on a connection of its own, as commands may take long.
    pub(crate) fn look(
        database: &Database,
        query: &str,
        open: &mut Option<(Session, Process)>,
    ) -> Result<(Look, Process), String> {
        let (mut session, process) = match open.take() {
            Some(open) => open,
            None => connect(database)?,
        };
        let rows = session.run(query)?;
        let look = rows.first().and_then(|row| Look::read(row));
        let mut look = look.ok_or_else(|| format!("an answer that says nothing: {rows:?}"))?;
        if !look.has_history() {
            let rows = session.run(&tables())?;
            look.has_tables = rows.first().is_some_and(|count| count != "0");
        }
        *open = Some((session, process.clone()));
        Ok((look, process))
    }

    /// A new connection; none before all others of ours are gone.
    fn connect(&mut self) -> Result<(Session, Process), String> {
        let (mut session, process) = connect(&self.database)?;
        for (_, id) in self.stale.iter().filter(|(of, _)| *of == process) {
            // It may be gone already: that is an error for KILL, and ends the session.
            let listed = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE ID = {id};");
            if !session.run(&listed)?.is_empty() {
                let mut killer = connect(&self.database)?.0;
                let _ = killer.run(&format!("KILL HARD {id};"));
            }
            while !session.run(&listed)?.is_empty() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.stale.clear();
        let line = format!("{process} {}\n", session.id);
        fs::write(self.settings.run.join("sessions"), line).map_err(|error| error.to_string())?;
        Ok((session, process))
    }

    /// No commit that waits may be acknowledged by this, also not the others of its group: so
    /// the process is killed, and starts read-only.
    fn kill_and_start(&mut self) -> Result<Process, String> {
        self.session = None;
        kill(&self.database)?;
        // Not waited for: it may have much to recover, and looks say when it is there.
        program(&self.database.start)?;
        Ok(String::new())
    }

    fn statements(&self, command: Command) -> String {
        match command {
            Command::Found => FOUND.to_owned(),
            Command::Open => self.open(NEW_NUMBERS),
            Command::OpenAnew => self.open(ANEW),
            Command::Close => String::new(),
            Command::Wait => "SET GLOBAL rpl_semi_sync_master_enabled = 1;".to_owned(),
            Command::NoWait => "SET GLOBAL rpl_semi_sync_master_enabled = 0;".to_owned(),
            Command::Follow(node) => self.follow(node),
            Command::StopFollowing => "STOP REPLICA IO_THREAD;".to_owned(),
            // By a thread of its own.
            Command::Copy(_) => String::new(),
            Command::LockReaders => format!("{} KILL HARD USER 'app';", self.accounts("LOCK")),
            Command::LetReadersIn => self.accounts("UNLOCK"),
        }
    }

    /// What follows nobody has nothing to be read from old files after a restart.
    fn open(&self, numbers: &str) -> String {
        let users = self.accounts("UNLOCK");
        format!("STOP REPLICA; RESET REPLICA ALL; {numbers} SET GLOBAL read_only = 0; {users}")
    }

    /// The application's accounts, each server's own: no part of what is replicated.
    fn accounts(&self, word: &str) -> String {
        let hosts = fs::read_to_string(&self.database.clients).unwrap_or_default();
        let statements = hosts
            .lines()
            .map(|host| format!(" ALTER USER IF EXISTS 'app'@{} ACCOUNT {word};", literal(host)));
        let all: String = statements.collect();
        format!("SET SESSION sql_log_bin = 0;{all} SET SESSION sql_log_bin = 1;")
    }

    fn follow(&self, node: Node) -> String {
        let host = self.settings.members[usize::from(node.0)].addresses[0].to_string();
        let (host, password, factor) = (literal(&host), literal(&self.password), self.factor);
        format!(
            "STOP REPLICA; SET GLOBAL slave_net_timeout = {};
             CHANGE MASTER TO MASTER_HOST = {host}, MASTER_USER = 'replication',
             MASTER_PASSWORD = {password}, MASTER_USE_GTID = slave_pos,
             MASTER_DEMOTE_TO_SLAVE = 1, MASTER_CONNECT_RETRY = 1,
             MASTER_HEARTBEAT_PERIOD = {factor};
             START REPLICA;",
            4 * factor
        )
    }
}

/// The firewall's table of [`Commander::refuse_primary`].
const TABLE: &str = "imagebuild_pair";

/// Runs statements of nft.
fn filter(text: &str) -> std::io::Result<()> {
    let mut child = process::Command::new("nft")
        .args(["-f", "-"])
        .stdin(process::Stdio::piped())
        .stderr(process::Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    child.wait().map(|_| ())
}

/// The first transaction of all, and where later ones go that prove that the replica has
/// everything before them.
const FOUND: &str = "CREATE DATABASE IF NOT EXISTS imagebuild;
CREATE TABLE IF NOT EXISTS imagebuild.pair (id TINYINT PRIMARY KEY, number BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB;";

/// A transaction with a number that was never given: those of before that were cut off the log
/// when MariaDB started after a crash would be given again, and a replica that has them would
/// pass the new ones over.
const NEW_NUMBERS: &str = "SET SESSION gtid_seq_no = 1000000 + GREATEST(
  CAST(SUBSTRING_INDEX(@@gtid_binlog_pos, '-', -1) AS UNSIGNED),
  CAST(SUBSTRING_INDEX(@@gtid_slave_pos, '-', -1) AS UNSIGNED));
CREATE DATABASE IF NOT EXISTS imagebuild;";

/// The same where a person has chosen one of two histories, or restored one: the number is
/// higher than any that was given before, also by a server that is not there (microseconds since
/// 1970), and the log begins with it. Whoever comes with another one finds that it cannot follow.
const ANEW: &str =
    "SET SESSION gtid_seq_no = GREATEST(1000000 * UNIX_TIMESTAMP(), 1000000 + GREATEST(
  CAST(SUBSTRING_INDEX(@@gtid_binlog_pos, '-', -1) AS UNSIGNED),
  CAST(SUBSTRING_INDEX(@@gtid_slave_pos, '-', -1) AS UNSIGNED)));
CREATE DATABASE IF NOT EXISTS imagebuild;
SET @first = @@gtid_binlog_pos;
RESET MASTER;
SET GLOBAL gtid_binlog_state = @first;";

/// A transaction that is answered when the replica has received it, and so all before it.
pub(crate) fn prove(database: &Database, number: u64, meant: &Process) -> Result<Process, String> {
    let (mut session, process) = connect(database)?;
    if process != *meant {
        return Err("MariaDB was started anew".to_owned());
    }
    session.run(&format!("{FOUND} REPLACE INTO imagebuild.pair VALUES (1, {number});"))?;
    Ok(process)
}

fn connect(database: &Database) -> Result<(Session, Process), String> {
    let mut session = Session::open(&database.client)?;
    let rows = session.run("SELECT @@pid_file;")?;
    let file = rows.first().cloned().unwrap_or_default();
    let process = process_of(&file).ok_or_else(|| format!("{file} names no process"))?;
    Ok((session, process))
}

/// Of a file with a process's number.
fn process_of(file: &str) -> Option<Process> {
    let number: u32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    // The 22nd word is when it was started; the second, in parentheses, may hold anything.
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let started = stat.rsplit(')').next()?.split_whitespace().nth(19)?.to_owned();
    Some(format!("{number}/{started}"))
}

/// Kills MariaDB, and waits until it is gone.
pub(crate) fn kill(database: &Database) -> Result<(), String> {
    let running = mariadbd(database);
    program(&database.kill)?;
    let until = Instant::now() + Duration::from_secs(60);
    while running.iter().any(|process| !is_gone(*process)) {
        if Instant::now() > until {
            return Err("MariaDB was killed, and is not gone".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Whether MariaDB runs, also while it starts.
pub(crate) fn runs(database: &Database) -> bool {
    !mariadbd(database).is_empty()
}

/// All processes that are MariaDB, with these data.
fn mariadbd(database: &Database) -> Vec<u32> {
    let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
    let data = fs::metadata(&database.data).ok();
    let is_ours = |number: &u32| {
        let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        // It works in its folder of data; of one that is a zombie nothing is left to be seen.
        let cwd = fs::metadata(PathBuf::from(format!("/proc/{number}/cwd"))).ok();
        name.trim() == "mariadbd" && same(cwd.as_ref(), data.as_ref())
    };
    folders
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_ours)
        .collect()
}

/// Whether nothing of a process is left: no thread that still holds its files. A killed one
/// that nobody has waited for yet has only its entry.
fn is_gone(number: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else { return true };
    let is_zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    let threads = fs::read_dir(format!("/proc/{number}/task")).map_or(0, Iterator::count);
    is_zombie && threads <= 1
}

fn same(one: Option<&fs::Metadata>, other: Option<&fs::Metadata>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |of: &fs::Metadata| (of.dev(), of.ino());
    one.is_some() && one.map(key) == other.map(key)
}

/// Runs a program to its end.
pub(crate) fn program(argv: &[String]) -> Result<(), String> {
    let (name, words) = argv.split_first().ok_or("no program")?;
    let status = process::Command::new(name).args(words).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", argv.join(" "))),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
