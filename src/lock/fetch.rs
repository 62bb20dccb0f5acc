//! Fetches a file from a mirror: http, https or a local folder.
//!
//! Patient (retries with back-off on overload, time-outs and bodies cut off) but
//! not credulous: never more bytes than expected are taken. Nothing here is
//! believed: digests and signatures are the caller's.

use super::mirror::shown;
use super::proxy::{Proxies, Proxy, authorization, without_user};
use super::whole_urls::WholeUrls;
use crate::error::Error;
use crate::exec;
use crate::progress;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::http::uri::PathAndQuery;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::WithoutBody;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Body, RequestBuilder};

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
    /// The mirror answers, but does not give it: 403, 400. Object stores say so of what they
    /// do not have.
    Refused(Error),
    /// Anything else.
    Failed(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Missing(error) | Failure::Refused(error) | Failure::Failed(error) => error,
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
    Refused(String),
    Final(String, &'static str),
    /// Worth another attempt, perhaps not before the time the server named.
    Again(String, &'static str, Option<Duration>),
    /// Not the mirror's fault.
    Ours(Error),
}

const LATE: &str = "it does not answer in time";
const NO_NETWORK: &str = "is there a network? `--mirror URL` names another mirror, and `--mirror file:///...` a local one";
const TRUST: &str = "whose certificate is it? Where a CA of your own signs, install its certificate (`update-ca-certificates`), or name it with SSL_CERT_FILE";
const CLOCK: &str = "is this machine's clock right? `--mirror URL` names another mirror";
const PROXY: &str = "the proxy wants a user and a password: http://USER:PASSWORD@HOST:PORT in its variable, or in apt's configuration";
const LATER: &str = "try again later, or name another mirror with `--mirror URL`";

/// How often an answer may lead elsewhere.
const MOST_REDIRECTS: u32 = 5;

/// What apt escapes in a path as well (Acquire::URIEncode): object stores take a `+` for a
/// space. And what could not stand in a URL.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'~');

/// Fetches files, keeping connections open between them.
#[derive(Debug, Clone)]
pub struct Fetcher {
    requests: OnceLock<Requests>,
    patience: Patience,
    proxies: Proxies,
}

/// What requests are sent with.
#[derive(Debug, Clone)]
struct Requests {
    agent: ureq::Agent,
    /// The variable that should name certificates to trust, and names none.
    trusts_nobody: Option<&'static str>,
}

impl Requests {
    fn new(patience: Patience) -> Requests {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let certificates: Vec<Certificate<'static>> =
            certificates.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        let is_empty = certificates.is_empty();
        let roots =
            if is_empty { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(certificates)) };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience.idle_timeout))
            .timeout_recv_response(Some(patience.idle_timeout))
            .timeout_per_read(Some(patience.idle_timeout))
            .max_idle_connections_per_host(4)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("imagebuild/", env!("CARGO_PKG_VERSION")))
            .build();
        let connector = DefaultConnector::default().chain(WholeUrls);
        let agent = ureq::Agent::with_parts(config, connector, DefaultResolver::default());
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
        let named = named.into_iter().find(|name| std::env::var_os(name).is_some());
        Requests { agent, trusts_nobody: named.filter(|_| is_empty) }
    }
}

impl Fetcher {
    /// A fetcher with this patience. It trusts the certificates that the machine trusts
    /// (SSL_CERT_FILE and SSL_CERT_DIR, else the system's), and where there are none,
    /// Mozilla's.
    pub fn new(patience: Patience, proxies: Proxies) -> Fetcher {
        Fetcher { requests: OnceLock::new(), patience, proxies }
    }

    /// Made when something is asked for: a build that fetches nothing reads no certificates.
    fn requests(&self) -> &Requests {
        self.requests.get_or_init(|| Requests::new(self.patience))
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
        let from = self.shown(base);
        let say = |why: &str| Error::archive(format!("cannot fetch {path} from {from}: {why}"));
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
                Err(Attempt::Refused(why)) => return Err(Failure::Refused(say(&why).hint(LATER))),
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
        let response = self.get(&format!("{base}/{}", escaped(path)), longest(length))?;
        let status = response.status();
        let shown = format!("the server answered {status}");
        match status.as_u16() {
            200 => {}
            404 | 410 => return Err(Attempt::Missing(shown)),
            407 => return Err(Attempt::Final(shown, PROXY)),
            408 | 425 | 429 | 500..=599 => {
                return Err(Attempt::Again(shown, LATER, retry_after(&response)));
            }
            400..=499 => return Err(Attempt::Refused(shown)),
            _ => return Err(Attempt::Final(shown, LATER)),
        }
        let body = response.into_body();
        let announced = body.content_length();
        let reader = body.into_with_config().limit(u64::MAX).reader();
        copy(reader, length, announced, writer)
    }
}

impl Fetcher {
    /// A mirror, and the proxy before it, for errors: which of the two it is, is often not told.
    fn shown(&self, base: &str) -> String {
        let proxy = base.parse::<Uri>().ok().and_then(|url| self.proxies.of(&url).ok().flatten());
        match proxy.filter(|_| base.starts_with("http")) {
            Some(proxy) => format!("{} (through the proxy {})", shown(base), proxy.shown()),
            None => shown(base),
        }
    }

