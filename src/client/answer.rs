//! Reads an HTTP/1.1 answer as it comes: head, then a body of known length, in chunks, or
//! up to the end of the connection (RFC 9112 6.3).

use super::exchange::Answer;

/// More is no answer of a web server that is being tested.
const LONGEST_HEAD: usize = 64 << 10;
/// See [`LONGEST_HEAD`].
const LONGEST_BODY: usize = 64 << 20;
const MOST_HEADERS: usize = 96;

/// An answer that is not whole yet.
#[derive(Debug)]
pub(super) struct AnswerReader {
    is_head: bool,
    bytes: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    length: Length,
    closes: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    UntilTheEnd,
}

/// What came so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not all yet.
    More,
    /// All; and whether the connection can serve another request.
    Whole(Box<Answer>, bool),
}

impl AnswerReader {
    /// For the answer to a request with this method.
    pub(super) fn new(method: &str) -> AnswerReader {
        let is_head = method.eq_ignore_ascii_case("HEAD");
        AnswerReader { is_head, bytes: Vec::new(), head: None, body: Vec::new() }
    }

    /// Takes more bytes. The error says what is wrong.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Progress, String> {
        self.bytes.extend_from_slice(bytes);
        while self.head.is_none() {
            if !self.read_head()? {
                return Ok(Progress::More);
            }
        }
        let is_whole = match self.head.as_ref().map(|head| head.length) {
            Some(Length::Known(length)) => self.read_known(length),
            Some(Length::Chunked) => self.read_chunks()?,
            Some(Length::UntilTheEnd) | None => {
                self.body.append(&mut self.bytes);
                false
            }
        };
        if self.body.len() > LONGEST_BODY {
            return Err("the body does not end".to_owned());
        }
        Ok(if is_whole { self.whole() } else { Progress::More })
    }

    /// The connection has ended: whole, if that is how the body ends.
    pub(super) fn end(&mut self) -> Progress {
        match self.head.as_ref().map(|head| head.length) {
            Some(Length::UntilTheEnd) => self.whole(),
            _ => Progress::More,
        }
    }

    fn whole(&mut self) -> Progress {
        let Some(head) = self.head.take() else { return Progress::More };
        let keeps = !head.closes && head.length != Length::UntilTheEnd && self.bytes.is_empty();
        let body = std::mem::take(&mut self.body);
        let (status, headers) = (head.status, head.headers);
        let answer = Answer { status, headers, body, server: None, certificate: None };
        Progress::Whole(Box::new(answer), keeps)
    }

    /// False when the head is not all there.
    fn read_head(&mut self) -> Result<bool, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.bytes).map_err(|e| e.to_string())?;
        let httparse::Status::Complete(end) = parsed else {
            let is_endless = self.bytes.len() > LONGEST_HEAD;
            return if is_endless { Err("the head does not end".to_owned()) } else { Ok(false) };
        };
        let head = Head::of(&response, self.is_head)?;
        self.bytes.drain(..end);
        // 100 Continue and its like come before the answer.
        if !(100..200).contains(&head.status) {
            self.head = Some(head);
        }
        Ok(true)
    }

    fn read_known(&mut self, length: usize) -> bool {
        let missing = length - self.body.len();
        self.body.extend(self.bytes.drain(..missing.min(self.bytes.len())));
        self.body.len() == length
    }

    /// Size in hexadecimal, CR LF, that many bytes, CR LF; the last has size 0, and may
    /// be followed by trailers up to an empty line.
    fn read_chunks(&mut self) -> Result<bool, String> {
        loop {
            let parsed = httparse::parse_chunk_size(&self.bytes);
            let parsed = parsed.map_err(|_| "a chunk without a size".to_owned())?;
            let httparse::Status::Complete((start, size)) = parsed else { return Ok(false) };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > LONGEST_BODY {
                return Err("a chunk that is too large".to_owned());
            }
            if size == 0 {
                return Ok(self.read_trailers(start));
            }
            let end = start + size;
            if self.bytes.len() < end + 2 {
                return Ok(false);
            }
            if self.bytes[end..end + 2] != *b"\r\n" {
                return Err("a chunk without an end".to_owned());
            }
            self.body.extend_from_slice(&self.bytes[start..end]);
            self.bytes.drain(..end + 2);
            if self.body.len() > LONGEST_BODY {
                return Err("the body does not end".to_owned());
            }
        }
    }

    /// The last chunk's line ends at `start`; true when the empty line is there.
    fn read_trailers(&mut self, start: usize) -> bool {
        // With the line's own end, no trailers are an empty line at once.
        let rest = &self.bytes[start - 2..];
        let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        self.bytes.drain(..start - 2 + at + 4);
        true
    }
}

