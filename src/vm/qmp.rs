//! QMP, QEMU's own control channel: a command a line, answered in turn, with events
//! in between. <https://www.qemu.org/docs/master/interop/qmp-spec.html>

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// QEMU itself is native: a minute without an answer is a fault of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line from QEMU.
#[derive(Debug, Clone, PartialEq)]
enum Line {
    Greeting,
    Return(Value),
    Failure(String),
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
        if let Some(value) = members.remove("return") {
            return Ok(Line::Return(value));
        }
        let string = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if let Some(error) = members.get("error") {
            return string(error.get("desc")).map(Line::Failure).ok_or_else(strange);
        }
        string(members.get("event")).map(Line::Event).ok_or_else(strange)
    }
}

/// A connection to one QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Shakes hands.
    pub(super) fn new(stream: UnixStream) -> Result<Qmp> {
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| broken(&e))?;
        let mut qmp = Qmp { reader: BufReader::new(stream) };
        if qmp.line()? != Line::Greeting {
            return Err(Error::build("QEMU did not greet on its control channel"));
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Has QEMU do something and gives what it returns.
    pub(super) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.reader.get_mut().write_all(line.as_bytes()).map_err(|e| broken(&e))?;
        loop {
            match self.line()? {
                Line::Return(value) => return Ok(value),
                Line::Failure(why) => {
                    return Err(Error::build(format!("QEMU refuses {command}: {why}")));
                }
                Line::Event(_) | Line::Greeting => {}
            }
        }
    }

    fn line(&mut self) -> Result<Line> {
        let mut text = String::new();
        match self.reader.read_line(&mut text) {
            Ok(0) => Err(Error::build("QEMU closed its control channel")),
            Ok(_) => Line::parse(&text),
            Err(cause) => Err(broken(&cause)),
        }
    }
}

fn broken(cause: &std::io::Error) -> Error {
    Error::build(format!("QEMU's control channel broke: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        drop(qemu);
        let gone = qmp.execute("quit", json!({})).unwrap_err();
        assert!(gone.message().starts_with("QEMU"), "{gone}");
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
    }
}