    /// The answer for a URL, at the end of its redirects.
    fn get(&self, url: &str, longest: Duration) -> Result<ureq::http::Response<Body>, Attempt> {
        let bad = |url: &str| {
            Attempt::Final(format!("it leads to `{}`, which is no URL", shown(url)), LATER)
        };
        let mut url: Uri = url.parse().map_err(|_| bad(url))?;
        for _ in 0..=MOST_REDIRECTS {
            let request = self.request(&url)?.config().timeout_global(Some(longest)).build();
            let response = request.call().map_err(|e| refused(&e))?;
            let target = response
                .headers()
                .get("location")
                .filter(|_| matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308));
            let Some(target) = target else { return Ok(response) };
            let target = target.to_str().unwrap_or_default();
            let next = redirected(&url, target).ok_or_else(|| bad(target))?;
            if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                let why = "it leads from https to http, where anybody can change what comes";
                return Err(Attempt::Final(why.to_owned(), LATER));
            }
            url = next;
        }
        Err(Attempt::Final(format!("it redirects more than {MOST_REDIRECTS} times"), LATER))
    }

    /// The request for a URL, through the proxy that counts there.
    fn request(&self, url: &Uri) -> Result<RequestBuilder<WithoutBody>, Attempt> {
        let Requests { agent, trusts_nobody } = self.requests();
        if let Some(variable) = trusts_nobody.filter(|_| url.scheme_str() == Some("https")) {
            let message = format!("there is no certificate where {variable} points to");
            return Err(Attempt::Ours(Error::input(message).hint(
                "it names a file (SSL_CERT_FILE) or a folder (SSL_CERT_DIR) of the certificates that are trusted, in PEM",
            )));
        }
        let proxy = self.proxies.of(url).map_err(Attempt::Ours)?;
        let Some(proxy) = proxy else { return Ok(agent.get(url)) };
        if url.scheme_str() == Some("http") {
            return through(agent, &proxy, url);
        }
        // What is encrypted goes through a tunnel (CONNECT).
        let tunnel = ureq::Proxy::new(&proxy.uri.to_string());
        let tunnel = tunnel.map_err(|error| Attempt::Final(error.to_string(), LATER))?;
        Ok(agent.get(url).config().proxy(Some(tunnel)).build())
    }
}

/// Asks a proxy for a whole URL: `whole_urls` takes the slash before it out.
fn through(
    agent: &ureq::Agent,
    proxy: &Proxy,
    url: &Uri,
) -> Result<RequestBuilder<WithoutBody>, Attempt> {
    let (host, at) = (without_user(url), without_user(&proxy.uri));
    let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let scheme = proxy.uri.scheme_str().unwrap_or("http");
    let asked = format!("{scheme}://{at}/http://{host}{path}").parse::<Uri>();
    let bad = |_| Attempt::Final(format!("`{host}` cannot be asked of a proxy"), LATER);
    let mut request = agent.get(asked.map_err(bad)?).header("Host", &host);
    if let Some(own) = authorization(url) {
        request = request.header("Authorization", own);
    }
    if let Some(authorization) = &proxy.authorization {
        request = request.header("Proxy-Authorization", authorization);
    }
    Ok(request)
}

/// Where an answer leads: to another URL, or to a path of the same host.
fn redirected(from: &Uri, target: &str) -> Option<Uri> {
    let scheme_of =
        |target: &str| target.split(['/', '?']).next().is_some_and(|s| s.ends_with(':'));
    if scheme_of(target) {
        return target.parse().ok();
    }
    if target.starts_with("//") {
        return format!("{}:{target}", from.scheme_str()?).parse().ok();
    }
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let path =
        if target.starts_with('/') { target.to_owned() } else { format!("{folder}/{target}") };
    format!("{scheme}://{authority}{path}").parse().ok()
}

/// A path as it stands in a URL.
fn escaped(path: &str) -> String {
    utf8_percent_encode(path, ESCAPED).to_string()
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
    if let ureq::Error::ConnectProxyFailed(why) = error {
        return Attempt::Final(format!("its proxy makes no tunnel: {why}"), PROXY);
    }
    if let ureq::Error::BadUri(why) = error {
        return Attempt::Final(format!("this is no URL: {why}"), LATER);
    }
    if let ureq::Error::Timeout(_) = error {
        return Attempt::Again(LATE.to_owned(), NO_NETWORK, None);
    }
    if let ureq::Error::Rustls(e) = error {
        return untrusted(e);
    }
    if let ureq::Error::Io(e) = error {
        let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return untrusted(tls);
        }
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

/// A certificate that is not trusted now is not trusted in a second either.
fn untrusted(error: &rustls::Error) -> Attempt {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(why) = error else {
        return Attempt::Again(error.to_string(), NO_NETWORK, None);
    };
    let times =
        matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. });
    let (why, hint) = if *why == UnknownIssuer {
        ("nobody whom this machine trusts has signed it".to_owned(), TRUST)
    } else {
        (why.to_string(), if times { CLOCK } else { LATER })
    };
    Attempt::Final(format!("its certificate is not accepted: {why}"), hint)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_answer_leads() {
        let from: Uri = "http://a.example/x/y".parse().unwrap();
        for (target, to) in [
            ("/z", "http://a.example/z"),
            ("z", "http://a.example/x/z"),
            ("//b.example/z", "http://b.example/z"),
            ("https://b.example/z", "https://b.example/z"),
            ("/get?u=https://b.example/z", "http://a.example/get?u=https://b.example/z"),
        ] {
            assert_eq!(redirected(&from, target).unwrap().to_string(), to);
        }
        assert_eq!(redirected(&from, "http://"), None);
    }
}
