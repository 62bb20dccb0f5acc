//! A way from the user's own browser into the topology: a listener on the loopback takes
//! HTTP requests, and a web client of the segment makes them again. The only socket of a
//! test that is on the host's network, and only on its loopback.

use crate::client::{Clients, Request};
use crate::error::{Error, Result};
use crate::netsim::Segment;
use crate::runner::clients;
use crate::spec::Architecture;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) const HEAD: &str = "The machines are up.";

/// Browsers send less; more is not a page that is looked at.
const LONGEST: u64 = 1 << 20;
/// A browser's patience, and the machines are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listener and its thread; it ends with its value.
#[derive(Debug)]
pub(super) struct Forward {
    address: SocketAddr,
    shall_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Forward {
    /// Leads from a free port of the loopback to `base`, an URL with an IP address.
    pub(super) fn open(
        architecture: &Architecture,
        segment: &Segment,
        base: String,
    ) -> Result<Forward> {
        let failed =
            |e: std::io::Error| Error::build(format!("cannot listen on the loopback: {e}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let users = Clients::attach(
            segment,
            clients::BROWSERS,
            &clients::browsers(architecture, segment.name())?,
        )?;
        let shall_end = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&shall_end);
        let (users, base) = (Arc::new(users), Arc::new(base));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // Each by itself: browsers open connections on which they ask nothing yet.
                let (users, base) = (Arc::clone(&users), Arc::clone(&base));
                std::thread::spawn(move || {
                    // A browser that goes away in the middle is nobody's trouble.
                    drop(stream.and_then(|stream| serve(stream, &users, &base)));
                });
            }
        });
        Ok(Forward { address, shall_end, thread: Some(thread) })
    }

    /// Where the browser goes.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn close(self) {}
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.shall_end.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            crate::progress::warn("the thread of the browser's forward died");
        }
    }
}

/// One request of the browser, and its answer.
fn serve(stream: TcpStream, users: &Clients, base: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let answer = match read(&mut reader)? {
        Some(asked) => fetch(users, base, asked),
        None => plain(400, "not a request that can be passed on\n"),
    };
    reader.into_inner().into_inner().write_all(&answer)
}

type Header = (String, String);

#[derive(Debug, PartialEq)]
struct Asked {
    method: String,
    path: String,
    /// Those that are passed on.
    headers: Vec<Header>,
    body: Vec<u8>,
}

/// Headers that are of one connection alone (RFC 9110 7.6.1), and the body's length, which
/// is said anew; the topology knows its website by its address.
const OF_ONE_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_passed_on(name: &str) -> bool {
    !OF_ONE_HOP.iter().any(|of_one| name.eq_ignore_ascii_case(of_one))
}

/// A request; none, if it is not one for a page of the website.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [method, path, _] = words.as_slice() else { return Ok(None) };
    let (method, path) = ((*method).to_owned(), (*path).to_owned());
    let (mut length, mut headers): (u64, Vec<Header>) = (0, Vec::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        if is_passed_on(name) {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(LONGEST)).read_to_end(&mut body)?;
    Ok(path.starts_with('/').then_some(Asked { method, path, headers, body }))
}

/// What the topology answers, as the browser gets it.
fn fetch(users: &Clients, base: &str, asked: Asked) -> Vec<u8> {
    let base = base.trim_end_matches('/');
    let url = format!("{base}{}", asked.path);
    let exchange = Request::get(&url)
        .map(|request| request.method(&asked.method).body(asked.body))
        .map(|request| asked.headers.iter().fold(request, |r, (name, text)| r.header(name, text)))
        .and_then(|request| users.send(request, PATIENCE));
    match exchange.map(|exchange| exchange.result) {
        Ok(Ok(got)) => answer(got.status, &response_headers(&got.headers, base), &got.body),
        Ok(Err(failure)) => plain(502, &format!("{url}: {failure}\n")),
        Err(error) => plain(502, &format!("{error}\n")),
    }
}

/// The headers of an answer, with the website's own address taken out of where they lead to:
/// the browser cannot go there.
fn response_headers(headers: &[Header], base: &str) -> Vec<Header> {
    let passed = headers.iter().filter(|(name, _)| is_passed_on(name)).cloned();
    let here = |(name, value): Header| {
        let inside = value.strip_prefix(base).filter(|rest| rest.starts_with('/'));
        match inside.filter(|_| name.eq_ignore_ascii_case("location")) {
            Some(rest) => (name, rest.to_owned()),
            None => (name, value),
        }
    };
    passed.map(here).collect()
}

fn plain(status: u16, text: &str) -> Vec<u8> {
    answer(status, &[("Content-Type".to_owned(), "text/plain".to_owned())], text.as_bytes())
}

fn answer(status: u16, headers: &[Header], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} -\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, value: &str) -> Header {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn reads_what_browsers_send() {
        let sent = b"POST /?a=b HTTP/1.1\r\nHost: x\r\ncookie: id=1\r\ncontent-length: 6\r\n\r\ntext=hrest";
        let asked = Asked {
            method: "POST".to_owned(),
            path: "/?a=b".to_owned(),
            headers: vec![header("cookie", "id=1")],
            body: b"text=h".to_vec(),
        };
        assert_eq!(read(&mut &sent[..]).unwrap(), Some(asked));
        assert_eq!(read(&mut &b"GET http://evil/ HTTP/1.1\r\n\r\n"[..]).unwrap(), None);
    }

    #[test]
    fn answers_lead_back_to_the_loopback() {
        let got = [
            header("Location", "http://10.0.0.1/login"),
            header("Transfer-Encoding", "chunked"),
            header("Set-Cookie", "id=1"),
        ];
        let response_headers = response_headers(&got, "http://10.0.0.1");
        assert_eq!(response_headers, [header("Location", "/login"), header("Set-Cookie", "id=1")]);
        let elsewhere = [header("location", "http://10.0.0.100/")];
        assert_eq!(super::response_headers(&elsewhere, "http://10.0.0.1"), elsewhere);
        let text = String::from_utf8(answer(302, &response_headers, b"go")).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 302 -\r\nLocation: /login\r\nSet-Cookie: id=1\r\nContent-Length: 2\r\nConnection: close\r\n\r\ngo"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            drop(read(&mut bytes.as_slice()));
        }
    }
}
