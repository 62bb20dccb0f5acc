//! Fetches a file from a mirror: http, https or a local folder.
//!
//! Patient (retries with back-off on overload, time-outs and bodies cut off) but
//! not credulous: never more bytes than expected are taken. Nothing here is
//! believed: digests and signatures are the caller's.

use crate::error::Error;
use crate::exec;
use crate::progress;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait and how often to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often a file is tried in all.
    pub attempts: u32,
    /// The pause before the second attempt; each further one is twice as long.
    pub pause: Duration,
    /// How long a connection may take, and how long a server may be silent.
    pub idle_timeout: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            attempts: 4,
            pause: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// How long a file is.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// Known from a verified index.
    Exactly(u64),
    /// Not known, but longer is refused.
    AtMost(u64),
}

/// Why there is no file.
#[derive(Debug)]
pub enum Failure {
    /// The mirror does not have it (404, 410, no such file).
    Missing(Error),
    /// Anything else.
    Failed(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Missing(error) | Failure::Failed(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}

/// What one attempt came to, if not to the file.
enum Attempt {
    Missing(String),
    Final(String, &'static str),
    /// Worth another attempt, perhaps not before the time the server named.
    Again(String, &'static str, Option<Duration>),
    /// Not the mirror's fault.
    Ours(Error),
}

const LATE: &str = "it does not answer in time";
const NO_NETWORK: &str = "is there a network? `--mirror URL` names another mirror, and `--mirror file:///...` a local one";
const LATER: &str = "try again later, or name another mirror with `--mirror URL`";

/// Fetches files, keeping connections open between them.
#[derive(Debug, Clone)]
pub struct Fetcher {
    agent: ureq::Agent,
    patience: Patience,
}

impl Fetcher {
    /// A fetcher with this patience; a proxy is taken from the environment.
    pub fn new(patience: Patience) -> Fetcher {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience.idle_timeout))
            .timeout_recv_response(Some(patience.idle_timeout))
            .timeout_per_read(Some(patience.idle_timeout))
            .max_idle_connections_per_host(4)
            .user_agent(concat!("imagebuild/", env!("CARGO_PKG_VERSION")))
            .build();
        Fetcher { agent: config.into(), patience }
    }

    /// Fetches `path` below the mirror `base` into a writer that `make` makes anew
    /// for every attempt.
    ///
    /// # Errors
    /// [`Failure::Missing`] when the mirror answers that it has no such file; else
    /// with the mirror as the user named it, the path, the reason and a hint.
    pub fn fetch<W: Write>(
        &self,
        base: &str,
        path: &str,
        length: Length,
        mut make: impl FnMut() -> Result<W, Error>,
    ) -> Result<W, Failure> {
        let say = |why: &str| Error::archive(format!("cannot fetch {path} from {base}: {why}"));
        let mut pause = self.patience.pause;
        let mut number = 1;
        loop {
            if exec::interrupted() {
                return Err(Failure::Failed(exec::interruption()));
            }
            let mut writer = make()?;
            match self.attempt(base, path, length, &mut writer) {
                Ok(()) => return Ok(writer),
                Err(Attempt::Missing(why)) => return Err(Failure::Missing(say(&why).hint(LATER))),
                Err(Attempt::Ours(error)) => return Err(Failure::Failed(error)),
                Err(Attempt::Final(why, hint)) => {
                    return Err(Failure::Failed(say(&why).hint(hint)));
                }
                Err(Attempt::Again(why, hint, _)) if number >= self.patience.attempts => {
                    let why = format!("{why} ({number} attempts)");
                    return Err(Failure::Failed(say(&why).hint(hint)));
                }
                Err(Attempt::Again(why, _, not_before)) => {
                    let next = format!("attempt {} of {}", number + 1, self.patience.attempts);
                    progress::step("Waiting", format!("for {path}: {why}; {next} follows"));
                    rest(pause.max(not_before.unwrap_or_default()));
                }
            }
            pause *= 2;
            number += 1;
        }
    }

    fn attempt(
        &self,
        base: &str,
        path: &str,
        length: Length,
        writer: &mut impl Write,
    ) -> Result<(), Attempt> {
        if let Some(folder) = base.strip_prefix("file://") {
            let file = Path::new(folder).join(path);
            return match std::fs::File::open(&file) {
                Ok(opened) => copy(opened, length, None, writer),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    Err(Attempt::Missing("there is no such file".to_owned()))
                }
                Err(e) => Err(Attempt::Ours(Error::io("open", &file, &e))),
            };
        }
        let request = self.agent.get(format!("{base}/{path}"));
        let request = request.config().timeout_global(Some(longest(length))).build();
        let response = request.call().map_err(|e| refused(&e))?;
        let status = response.status();
        let shown = format!("the server answered {status}");
        match status.as_u16() {
            200 => {}
            404 | 410 => return Err(Attempt::Missing(shown)),
            429 | 500..=599 => return Err(Attempt::Again(shown, LATER, retry_after(&response))),
            _ => return Err(Attempt::Final(shown, LATER)),
        }
        let body = response.into_body();
        let announced = body.content_length();
        let reader = body.into_with_config().limit(u64::MAX).reader();
        copy(reader, length, announced, writer)
    }
}

/// Sleeps, but not through a signal.
fn rest(pause: Duration) {
    let start = Instant::now();
    while start.elapsed() < pause && !exec::interrupted() {
        std::thread::sleep(Duration::from_millis(50).min(pause));
    }
}

/// How long a transfer may take in all: a server that trickles must not hold a
/// build for ever, and 20 kB a second is slower than any line worth waiting for.
fn longest(length: Length) -> Duration {
    let (Length::Exactly(bytes) | Length::AtMost(bytes)) = length;
    Duration::from_secs(60 + bytes / 20_000)
}

/// How long the server asks to wait, at most half a minute of it.
fn retry_after<B>(response: &ureq::http::Response<B>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    Some(Duration::from_secs(value.parse::<u64>().ok()?.min(30)))
}

fn refused(error: &ureq::Error) -> Attempt {
    if let ureq::Error::HostNotFound = error {
        return Attempt::Final("its name is unknown".to_owned(), NO_NETWORK);
    }
    if let ureq::Error::Timeout(_) = error {
        return Attempt::Again(LATE.to_owned(), NO_NETWORK, None);
    }
    if let ureq::Error::Io(e) = error {
        use std::io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
        if e.kind() == ConnectionRefused {
            return Attempt::Final("it refuses the connection".to_owned(), NO_NETWORK);
        }
        let late = [TimedOut, WouldBlock].contains(&e.kind());
        let why = if late { LATE.to_owned() } else { e.to_string() };
        return Attempt::Again(why, NO_NETWORK, None);
    }
    Attempt::Again(error.to_string(), NO_NETWORK, None)
}

/// Copies the body, which must be as long as expected or announced.
fn copy(
    mut reader: impl Read,
    length: Length,
    announced: Option<u64>,
    writer: &mut impl Write,
) -> Result<(), Attempt> {
    let (limit, expected) = match length {
        Length::Exactly(bytes) => (bytes, Some(bytes)),
        Length::AtMost(bytes) => (bytes, announced),
    };
    let longer = || Attempt::Final(format!("the file is longer than {limit} bytes"), LATER);
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(longer());
    }
    let mut buffer = vec![0; 128 * 1024];
    let mut done = 0;
    loop {
        if exec::interrupted() {
            return Err(Attempt::Ours(exec::interruption()));
        }
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(broken_off(&e, done)),
        };
        done += count as u64;
        if done > limit {
            return Err(longer());
        }
        writer
            .write_all(&buffer[..count])
            .map_err(|e| Attempt::Ours(Error::io("write", Path::new("a file of the cache"), &e)))?;
    }
    match expected.filter(|bytes| *bytes != done) {
        Some(bytes) => {
            let why = format!("the file ends after {done} of {bytes} bytes");
            Err(Attempt::Again(why, LATER, None))
        }
        None => Ok(()),
    }
}

fn broken_off(error: &std::io::Error, done: u64) -> Attempt {
    let silent = |e: &ureq::Error| matches!(e, ureq::Error::Timeout(_));
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    let timed_out = error.kind() == std::io::ErrorKind::TimedOut || inner.is_some_and(silent);
    let what = if timed_out { "fell silent" } else { "broke off" };
    Attempt::Again(format!("the connection {what} after {done} bytes"), LATER, None)
}