impl Head {
    fn of(response: &httparse::Response<'_, '_>, is_head: bool) -> Result<Head, String> {
        let status = response.code.ok_or("no status")?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers: Vec<(String, String)> =
            response.headers.iter().map(|one| (one.name.to_owned(), text(one.value))).collect();
        let find = |name: &str| {
            headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
        };
        let has_word = |name: &str, word: &str| {
            find(name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        let length = if is_head || matches!(status, 100..200 | 204 | 304) {
            Length::Known(0)
        } else if has_word("transfer-encoding", "chunked") {
            Length::Chunked
        } else if let Some(value) = find("content-length") {
            let length = value.trim().parse().ok().filter(|length| *length <= LONGEST_BODY);
            Length::Known(length.ok_or_else(|| format!("Content-Length: {value}"))?)
        } else {
            Length::UntilTheEnd
        };
        let is_old = response.version == Some(0) && !has_word("connection", "keep-alive");
        let closes = is_old || has_word("connection", "close");
        Ok(Head { status, headers, length, closes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    /// What comes of these bytes in pieces of this size, and of the end after them.
    fn read(bytes: &[u8], piece: usize) -> Result<Progress, String> {
        let mut reader = AnswerReader::new("GET");
        for part in bytes.chunks(piece) {
            let progress = reader.push(part)?;
            if progress != Progress::More {
                return Ok(progress);
            }
        }
        Ok(reader.end())
    }

    fn body(bytes: &[u8]) -> Option<(u16, String, bool)> {
        let Progress::Whole(answer, keeps) = read(bytes, 3).unwrap() else { return None };
        Some((answer.status, answer.text(), keeps))
    }

    #[test]
    fn bodies_end_in_three_ways() {
        let whole = |status, text: &str, keeps| Some((status, text.to_owned(), keeps));
        let known = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";
        assert_eq!(body(known), whole(200, "up", true));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n1;x\r\n!\r\n0\r\n\r\n";
        assert_eq!(body(chunked), whole(200, "up!", true));
        let trailers =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nu\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(body(trailers), whole(200, "u", true));
        let ended = b"HTTP/1.0 503 Away\r\n\r\nno server";
        assert_eq!(body(ended), whole(503, "no server", false));
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(body(closing), whole(200, "", false));
        let continued = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(body(continued), whole(204, "", true));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup"), None, "cut off");
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n"), None);
    }

    #[test]
    fn noise_is_told() {
        for bytes in [
            &b"SSH-2.0-OpenSSH_10.0\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        ] {
            assert!(read(bytes, 7).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, piece in 1..20_usize) {
            drop(read(&bytes, piece));
        }

        #[test]
        fn never_panics_in_a_body(rest: Vec<u8>, piece in 1..20_usize) {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            drop(read(&[&head[..], &rest].concat(), piece));
        }

        #[test]
        fn chunks_come_through(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6), piece in 1..20_usize) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for part in &parts {
                bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let Progress::Whole(answer, true) = read(&bytes, piece).unwrap() else { panic!() };
            prop_assert_eq!(answer.body, parts.concat());
        }
    }

    #[test]
    fn a_corpus_of_answers_changed_at_random() {
        let tokens = &[
            "HTTP/1.1 ",
            "\r\n",
            "\r\n\r\n",
            "Content-Length: ",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "0\r\n\r\n",
            ";",
        ];
        Fuzz::of("answer", tokens).rounds(100_000).run(|bytes| {
            if let Ok(Progress::Whole(answer, _)) = read(bytes, 7) {
                assert!(answer.body.len() < bytes.len(), "a body out of nothing");
            }
        });
    }
}
