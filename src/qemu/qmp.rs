//! QMP, QEMU's own control channel: a command a line, answered in turn, with events
//! in between. <https://www.qemu.org/docs/master/interop/qmp-spec.html>

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// QEMU itself is native: a minute without an answer is a fault of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The guest has switched itself off.
pub(super) const SHUTDOWN: &str = "SHUTDOWN";

/// Longer lines are no answer to anything that is asked here.
const LONGEST: u64 = 16 << 20;

/// One line from QEMU; answers with the number of the question, if they tell it.
#[derive(Debug, Clone, PartialEq)]
enum Line {
    Greeting,
    Return(Option<u64>, Value),
    Failure(Option<u64>, String),
    Event(String),
}

impl Line {
    fn parse(text: &str) -> Result<Line> {
        let strange = || Error::build(format!("QEMU said something strange: {}", text.trim()));
        let Ok(Value::Object(mut members)) = serde_json::from_str(text) else {
            return Err(strange());
        };
        if members.contains_key("QMP") {
            return Ok(Line::Greeting);
        }
        let id = members.get("id").and_then(Value::as_u64);
        if let Some(value) = members.remove("return") {
            return Ok(Line::Return(id, value));
        }
        let string = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if let Some(error) = members.get("error") {
            let text = string(error.get("desc")).ok_or_else(strange)?;
            return Ok(Line::Failure(id, text));
        }
        let event = string(members.get("event")).ok_or_else(strange)?;
        // QEMU that is asked or told by a signal to end says the same word as the guest.
        let is_guests =
            members.get("data").and_then(|data| data.get("guest")) != Some(&json!(false));
        let is_ended = event == SHUTDOWN && !is_guests;
        Ok(Line::Event(if is_ended { "SHUTDOWN by the host".to_owned() } else { event }))
    }
}

/// What QEMU said happened, and when it was heard.
pub(super) type Events = Vec<(Instant, String)>;

/// A connection to one QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: UnixStream,
    lines: Receiver<Result<Line>>,
    events: Arc<Mutex<Events>>,
    asked: u64,
}

impl Qmp {
    /// Shakes hands. A thread listens until the connection ends.
    pub(super) fn new(stream: UnixStream) -> Result<Qmp> {
        let reader = stream.try_clone().map_err(|e| broken(&e))?;
        let (tell, lines) = channel();
        let events = Arc::new(Mutex::new(Events::new()));
        let heard = Arc::clone(&events);
        std::thread::spawn(move || listen(reader, &heard, &tell));
        let mut qmp = Qmp { stream, lines, events, asked: 0 };
        if qmp.line()? != Line::Greeting {
            return Err(Error::build("QEMU did not greet on its control channel"));
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Has QEMU do something and gives what it returns.
    pub(super) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.asked += 1;
        let id = self.asked;
        let line = json!({ "execute": command, "arguments": arguments, "id": id });
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(|e| broken(&e))?;
        // An answer that came after its question was given up is nobody's.
        let is_meant = |own: Option<u64>| own.is_none_or(|own| own == id);
        loop {
            match self.line()? {
                Line::Return(own, value) if is_meant(own) => return Ok(value),
                Line::Failure(own, why) if is_meant(own) => {
                    return Err(Error::build(format!("QEMU refuses {command}: {why}")));
                }
                Line::Return(..) | Line::Failure(..) | Line::Event(_) | Line::Greeting => {}
            }
        }
    }

    /// All events so far.
    pub(super) fn events(&self) -> Events {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self) -> Result<Line> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::build("QEMU does not answer on its control channel"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::build("QEMU closed its control channel"))
            }
        }
    }
}

fn listen(stream: UnixStream, events: &Mutex<Events>, tell: &Sender<Result<Line>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut bytes = Vec::new();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        match Line::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(Line::Event(name)) => {
                let mut all = events.lock().unwrap_or_else(PoisonError::into_inner);
                all.push((Instant::now(), name));
            }
            line => {
                if tell.send(line).is_err() {
                    return;
                }
            }
        }
    }
}

fn broken(cause: &std::io::Error) -> Error {
    Error::build(format!("QEMU's control channel broke: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    #[test]
    fn events_come_in_between() {
        let (ours, qemu) = UnixStream::pair().unwrap();
        let said = concat!(
            "{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n{\"event\": \"RESET\"}\r\n",
            "{\"return\": {\"status\": \"running\"}}\r\n{\"error\": {\"class\": \"x\", \"desc\": \"no\"}}\r\n",
        );
        (&qemu).write_all(said.as_bytes()).unwrap();
        let mut qmp = Qmp::new(ours).unwrap();
        let status = qmp.execute("query-status", json!({})).unwrap();
        assert_eq!(status["status"], "running");
        let refused = qmp.execute("set_link", json!({ "name": "net0", "up": false })).unwrap_err();
        assert_eq!(refused.message(), "QEMU refuses set_link: no");
        let names: Vec<String> = qmp.events().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["RESET"]);
        drop(qemu);
        let gone = qmp.execute("quit", json!({})).unwrap_err();
        assert!(gone.message().starts_with("QEMU"), "{gone}");
    }

    #[test]
    fn a_late_answer_is_nobodys() {
        let (ours, qemu) = UnixStream::pair().unwrap();
        let said = "{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n{\"return\": 1, \"id\": 0}\n{\"return\": 2, \"id\": 2}\n";
        (&qemu).write_all(said.as_bytes()).unwrap();
        assert_eq!(Qmp::new(ours).unwrap().execute("stop", json!({})).unwrap(), 2);
    }

    #[test]
    fn who_ended_the_machine_is_told() {
        let event = |data| format!("{{\"event\": \"SHUTDOWN\"{data}}}");
        let named = |data| Line::parse(&event(data)).unwrap();
        let is = |name: &str| Line::Event(name.to_owned());
        let by_guest = r#", "data": {"guest": true, "reason": "guest-shutdown"}"#;
        assert_eq!([named(by_guest), named("")], [is(SHUTDOWN), is(SHUTDOWN)]);
        let by_signal = r#", "data": {"guest": false, "reason": "host-signal"}"#;
        assert_eq!(named(by_signal), is("SHUTDOWN by the host"));
    }

    #[test]
    fn garbage_is_an_error() {
        for text in ["", "[]", "{", "{}", "{\"error\": 1}", "{\"event\": null}"] {
            assert!(Line::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            drop(Line::parse(&text));
        }

        /// Whatever comes, the listener ends with the stream and the question fails.
        #[test]
        fn noise_ends(bytes: Vec<u8>) {
            let (ours, qemu) = UnixStream::pair().unwrap();
            (&qemu).write_all(&bytes).unwrap();
            drop(qemu);
            prop_assert!(Qmp::new(ours).is_err());
        }
    }

    #[test]
    fn a_corpus_of_lines_changed_at_random() {
        let tokens = &[
            "{",
            "}",
            "[",
            "]",
            "\"id\": ",
            "\"return\": ",
            "\"error\": ",
            "\"event\": ",
            "null",
            "\\ud800",
        ];
        Fuzz::of("qmp", tokens).rounds(100_000).run(|bytes| {
            for line in String::from_utf8_lossy(bytes).lines() {
                drop(Line::parse(line));
            }
        });
    }
}
