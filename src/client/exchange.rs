//! A request, and what came of it.

use super::url::Url;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A request that a web client makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) url: Url,
    pub(super) method: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// `GET` of a page: `http` or `https`, with an IP address as host.
    ///
    /// # Errors
    /// `Input` when the address is not one.
    pub fn get(url: &str) -> Result<Request> {
        let (method, headers, body) = ("GET".to_owned(), Vec::new(), Vec::new());
        Ok(Request { url: Url::parse(url)?, method, headers, body })
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Request {
        method.clone_into(&mut self.method);
        self
    }

    /// With one more header; a `Host` replaces the address.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// The same, with a number in the place of each `{number}` in its path and body.
    pub(super) fn numbered(&self, number: u64) -> Request {
        const PLACE: &str = "{number}";
        let fill = |text: &str| text.replace(PLACE, &number.to_string());
        let mut filled = self.clone();
        (filled.url.text, filled.url.path) = (fill(&self.url.text), fill(&self.url.path));
        if let Ok(body) = std::str::from_utf8(&self.body) {
            filled.body = fill(body).into_bytes();
        }
        filled
    }

    /// The page's address as it was written.
    pub fn url(&self) -> &str {
        &self.url.text
    }

    /// Refuses what would be another request than it looks like.
    pub(super) fn check(&self) -> Result<()> {
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let is_line = |text: &str| !text.contains(['\r', '\n', '\0']);
        if !is_token(&self.method) {
            return Err(Error::input(format!("{:?} is no HTTP method", self.method)));
        }
        match self.headers.iter().find(|(name, value)| !is_token(name) || !is_line(value)) {
            Some((name, value)) => {
                Err(Error::input(format!("{name:?}: {value:?} is no HTTP header")))
            }
            None => Ok(()),
        }
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self, keep_alive: bool) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.url.path);
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !has("host") {
            add("Host", &self.url.host);
        }
        if !has("connection") {
            add("Connection", if keep_alive { "keep-alive" } else { "close" });
        }
        if !self.body.is_empty() && !has("content-type") {
            add("Content-Type", "application/x-www-form-urlencoded");
        }
        if !self.body.is_empty() || self.method == "POST" {
            add("Content-Length", &self.body.len().to_string());
        }
        self.headers.iter().for_each(|(name, value)| add(name, value));
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// How an answer tells which server it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// The value of this header.
    Header(String),
    /// What stands in the body between these two texts.
    Between(String, String),
}

impl Default for Marker {
    fn default() -> Marker {
        Marker::Header("X-Server".to_owned())
    }
}

impl Marker {
    /// The server's name in an answer.
    pub(super) fn find(&self, answer: &Answer) -> Option<String> {
        match self {
            Marker::Header(name) => answer.header(name).map(str::to_owned),
            Marker::Between(before, after) => {
                let body = String::from_utf8_lossy(&answer.body);
                let (_, rest) = body.split_once(before.as_str())?;
                rest.split_once(after.as_str()).map(|(name, _)| name.to_owned())
            }
        }
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// In the order of the answer; names as the server wrote them.
    pub headers: Vec<(String, String)>,
    /// Without its transfer encoding. Loads keep the first 1024 bytes.
    pub body: Vec<u8>,
    /// The server that the marker names.
    pub server: Option<String>,
    /// The certificate that the server showed: the digest of its DER bytes. It is not
    /// judged.
    pub certificate: Option<Sha256Digest>,
}

impl Answer {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The server did not take the call.
    Connect,
    /// TLS was not agreed on.
    Handshake,
    /// The request was sent, and its answer did not come, or not all of it.
    Answer,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The address is on another network, and the clients have no gateway.
    NoRoute,
    /// Nobody on the segment says that he has the address (or the gateway's).
    NoNeighbour,
    /// The server refused the call.
    Refused,
    /// The server broke the connection off.
    Reset,
    /// The server closed the connection before its answer was whole.
    ClosedEarly,
    /// The deadline passed.
    TimedOut(Phase),
    /// TLS failed.
    Tls(String),
    /// What came is no HTTP.
    BadAnswer(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Failure::NoRoute => "no route: the address is on another network",
            Failure::NoNeighbour => "nobody answers for the address",
            Failure::Refused => "connection refused",
            Failure::Reset => "connection reset",
            Failure::ClosedEarly => "closed before the answer was whole",
            Failure::TimedOut(Phase::Connect) => "timed out while connecting",
            Failure::TimedOut(Phase::Handshake) => "timed out during the TLS handshake",
            Failure::TimedOut(Phase::Answer) => "timed out while waiting for the answer",
            Failure::Tls(why) => return write!(f, "TLS failed: {why}"),
            Failure::BadAnswer(why) => return write!(f, "not HTTP: {why}"),
        };
        f.write_str(text)
    }
}

