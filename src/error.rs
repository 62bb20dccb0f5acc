//! The one error type: what went wrong, where, and what to do about it.
//!
//! Every error carries a place when there is one (a file of the user's with the
//! line, or a path) and a hint when the reader can do something. Only `main`
//! prints errors and picks the exit code.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// What `Result` means in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act, which is also the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The work failed: a program, a full disk, a broken store (exit code 1).
    Build,
    /// The command line or a file of the user's is wrong (exit code 2).
    Input,
    /// The archive: no network, a missing file, a bad signature or digest (exit code 3).
    Archive,
    /// A check or an expectation did not hold (exit code 4).
    Check,
    /// What the code says cannot be: a bug of imagebuild's (exit code 70, sysexits.h's
    /// EX_SOFTWARE).
    Bug,
    /// A signal ended the work (exit code 130).
    Interrupted,
}

impl Kind {
    /// The exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Build => 1,
            Kind::Input => 2,
            Kind::Archive => 3,
            Kind::Check => 4,
            Kind::Bug => 70,
            Kind::Interrupted => 130,
        }
    }
}

/// A place in a text file, as an editor would name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would type it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line, without its end.
    pub text: String,
    /// How many characters of the line are meant; at least 1.
    pub width: usize,
}

impl Place {
    /// The place of the bytes `span` of `source`, the text of `file`.
    pub fn of_span(file: &Path, source: &str, span: std::ops::Range<usize>) -> Place {
        let start = floor_char_boundary(source, span.start);
        let end = floor_char_boundary(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let text = source[line_start..].lines().next().unwrap_or("").to_owned();
        let column = source[line_start..start].chars().count() + 1;
        let on_this_line = source[start..end].lines().next().unwrap_or("").chars().count();
        Place {
            file: file.to_owned(),
            line: source[..start].matches('\n').count() + 1,
            column,
            text,
            width: on_this_line.max(1),
        }
    }
}

const DISK_FULL: &str = "the disk is full: free some space, or use another disk (`--store DIR` for the store, `--out DIR` for images), and run the same command again; finished steps are kept";

/// The cause as a person says it: without the number of the error, and without
/// the name of a temporary file that tempfile puts behind that.
fn words(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    text.find(" (os error ").map_or(text.clone(), |at| text[..at].to_owned())
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// An error: a sentence, perhaps a place, details and a hint.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    place: Option<Place>,
    details: Vec<String>,
    hint: Option<String>,
    source: Option<std::io::Error>,
}

/// What to do about a bug.
const REPORT: &str = "this is a bug of imagebuild: please report it, with the command line, the output and `imagebuild --version`";

impl Error {
    /// An error of this kind that says `message` (lower case, no full stop).
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            place: None,
            details: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// The work failed.
    pub fn build(message: impl Into<String>) -> Error {
        Error::new(Kind::Build, message)
    }

    /// The user's input is wrong.
    pub fn input(message: impl Into<String>) -> Error {
        Error::new(Kind::Input, message)
    }

    /// The archive did not give what was asked of it.
    pub fn archive(message: impl Into<String>) -> Error {
        Error::new(Kind::Archive, message)
    }

    /// A check did not hold.
    pub fn check(message: impl Into<String>) -> Error {
        Error::new(Kind::Check, message)
    }

    /// What cannot be has happened.
    pub fn bug(message: impl Into<String>) -> Error {
        Error::new(Kind::Bug, message).hint(REPORT)
    }

    /// `doing` ("write", "rename", ...) to `path` failed with an I/O error.
    pub fn io(doing: &str, path: &Path, cause: &std::io::Error) -> Error {
        let mut error =
            Error::build(format!("cannot {doing} {}: {}", path.display(), words(cause)));
        // An I/O error cannot be cloned: what it is told apart by.
        error.0.source = Some(match cause.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => std::io::Error::new(cause.kind(), cause.to_string()),
        });
        #[expect(clippy::wildcard_enum_match_arm, reason = "most kinds have no hint")]
        match cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                error.hint(DISK_FULL)
            }
            std::io::ErrorKind::PermissionDenied => {
                error.hint("check the owner and the mode of that path, or name another place")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                error.hint("name a place that can be written")
            }
            _ => error,
        }
    }

    /// Adds the place in the user's file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Error {
        self.0.place = Some(place);
        self
    }

    /// Adds a line of detail, shown indented below the message (may hold several lines).
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.0.details.push(detail.into());
        self
    }

    /// Adds the hint: what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the hint, unless there is a more exact one already.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Error {
        if self.0.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Adds the hint about a full disk, if it was one: programs say so in their own words.
    #[must_use]
    pub fn explain_full_disk(self) -> Error {
        let full = |text: &String| text.contains("No space left on device");
        if std::iter::once(&self.0.message).chain(&self.0.details).any(full) {
            return self.hint(DISK_FULL);
        }
        self
    }

    /// Puts `context` before the message: "context: message".
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// As an error of another kind: what it means depends on who asked.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The lines of detail.
    pub fn details(&self) -> impl Iterator<Item = &str> {
        self.0.details.iter().map(String::as_str)
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.0.message)?;
        if let Some(place) = &self.0.place {
            let gutter = place.line.to_string().len();
            let (line, column) = (place.line, place.column);
            write!(f, "\n{:gutter$}--> {}:{line}:{column}", "", place.file.display())?;
            write!(f, "\n{:gutter$} |\n{line} | {}", "", place.text)?;
            let caret = format!("{}{}", " ".repeat(column - 1), "^".repeat(place.width));
            write!(f, "\n{:gutter$} | {caret}", "")?;
        }
        for detail in &self.0.details {
            for line in detail.lines() {
                write!(f, "\n  {line}")?;
            }
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_the_reason_and_the_hint() {
        let source = "name = \"a\"\nprot = 80\n";
        let place = Place::of_span(Path::new("roles/web.toml"), source, 11..15);
        let error = Error::input("unknown key `prot`").at(place).hint("did you mean `port`?");
        assert_eq!(
            error.to_string(),
            "error: unknown key `prot`\n --> roles/web.toml:2:1\n  |\n2 | prot = 80\n  | ^^^^\nhint: did you mean `port`?"
        );
    }

    #[test]
    fn a_bug_is_told_as_one() {
        let error = Error::bug("a thread died");
        assert_eq!(error.kind().exit_code(), 70);
        assert!(error.to_string().contains("hint: this is a bug of imagebuild"));
    }

    #[test]
    fn a_cause_is_kept() {
        let cause = std::io::Error::from_raw_os_error(28);
        let error = Error::io("write", Path::new("/x"), &cause).context("kernel");
        let source = std::error::Error::source(&error).unwrap();
        let source = source.downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_cause_is_told_in_words() {
        let cause = std::io::Error::from_raw_os_error(28);
        let error = Error::io("write", Path::new("/x"), &cause).to_string();
        assert_eq!(
            error,
            format!("error: cannot write /x: No space left on device\nhint: {DISK_FULL}")
        );
        let program = Error::build("cp failed").detail("cp: No space left on device");
        assert!(program.explain_full_disk().to_string().ends_with(DISK_FULL));
    }

    #[test]
    fn counts_columns_in_characters() {
        let place = Place::of_span(Path::new("x"), "é = 1 # ü\n", 3..4);
        assert_eq!((place.line, place.column, place.width), (1, 3, 1));
    }
}
