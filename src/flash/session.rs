//! A talk with the system where the disk is: this one, or one behind `ssh`. Its other end is
//! `session.sh`; a command is a line, then perhaps bytes, and is answered by a line. Commands
//! are sent ahead of their answers, so that a distant machine is never waited for.

use super::facts::{self, Facts};
use super::target::Target;
use crate::error::{Error, Result};
use crate::exec::{self, Program, Spawned};
use crate::fs::Sha256Digest;
use crate::remote::{self, Login, printable};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc;

/// Runs at the other end. No single quote is in it, so a pair of them carries it through the
/// shell that logs in there: any of Bourne's, zsh, fish; csh cannot have lines in quotes.
pub(super) const SCRIPT: &str = include_str!("session.sh");
/// What the key of a rescue system is known by.
const ALIAS: &str = "imagebuild-target";
/// A login shell may greet, at most with so many lines.
const MOST_GREETINGS: usize = 100;
/// zstd's level: faster than any network, and layers are compressed already.
const LEVEL: i32 = 1;

/// The program at the other end, and what it says.
#[derive(Debug)]
pub(super) struct Session {
    to: Option<PipeWriter>,
    from: BufReader<PipeReader>,
    program: Option<Spawned>,
    /// Whom an error speaks of.
    place: String,
    /// Whether the other end has answered.
    is_ready: bool,
    /// Host keys that the user gave.
    _known_hosts: Option<tempfile::NamedTempFile>,
}

/// Sends commands; their answers come to somebody else.
pub(super) struct Sender<'a, M> {
    to: &'a mut PipeWriter,
    marks: mpsc::Sender<M>,
    packs: bool,
}

impl Session {
    /// Starts a talk with the system that has the target. Of host keys, those that are given
    /// count, else those that the user's `ssh` knows.
    ///
    /// # Errors
    /// When it cannot be reached, with what `ssh` said.
    pub(super) fn open(target: &Target, host_keys: &[String]) -> Result<Session> {
        let (program, place, known_hosts) = match target {
            Target::File(path) | Target::Device(path) => (
                Program::new("sh").args(["-c", SCRIPT, "sh"]).arg(path),
                "this machine".to_owned(),
                None,
            ),
            Target::Ssh { login, disk } => {
                let known = remote::known_hosts(ALIAS, host_keys)?;
                let program = ssh(login, disk, known.as_ref().map(tempfile::NamedTempFile::path));
                (program, login.to_string(), known)
            }
        };
        // ssh needs its user's home, agent and terminal.
        Session::with(program.envs(std::env::vars_os()).quiet(), place, known_hosts)
    }

    /// With a program that runs the script.
    pub(super) fn with(
        program: Program,
        place: String,
        known_hosts: Option<tempfile::NamedTempFile>,
    ) -> Result<Session> {
        let (to, from, spawned) = program.converse()?;
        let mut session = Session {
            to: Some(to),
            from: BufReader::new(from),
            program: Some(spawned),
            place,
            is_ready: false,
            _known_hosts: known_hosts,
        };
        for _ in 0..MOST_GREETINGS {
            if session.line()? == "ready" {
                session.is_ready = true;
                return Ok(session);
            }
        }
        Err(Error::build(format!("{} says other things than it was asked", session.place))
            .hint("its user's shell must not write to standard output when it starts"))
    }

    /// What is known of the target.
    pub(super) fn describe(&mut self) -> Result<Facts> {
        self.send("describe")?;
        let mut lines = Vec::new();
        while lines.len() < facts::MOST {
            match self.line()? {
                line if line == "described" => return Facts::parse(&lines),
                line => lines.push(refused(line)?),
            }
        }
        Err(Error::build(format!("{} has too much to say of its disk", self.place)))
    }

    /// Sends one command and waits for its answer: what stands behind `ok`.
    pub(super) fn ask(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        let line = self.line()?;
        answer(line)
    }