/// A request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The page's address.
    pub url: String,
    /// Which of its load's requests it was: what stood for `{number}`. 0 for a single request.
    pub number: u64,
    /// The client's address.
    pub client: IpAddr,
    /// When it was due.
    pub sent: Instant,
    /// When the answer was whole, or the failure certain.
    pub ended: Instant,
    /// Whether it went over a connection that had served others.
    pub reused: bool,
    /// The answer, of whatever status, or why there is none.
    pub result: Result<Answer, Failure>,
}

impl Exchange {
    /// How long the client waited.
    pub fn took(&self) -> Duration {
        self.ended.saturating_duration_since(self.sent)
    }

    /// The answer's status.
    pub fn status(&self) -> Option<u16> {
        self.result.as_ref().ok().map(|answer| answer.status)
    }

    /// The server that answered, if its answer names it.
    pub fn server(&self) -> Option<&str> {
        self.result.as_ref().ok().and_then(|answer| answer.server.as_deref())
    }

    /// Whether the client is content: an answer with a status from 200 to 399.
    pub fn is_good(&self) -> bool {
        self.status().is_some_and(|status| (200..400).contains(&status))
    }

    /// Why the client is not content; none when it is.
    pub fn complaint(&self) -> Option<String> {
        match &self.result {
            Err(failure) => Some(failure.to_string()),
            Ok(answer) if !self.is_good() => Some(format!("status {}", answer.status)),
            Ok(_) => None,
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.took().as_millis();
        match &self.result {
            Ok(answer) => write!(f, "{}: {} after {millis} ms", self.url, answer.status)?,
            Err(failure) => write!(f, "{}: {failure} after {millis} ms", self.url)?,
        }
        self.server().map_or(Ok(()), |server| write!(f, " from {server}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_http_wants_them() {
        let get = Request::get("http://172.16.0.10/a?b").unwrap();
        let text = |request: &Request, keep| String::from_utf8(request.bytes(keep)).unwrap();
        assert_eq!(
            text(&get, true),
            "GET /a?b HTTP/1.1\r\nHost: 172.16.0.10\r\nConnection: keep-alive\r\n\r\n"
        );
        let post = get.method("POST").header("host", "example.org").body("text=x");
        assert_eq!(
            text(&post, false),
            "POST /a?b HTTP/1.1\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\nhost: example.org\r\n\r\ntext=x"
        );
        assert!(post.check().is_ok());
        assert!(post.clone().method("G ET").check().is_err());
        assert!(post.header("X", "a\r\nb: c").check().is_err());
    }

    #[test]
    fn servers_are_told_by_header_or_body() {
        let answer = Answer {
            status: 200,
            headers: vec![("x-server".to_owned(), "web1".to_owned())],
            body: b"<dt>server<dd>web2</dd>".to_vec(),
            server: None,
            certificate: None,
        };
        assert_eq!(Marker::default().find(&answer).as_deref(), Some("web1"));
        let between = Marker::Between("server<dd>".to_owned(), "<".to_owned());
        assert_eq!(between.find(&answer).as_deref(), Some("web2"));
        assert_eq!(Marker::Header("Via".to_owned()).find(&answer), None);
    }
}
