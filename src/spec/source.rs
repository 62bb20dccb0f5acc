//! The text of the project's TOML files, and errors that point into them.
//!
//! Values of several files meet in one architecture (`site.toml` overrides
//! `images/arch4.toml`), so a span alone must say which file it is in: every file
//! has its own stretch of one long line of bytes, and spans count along that.

use crate::error::{Error, Place, Result};
use crate::names;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// Between the reason and the hint, in what the spec's own types say to serde.
pub(crate) const HINT: &str = "\nhint: ";

/// The files read so far.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: String,
    text: String,
    base: usize,
}

impl Sources {
    /// Reads the TOML file `path` into `T`, whose spans then name this file.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self, path: &str, bytes: &[u8]) -> Result<T> {
        let text = std::str::from_utf8(bytes).map_err(|cause| {
            Error::input(format!("{path} is not UTF-8: {cause}")).hint("save the file as UTF-8")
        })?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { path: path.to_owned(), text: text.to_owned(), base });
        // Leading blank lines move every span to this file's stretch.
        let padded = format!("{}{text}", "\n".repeat(base));
        toml::from_str(&padded).map_err(|cause| self.toml_error(path, base, &cause))
    }

    /// The place of a span.
    pub(crate) fn place(&self, span: &Range<usize>) -> Option<Place> {
        let source = self.files.iter().rev().find(|file| file.base <= span.start)?;
        let local = span.start - source.base..span.end.saturating_sub(source.base);
        Some(Place::of_span(Path::new(&source.path), &source.text, local))
    }

    /// An input error at a span whose text is not shown, as it may be a secret.
    pub(crate) fn error_unseen(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        let error = Error::input(message);
        match self.place(&span) {
            Some(place) => {
                let shown: String = place.text.chars().take(place.column - 1).collect();
                error.at(Place { text: shown + "...", width: 3, ..place })
            }
            None => error,
        }
    }

    /// An input error at a span.
    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        let error = Error::input(message);
        match self.place(&span) {
            Some(place) => error.at(place),
            None => error,
        }
    }

    fn toml_error(&self, path: &str, base: usize, cause: &toml::de::Error) -> Error {
        let span = cause.span().unwrap_or(base..base);
        let (message, hint) = explain(cause.message());
        let span = span.start.max(base)..span.end.max(base);
        let line = self.place(&span).map_or_else(String::new, |place| place.text);
        let error = self.error(span, message);
        match hint {
            None if line.contains(['“', '”', '„']) => error.hint(
                "these are typographic quotes: TOML has straight ones, `\"`; a word processor changes them",
            ),
            Some(hint) => error.hint(hint),
            None => error.hint(format!("the built-in files show the form of every key of {path}")),
        }
    }
}

/// serde's words for an unknown key or variant in the project's own, with the nearest known names.
fn explain(message: &str) -> (String, Option<String>) {
    let message = message.trim_end();
    if let Some((ours, hint)) = message.split_once(HINT) {
        return (ours.to_owned(), Some(hint.to_owned()));
    }
    for (theirs, ours) in [("unknown field ", "unknown key"), ("unknown variant ", "unknown value")]
    {
        let Some(rest) = message.strip_prefix(theirs) else { continue };
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let typed = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        let hint = names::suggest(typed, known.iter().copied());
        return (format!("{ours} `{typed}`"), Some(hint));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return (format!("the key {key} is missing"), Some(format!("add {key} to this table")));
    }
    if message.starts_with("wanted exactly 1 element") {
        let ours = "this table says one thing by the name of its one key, and has not one key";
        return (ours.to_owned(), Some("write one table for each: `{ ... }, { ... }`".to_owned()));
    }
    (message.to_owned(), None)
}

/// The error for a name that does not exist, with the nearest that do.
pub(crate) fn unknown(
    what: &str,
    name: &Spanned<String>,
    known: &[String],
    sources: &Sources,
) -> Error {
    sources
        .error(name.span(), format!("there is no {what} `{}`", name.get_ref()))
        .hint(names::suggest(name.get_ref(), known.iter().map(String::as_str)))
}