    /// Sends commands with `produce`, as fast as they are taken; `done` gets the mark of each
    /// with its answer, in order.
    pub(super) fn stream<M: Send>(
        &mut self,
        packs: bool,
        produce: impl FnOnce(&mut Sender<'_, M>) -> Result<()>,
        mut done: impl FnMut(M, String) -> Result<()> + Send,
    ) -> Result<()> {
        let (marks, sent) = mpsc::channel();
        let Session { to, from, .. } = self;
        let Some(to) = to.as_mut() else { return Err(Error::bug("the session is closed")) };
        let (produced, heard) = std::thread::scope(|scope| {
            let hearing = scope.spawn(move || {
                for mark in sent {
                    match read_line(from).transpose() {
                        None => return Ok(false),
                        Some(line) => done(mark, answer(line?)?)?,
                    }
                }
                Ok(true)
            });
            let mut sender = Sender { to, marks, packs };
            let produced = produce(&mut sender);
            drop(sender);
            let heard = hearing.join();
            (produced, heard.unwrap_or_else(|_| Err(Error::bug("who reads the answers died"))))
        });
        match (heard, produced) {
            // What the other end said explains why nothing more could be sent.
            (Err(said), _) => Err(said),
            (Ok(_), Err(e)) if e.kind() == crate::error::Kind::Interrupted => Err(e),
            (Ok(false), _) => Err(self.ended()),
            (Ok(true), Err(e)) if is_broken_pipe(&e) => Err(self.ended()),
            (Ok(true), produced) => produced,
        }
    }

    fn send(&mut self, command: &str) -> Result<()> {
        let Some(to) = self.to.as_mut() else { return Err(Error::bug("the session is closed")) };
        match to.write_all(format!("{command}\n").as_bytes()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    fn line(&mut self) -> Result<String> {
        match read_line(&mut self.from)? {
            Some(line) => Ok(line),
            None => Err(self.ended()),
        }
    }

    /// Why it says nothing more.
    fn ended(&mut self) -> Error {
        if exec::interrupted() {
            return exec::interruption();
        }
        self.to = None;
        let error = Error::build(match self.is_ready {
            true => format!("the connection to {} ended", self.place),
            false => format!("{} cannot be reached", self.place),
        });
        let Some(Ok(output)) = self.program.take().map(Spawned::wait) else { return error };
        let said = exec::tail(printable(&output.stderr).as_bytes());
        if said.contains("Host key verification failed") {
            // Of a screen full of advice, the fingerprint that was offered.
            let fingerprint = |line: &&str| line.contains("SHA256:");
            let lines: Vec<&str> = said.lines().map(str::trim).filter(fingerprint).collect();
            return error.detail("ssh: Host key verification failed.").detail(lines.join("\n")).hint(
                "give the key that the provider shows, `--host-key 'ssh-ed25519 AAAA...'`, or log in once with ssh and compare it there",
            );
        }
        let error = if said.is_empty() { error } else { error.detail(said.clone()) };
        if said.contains("Permission denied (") {
            return error.hint("log in once with `ssh` and the same user, host and port: what works there works here");
        }
        // ssh's own failures: no way there, no such name, nobody who listens.
        if output.code == 255 && !self.is_ready {
            return error.hint(
                "`ssh` with the same user, host and port shows whether the machine can be reached",
            );
        }
        error
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The next line, without its end; nothing at the end of all.
fn read_line(from: &mut BufReader<PipeReader>) -> Result<Option<String>> {
    let mut line = Vec::new();
    let failed = |e: std::io::Error| Error::build(format!("cannot read an answer: {e}"));
    from.take(facts::MOST as u64).read_until(b'\n', &mut line).map_err(failed)?;
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Ok(None);
    }
    Ok(Some(printable(&line)))
}

/// An answer that is none: the other end gave up.
fn refused(line: String) -> Result<String> {
    match line.strip_prefix("failed ") {
        Some(why) => Err(Error::build(format!("the target failed: {why}"))),
        None => Ok(line),
    }
}

fn answer(line: String) -> Result<String> {
    let line = refused(line)?;
    match line.strip_prefix("ok") {
        Some(rest) => Ok(rest.trim().to_owned()),
        None => Err(Error::build(format!("the target says {line:?}"))),
    }
}

impl<M> Sender<'_, M> {
    /// Bytes to be written at `offset`.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], mark: M) -> Result<()> {
        let length = bytes.len();
        if self.packs {
            let packed = zstd::bulk::compress(bytes, LEVEL)
                .map_err(|e| Error::build(format!("cannot compress: {e}")))?;
            // What hardly shrinks costs the other end more time than it saves.
            if packed.len() < length / 16 * 15 {
                let line = format!("unpack {offset} {length} {}\n", packed.len());
                return self.send(&line, &packed, mark);
            }
        }
        self.send(&format!("write {offset} {length}\n"), bytes, mark)
    }

    /// Zeros from `offset` on.
    pub(super) fn erase(&mut self, offset: u64, length: u64, mark: M) -> Result<()> {
        self.send(&format!("erase {offset} {length}\n"), &[], mark)
    }

    /// All that was written must be on the disk.
    pub(super) fn flush(&mut self, mark: M) -> Result<()> {
        self.send("flush\n", &[], mark)
    }

    /// What the disk gives back: answered by a digest.
    pub(super) fn digest(&mut self, offset: u64, length: u64, mark: M) -> Result<()> {
        self.send(&format!("digest {offset} {length}\n"), &[], mark)
    }

    fn send(&mut self, line: &str, bytes: &[u8], mark: M) -> Result<()> {
        if exec::interrupted() {
            return Err(exec::interruption());
        }
        // Who hears the answers has ended, and says why.
        let over = || {
            Error::io("write to", Path::new("the target"), &std::io::ErrorKind::BrokenPipe.into())
        };
        self.marks.send(mark).map_err(|_| over())?;
        let sent = self.to.write_all(line.as_bytes()).and_then(|()| self.to.write_all(bytes));
        sent.map_err(|e| Error::io("write to", Path::new("the target"), &e))
    }
}

/// The digest that an answer names.
pub(super) fn digest(answer: &str) -> Result<Sha256Digest> {
    Sha256Digest::parse(answer)
        .ok_or_else(|| Error::build(format!("the target's digest is {answer:?}")))
}

/// The command line of the user's own ssh: configuration, agent and jump hosts are as usual.
fn ssh(login: &Login, disk: &Path, known_hosts: Option<&Path>) -> Program {
    let mut program = remote::ssh(login, known_hosts.map(|file| (ALIAS, file)));
    let options = [
        // A line that was cut is noticed.
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "ConnectTimeout=30",
    ];
    for option in options {
        program = program.args(["-o", option]);
    }
    let command = format!("exec sh -c '{SCRIPT}' sh {}", disk.display());
    program.args(["--", &login.host, &command])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_in_one_pair_of_quotes() {
        assert!(!SCRIPT.contains('\''));
    }

    #[test]
    fn ssh_is_the_users_own() {
        let Target::Ssh { login, disk } =
            Target::parse("ssh://root@[2001:db8::7]:2222/dev/sda").unwrap()
        else {
            panic!()
        };
        let line = ssh(&login, &disk, None).pasteable();
        assert!(line.starts_with("ssh -T -o StrictHostKeyChecking=yes -o "), "{line}");
        assert!(line.contains(" -p 2222 -l root ") && line.contains(" -- 2001:db8::7 "), "{line}");
        assert!(!line.contains("HostKeyAlias"));
        let pinned = ssh(&login, &disk, Some(Path::new("/tmp/known"))).pasteable();
        assert!(
            pinned.contains("UserKnownHostsFile=\"/tmp/known\"' -o GlobalKnownHostsFile=/dev/null"),
            "{pinned}"
        );
    }
}
