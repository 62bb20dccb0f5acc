//! The prompt: line editing, history of the session, completion of verbs and names.

use super::command::VERBS;
use crate::error::{Error, Result};
use crate::exec;
use crate::spec::Architecture;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Context, Editor, Helper, Highlighter, Hinter, Validator};

/// A prompt on the terminal, or on whatever standard input is.
pub(super) struct Prompt(Editor<Names, MemHistory>);

/// What can be completed.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Names {
    machines: Vec<String>,
    networks: Vec<String>,
}

impl Prompt {
    pub(super) fn new(architecture: &Architecture) -> Result<Prompt> {
        let names = Names {
            machines: architecture.servers.keys().cloned().collect(),
            networks: architecture.networks.keys().cloned().collect(),
        };
        let editor = Editor::with_history(Config::default(), MemHistory::new());
        let mut editor = editor.map_err(|e| broken(&e))?;
        editor.set_helper(Some(names));
        Ok(Prompt(editor))
    }

    /// A line; nothing at the end of the input.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Option<String>> {
        match self.0.readline(prompt) {
            Ok(line) => {
                // A history that is full forgets; nobody misses it.
                drop(self.0.add_history_entry(line.as_str()));
                Ok(Some(line))
            }
            Err(ReadlineError::Eof) => Ok(None),
            // In raw mode Ctrl-C is a character, not a signal.
            Err(ReadlineError::Interrupted) => Err(exec::interruption()),
            Err(cause) => Err(broken(&cause)),
        }
    }
}

fn broken(cause: &ReadlineError) -> Error {
    Error::build(format!("cannot read the prompt: {cause}"))
}

impl Names {
    /// What may stand at the place of the last word.
    fn candidates(&self, line: &str) -> Vec<&str> {
        let before: Vec<&str> = match line.rsplit_once(char::is_whitespace) {
            Some((before, _)) => before.split_whitespace().collect(),
            None => Vec::new(),
        };
        let machines = || self.machines.iter().map(String::as_str).collect();
        let networks = || self.networks.iter().map(String::as_str).collect();
        match before.as_slice() {
            [] => VERBS.to_vec(),
            ["reset-network"] => networks(),
            ["help" | "quit" | "status" | "restore" | "http"] => Vec::new(),
            [_] => machines(),
            ["disconnect" | "reconnect" | "link-down" | "link-up", _] => networks(),
            _ => Vec::new(),
        }
    }
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let line = line.get(..at).unwrap_or(line);
        let begun = line.rsplit(char::is_whitespace).next().unwrap_or_default();
        let start = line.len() - begun.len();
        let matching = self.candidates(line).into_iter().filter(|name| name.starts_with(begun));
        Ok((start, matching.map(|name| format!("{name} ")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_verbs_machines_and_networks() {
        let names = Names {
            machines: vec!["database1".to_owned(), "web1".to_owned()],
            networks: vec!["private".to_owned(), "public".to_owned()],
        };
        let history = MemHistory::new();
        let complete = |line: &str| {
            names.complete(line, line.len(), &Context::new(&history)).unwrap().1.concat()
        };
        assert_eq!(complete("power"), "power-off ");
        assert_eq!(complete("disconnect w"), "web1 ");
        assert_eq!(complete("disconnect web1 pu"), "public ");
        assert_eq!(complete("reset-network p"), "private public ");
        assert_eq!(complete("status "), "");
        // A space of a web page has two bytes.
        assert_eq!(complete("disconnect\u{a0}w"), "web1 ");
        assert_eq!(complete("shell web1 ls /"), "");
    }
}
