//! The shell in the guest: three credentials bring it in (a script, a unit, a drop-in
//! that pulls the unit in), and it answers over a virtio-serial port. Nothing of it is
//! in the image.

use super::config::Credential;
use super::shell_protocol::{self, Message, MessageReader};
use crate::error::{Error, Result};
use crate::exec::Output;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The port's name: /dev/virtio-ports/imagebuild.shell in the guest.
pub(super) const PORT: &str = "imagebuild.shell";

/// Reads a command a line, runs it, answers with a line. Outputs go through files: a
/// daemon that a command leaves behind may keep them open.
const SCRIPT: &str = r#"port=/dev/virtio-ports/imagebuild.shell
until [ -e $port ]; do sleep 0.2; done
work=/run/imagebuild-test
mkdir -p -m 0700 $work
exec 3<>$port
read -r uptime rest </proc/uptime
printf '\nHELLO %s\n' "$uptime" >&3
while IFS=' ' read -r verb number seconds command <&3; do
    [ "$verb" = RUN ] || continue
    printf %s "$command" | base64 -d >$work/command
    timeout -k 5 "$seconds" sh $work/command </dev/null >$work/out 2>$work/err 3>&-
    code=$?
    {
        printf 'DONE %s %s ' "$number" "$code"
        base64 -w0 <$work/out
        printf ' '
        base64 -w0 <$work/err
        printf '\n'
    } >&3
done
"#;

/// Early, so that a boot that hangs can be looked at; no default dependencies, so that
/// it outlives all else at shutdown. Every command has a limit of its own that scales with
/// the machine; the 25 seconds of `systemctl` would not.
const UNIT: &str = r"[Unit]
Description=Shell of the tests
DefaultDependencies=no
Wants=dev-virtio\x2dports-imagebuild.shell.device
After=dev-virtio\x2dports-imagebuild.shell.device

[Service]
ExecStart=/bin/sh /run/credentials/@system/imagebuild.test-shell
Environment=HOME=/root SYSTEMD_BUS_TIMEOUT=1h
Restart=on-failure
";

/// A unit from a credential is only a file: this pulls it in.
const DROP_IN: &str = "[Unit]\nWants=imagebuild-test-shell.service\n";

/// What brings the shell into any image with systemd 257.
pub(super) fn credentials() -> [Credential; 3] {
    [
        ("imagebuild.test-shell", SCRIPT),
        ("systemd.extra-unit.imagebuild-test-shell.service", UNIT),
        ("systemd.unit-dropin.sysinit.target~imagebuild-test", DROP_IN),
    ]
    .map(|(name, text)| Credential { name: name.to_owned(), content: text.into() })
}

/// What came from the guest.
#[derive(Debug, Default)]
struct Inbox {
    /// The guest's uptime at each greeting: one a boot.
    greetings: Vec<Duration>,
    done: BTreeMap<u64, Output>,
}

/// This end of the port.
#[derive(Debug)]
pub(super) struct Shell {
    stream: UnixStream,
    inbox: Arc<(Mutex<Inbox>, Condvar)>,
    asked: u64,
}

impl Shell {
    /// Listens to `stream`, on a thread that ends with the stream.
    pub(super) fn new(stream: UnixStream) -> Result<Shell> {
        let mut reader = stream.try_clone().map_err(|e| broken(&e))?;
        let inbox = Arc::new((Mutex::new(Inbox::default()), Condvar::new()));
        let shared = Arc::clone(&inbox);
        std::thread::spawn(move || {
            let (mut messages, mut buffer) = (MessageReader::default(), vec![0; 1 << 16]);
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                for message in messages.push(&buffer[..count]) {
                    take(&shared, message);
                }
            }
        });
        Ok(Shell { stream, inbox, asked: 0 })
    }

    /// How many shells have greeted so far.
    pub(super) fn greetings(&self) -> usize {
        lock(&self.inbox.0).greetings.len()
    }

    /// The uptime that greeting number `number` (from 0) told, if it has come; waits
    /// for `patience` at most.
    pub(super) fn greeting(&self, number: usize, patience: Duration) -> Option<Duration> {
        self.wait(patience, |inbox| inbox.greetings.get(number).copied())
    }

    /// Sends a command; gives its number.
    pub(super) fn send(&mut self, command: &str, limit: Duration) -> Result<u64> {
        self.asked += 1;
        let request = shell_protocol::request(self.asked, limit, command);
        self.stream.write_all(request.as_bytes()).map_err(|e| broken(&e))?;
        Ok(self.asked)
    }

    /// The output of command `number`, if it has ended; waits for `patience` at most.
    pub(super) fn answer(&self, number: u64, patience: Duration) -> Option<Output> {
        self.wait(patience, |inbox| inbox.done.remove(&number))
    }

    fn wait<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let waited = self.inbox.1.wait_timeout_while(lock(&self.inbox.0), patience, |inbox| {
            found = find(inbox);
            found.is_none()
        });
        drop(waited);
        found
    }
}

fn take(inbox: &(Mutex<Inbox>, Condvar), message: Message) {
    let mut guard = lock(&inbox.0);
    match message {
        Message::Hello(uptime) => guard.greetings.push(uptime),
        Message::Done(number, output) => drop(guard.done.insert(number, output)),
    }
    drop(guard);
    inbox.1.notify_all();
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(cause: &std::io::Error) -> Error {
    Error::build(format!("the shell's port broke: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn asks_and_is_answered() {
        let (ours, guest) = UnixStream::pair().unwrap();
        let mut shell = Shell::new(ours).unwrap();
        (&guest).write_all(b"\nHELLO 3.0\n").unwrap();
        assert_eq!(shell.greeting(0, Duration::from_secs(5)), Some(Duration::from_secs(3)));
        let number = shell.send("true", Duration::from_secs(9)).unwrap();
        let mut line = String::new();
        BufReader::new(&guest).read_line(&mut line).unwrap();
        assert_eq!(line, "RUN 1 9 dHJ1ZQ==\n");
        assert!(shell.answer(number, Duration::from_millis(1)).is_none());
        (&guest).write_all(b"DONE 1 4 aGk= \n").unwrap();
        let output = shell.answer(number, Duration::from_secs(5)).unwrap();
        assert_eq!((output.code, output.stdout.as_slice()), (4, &b"hi"[..]));
        assert_eq!(shell.greetings(), 1);
    }
}
