//! Debian's control format (deb822): paragraphs of `Field: value` lines.
//!
//! Lenient about what archives and people do (spaces before the end of a line,
//! several empty lines, comments, any case of a field's name), strict about
//! garbage. The format is described in deb822(5) and in Debian Policy 5.1.

use crate::error::{Error, Kind, Place, Result};
use std::ops::Range;
use std::path::Path;

/// Each field is compared with all before it, which takes a day where there are a
/// million. Those of Debian have some thirty.
const MOST_FIELDS: usize = 1000;

/// The paragraphs of `text`, in order.
#[derive(Debug, Clone)]
pub struct Paragraphs<'a> {
    file: &'a Path,
    text: &'a str,
    at: usize,
}

/// One paragraph: fields with the place they come from.
#[derive(Debug, Clone)]
pub struct Paragraph<'a> {
    file: &'a Path,
    text: &'a str,
    /// The bytes of the text that the paragraph takes.
    pub span: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl<'a> Paragraphs<'a> {
    /// The paragraphs of `text`; errors name it `file`.
    pub fn new(file: &'a Path, text: &'a str) -> Paragraphs<'a> {
        Paragraphs { file, text, at: 0 }
    }

    /// The paragraphs from the byte `at` of `text` on, which must be a line's start.
    pub fn starting_at(file: &'a Path, text: &'a str, at: usize) -> Paragraphs<'a> {
        Paragraphs { file, text, at }
    }

    /// Where the next paragraph is looked for.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Leaves out the paragraph that begins at `start` or after it, whatever is in it; the bytes
    /// of it.
    pub(super) fn leave_out(&mut self, start: usize) -> Range<usize> {
        let (mut span, mut at) = (start..start, start);
        while let Some((line, next)) = self.line(at) {
            at = next;
            match (line.is_empty(), span.is_empty()) {
                (true, false) => break,
                (true, true) => span = next..next,
                (false, _) => span.end = next.min(self.text.len()),
            }
        }
        self.at = at;
        span
    }

    /// The next line: its bytes without the line end, and where the following one starts.
    fn line(&self, at: usize) -> Option<(Range<usize>, usize)> {
        if at >= self.text.len() {
            return None;
        }
        let end = self.text[at..].find('\n').map_or(self.text.len(), |length| at + length);
        let trimmed = self.text[at..end].trim_end();
        Some((at..at + trimmed.len(), end + 1))
    }

    fn garbage(&mut self, line: Range<usize>, why: &str) -> Error {
        let place = Place::of_span(self.file, self.text, line);
        self.at = self.text.len();
        Error::new(Kind::Archive, why).at(place)
    }

    fn paragraph(&mut self) -> Result<Option<Paragraph<'a>>> {
        let mut fields: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        let mut start = self.at;
        while let Some((line, next)) = self.line(self.at) {
            let text = &self.text[line.clone()];
            if text.is_empty() {
                self.at = next;
                if !fields.is_empty() {
                    break;
                }
                start = next;
            } else if text.starts_with('#') {
                self.at = next;
            } else if text.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    return Err(self.garbage(line, "a continuation line without a field"));
                };
                value.end = line.end;
                self.at = next;
            } else {
                fields.push(self.field(line, &fields)?);
                self.at = next;
            }
        }
        let span = start..self.at.min(self.text.len());
        let paragraph = Paragraph { file: self.file, text: self.text, span, fields };
        Ok(if paragraph.fields.is_empty() { None } else { Some(paragraph) })
    }

    fn field(
        &mut self,
        line: Range<usize>,
        known: &[(Range<usize>, Range<usize>)],
    ) -> Result<(Range<usize>, Range<usize>)> {
        let text = &self.text[line.clone()];
        if known.len() == MOST_FIELDS {
            let why = format!("a paragraph of more than {MOST_FIELDS} fields");
            return Err(self.garbage(line, &why));
        }
        let Some(colon) = text.find(':') else {
            return Err(self.garbage(line, "a line that is no `Field: value`"));
        };
        let name = &text[..colon];
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) || name.starts_with('-') {
            return Err(self.garbage(line, "this is no name of a field"));
        }
        if known.iter().any(|(other, _)| self.text[other.clone()].eq_ignore_ascii_case(name)) {
            let why = format!("the field `{name}` is there twice");
            return Err(self.garbage(line, &why));
        }
        let value = text[colon + 1..].trim_start();
        Ok((line.start..line.start + colon, line.end - value.len()..line.end))
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.paragraph().transpose()
    }
}

