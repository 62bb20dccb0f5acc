//! A way from the user's own browser into the topology: a listener on the loopback takes
//! HTTP requests, and a web user of the segment makes them again. The only socket of a
//! test that is on the host's network, and only on its loopback.

use crate::error::{Error, Result};
use crate::scenario::USERS;
use crate::spec::Architecture;
use crate::vm::scenario::crowd;
use crate::vm::{Request, Segment, Users};
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
        let users = Users::attach(
            segment,
            &format!("{USERS}-browser"),
            &crowd::browsers(architecture, segment.name())?,
        )?;
        let shall_end = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&shall_end);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // A browser that goes away in the middle is nobody's trouble.
                drop(stream.and_then(|stream| serve(stream, &users, &base)));
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
fn serve(stream: TcpStream, users: &Users, base: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let answer = match read(&mut reader)? {
        Some((method, path, body)) => fetch(users, base, (&method, &path, body)),
        None => answer(400, "text/plain", b"not a request that can be passed on\n"),
    };
    reader.into_inner().into_inner().write_all(&answer)
}

type Asked = (String, String, Vec<u8>);

/// Method, path and body.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [method, path, _] = words.as_slice() else { return Ok(None) };
    let (method, path) = ((*method).to_owned(), (*path).to_owned());
    let mut length: u64 = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let of_length = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("content-length");
        if let Some((_, value)) = header.split_once(':').filter(of_length) {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(LONGEST)).read_to_end(&mut body)?;
    Ok(path.starts_with('/').then_some((method, path, body)))
}

/// What the topology answers, as the browser gets it.
fn fetch(users: &Users, base: &str, (method, path, body): (&str, &str, Vec<u8>)) -> Vec<u8> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let exchange = Request::get(&url)
        .map(|request| request.method(method).body(body))
        .and_then(|request| users.send(request, PATIENCE));
    match exchange.map(|exchange| exchange.result) {
        Ok(Ok(got)) => {
            let kind = got.header("content-type").unwrap_or("application/octet-stream").to_owned();
            answer(got.status, &kind, &got.body)
        }
        Ok(Err(failure)) => answer(502, "text/plain", format!("{url}: {failure}\n").as_bytes()),
        Err(error) => answer(502, "text/plain", format!("{error}\n").as_bytes()),
    }
}

fn answer(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_browsers_send() {
        let sent = b"POST /?a=b HTTP/1.1\r\nHost: x\r\ncontent-length: 6\r\n\r\ntext=hrest";
        let asked = read(&mut &sent[..]).unwrap();
        assert_eq!(asked, Some(("POST".to_owned(), "/?a=b".to_owned(), b"text=h".to_vec())));
        assert_eq!(read(&mut &b"GET http://evil/ HTTP/1.1\r\n\r\n"[..]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            drop(read(&mut bytes.as_slice()));
        }
    }
}