impl<'a> Paragraph<'a> {
    /// The value of the field, with its continuation lines, or nothing.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.range(name).map(|range| &self.text[range])
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// When it is missing or empty.
    pub fn require(&self, name: &str) -> Result<&'a str> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => {
                let place = Place::of_span(self.file, self.text, self.first_line());
                Err(Error::archive(format!("the field `{name}` is missing")).at(place))
            }
        }
    }

    /// An error about the value of `name`.
    pub fn error(&self, name: &str, why: impl Into<String>) -> Error {
        let span = self.range(name).unwrap_or_else(|| self.first_line());
        Error::archive(why).at(Place::of_span(self.file, self.text, span))
    }

    /// The lines of a field's value after the first, trimmed and without comments.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let value = self.get(name).unwrap_or("");
        value.lines().skip(1).filter(|line| !line.starts_with('#')).map(str::trim)
    }

    /// All words of a field's value, over its lines.
    pub fn words(&self, name: &str) -> Vec<&'a str> {
        let value = self.get(name).unwrap_or("");
        let lines = value.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace).collect()
    }

    fn first_line(&self) -> Range<usize> {
        self.fields.first().map_or(self.span.clone(), |(name, value)| name.start..value.end)
    }

    fn range(&self, name: &str) -> Option<Range<usize>> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(known, _)| self.text[known.clone()].eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Result<Vec<Paragraph<'_>>> {
        Paragraphs::new(Path::new("Packages"), text).collect()
    }

    #[test]
    fn reads_paragraphs_with_continuation_lines() {
        let text = "\n\nPackage: a  \r\nDescription: short\n long\n .\n\n\n# no\npackage: b\nX:\n y\n# c\n z";
        let paragraphs = all(text).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("a"));
        assert_eq!(paragraphs[0].get("Description"), Some("short\n long\n ."));
        assert_eq!(paragraphs[1].words("X"), ["y", "z"]);
        assert_eq!(paragraphs[1].get("none"), None);
    }

    #[test]
    fn refuses_garbage_with_the_place() {
        let cases = [
            (" a\n", "a continuation line without a field"),
            ("A: b\n<html>\n", "a line that is no `Field: value`"),
            ("A: b\na: c\n", "the field `a` is there twice"),
            ("A b: c\n", "this is no name of a field"),
        ];
        for (text, why) in cases {
            let error = all(text).unwrap_err();
            assert_eq!(error.message(), why);
            assert!(error.to_string().contains("--> Packages:"), "{error}");
        }
        let missing = all("\nA: b\n").unwrap()[0].require("Version").unwrap_err().to_string();
        assert_eq!(
            missing,
            "error: the field `Version` is missing\n --> Packages:2:1\n  |\n2 | A: b\n  | ^^^^"
        );
    }

    #[test]
    fn a_paragraph_has_no_more_fields_than_can_be_compared() {
        let fields = |count: usize| (0..count).map(|n| format!("F{n}: x\n")).collect::<String>();
        assert_eq!(all(&fields(MOST_FIELDS)).unwrap().len(), 1);
        let error = all(&fields(MOST_FIELDS + 1)).unwrap_err().to_string();
        assert!(error.starts_with("error: a paragraph of more than 1000 fields\n"), "{error}");
        assert!(error.contains("--> Packages:1001:1"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([A-Za-z#: \\-\t\r\n]|é){0,60}") {
            for paragraph in Paragraphs::new(Path::new("x"), &text).flatten() {
                prop_assert!(paragraph.span.end <= text.len());
                prop_assert!(paragraph.words("a").len() < 60);
            }
        }
    }
}
