//! Relations between packages: Depends, Pre-Depends, Provides, Conflicts, Breaks.
//!
//! The syntax is that of Debian Policy 7.1: groups separated by commas, their
//! alternatives by `|`, each `name[:arch] [(relation version)] [[architectures]]`.

use super::version::Version;
use std::fmt;

/// How a version must compare to the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>>`
    Greater,
}

/// One alternative: a package's name and what its version must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package, real or virtual.
    pub name: String,
    /// The architecture after the colon: "any", "native", "amd64" ...
    pub qualifier: Option<String>,
    /// The version it is compared with.
    pub version: Option<(Operator, Version)>,
}

/// Alternatives, the preferred one first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(pub Vec<Relation>);

impl Operator {
    /// Whether `version` compares to `named` like this.
    pub fn holds(self, version: &Version, named: &Version) -> bool {
        match self {
            Operator::Less => version < named,
            Operator::LessOrEqual => version <= named,
            Operator::Equal => version == named,
            Operator::GreaterOrEqual => version >= named,
            Operator::Greater => version > named,
        }
    }

    fn parse(text: &str) -> Option<Operator> {
        Some(match text {
            "<<" => Operator::Less,
            // The single ones are the old spelling that dpkg still reads (Policy 7.1).
            "<=" | "<" => Operator::LessOrEqual,
            "=" => Operator::Equal,
            ">=" | ">" => Operator::GreaterOrEqual,
            ">>" => Operator::Greater,
            _ => return None,
        })
    }
}

impl Relation {
    /// A relation to any version of `name`.
    pub fn to(name: impl Into<String>) -> Relation {
        Relation { name: name.into(), qualifier: None, version: None }
    }

    /// Whether a package of this name at `version` is meant.
    pub fn admits(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|(operator, named)| operator.holds(version, named))
    }

    /// Whether something provided, perhaps at a version, is meant: a provision
    /// without a version never satisfies a relation with one (Policy 7.5).
    pub fn admits_provided(&self, version: Option<&Version>) -> bool {
        match version {
            Some(version) => self.admits(version),
            None => self.version.is_none(),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        let Some((operator, version)) = &self.version else { return Ok(()) };
        let operator = match operator {
            Operator::Less => "<<",
            Operator::LessOrEqual => "<=",
            Operator::Equal => "=",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">>",
        };
        write!(f, " ({operator} {version})")
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(Relation::to_string).collect();
        f.write_str(&all.join(" | "))
    }
}

/// Reads a field's value; alternatives that are not for `architecture` are left out.
///
/// # Errors
/// The reason, with the offending text.
pub fn parse(value: &str, architecture: &str) -> Result<Vec<Group>, String> {
    let mut groups = Vec::new();
    for group in value.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        let mut alternatives = Vec::new();
        for alternative in group.split('|') {
            alternatives.extend(relation(alternative.trim(), architecture)?);
        }
        if !alternatives.is_empty() {
            groups.push(Group(alternatives));
        }
    }
    Ok(groups)
}

/// Reads one alternative; nothing when it is for other architectures.
fn relation(text: &str, architecture: &str) -> Result<Option<Relation>, String> {
    let name_end = text.find(|c: char| c.is_whitespace() || "([<:".contains(c));
    let (name, mut rest) = text.split_at(name_end.unwrap_or(text.len()));
    if !is_package_name(name) {
        return Err(format!("`{text}` does not start with a package's name"));
    }
    let mut qualifier = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let (word, after) = after.split_at(end.unwrap_or(after.len()));
        if word.is_empty() {
            return Err(format!("`{text}` has no architecture after the colon"));
        }
        qualifier = Some(word.to_owned());
        rest = after;
    }
    let mut version = None;
    rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) =
            after.split_once(')').ok_or_else(|| format!("`{text}` has no closing `)`"))?;
        version = Some(restriction(inside.trim(), text)?);
        rest = after.trim_start();
    }
    let meant = match rest.strip_prefix('[') {
        None if rest.is_empty() => true,
        Some(after) if after.trim_end().ends_with(']') => {
            for_architecture(after.trim_end().trim_end_matches(']'), architecture)
        }
        _ => return Err(format!("`{text}` has `{rest}` at its end")),
    };
    let relation = Relation { name: name.to_owned(), qualifier, version };
    Ok(if meant { Some(relation) } else { None })
}

fn restriction(inside: &str, text: &str) -> Result<(Operator, Version), String> {
    let end = inside.find(|c: char| !"<>=".contains(c)).unwrap_or(inside.len());
    let (operator, version) = inside.split_at(end);
    let operator = Operator::parse(operator)
        .ok_or_else(|| format!("`{text}` compares with `{operator}`, which is no operator"))?;
    Ok((operator, Version::parse(version.trim())?))
}

/// Whether a list such as "amd64 arm64" or "!i386" is for this architecture.
fn for_architecture(list: &str, architecture: &str) -> bool {
    let mut words = list.split_whitespace().peekable();
    let matches = |word: &str| word == architecture || word == "any" || word == "linux-any";
    if words.peek().is_some_and(|word| word.starts_with('!')) {
        return !words.any(|word| matches(word.trim_start_matches('!')));
    }
    words.any(matches)
}

/// Whether this can be the name of a package (Policy 5.6.7, but any length and
/// upper case too, as dpkg allows).
pub fn is_package_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_archive_writes() {
        let text = "libc6 (>= 2.38), a:any|b (<<1.0~),\n c [amd64 arm64], d [!amd64] | e [!i386], f [i386],";
        let shown: Vec<String> =
            parse(text, "amd64").unwrap().iter().map(Group::to_string).collect();
        assert_eq!(shown, ["libc6 (>= 2.38)", "a:any | b (<< 1.0~)", "c", "e"]);
    }

    #[test]
    fn versions_are_compared() {
        let group = &parse("a (>= 1.0)", "amd64").unwrap()[0].0[0];
        let v = |text| Version::parse(text).unwrap();
        assert!(group.admits(&v("1.0")) && !group.admits(&v("1.0~rc1")));
        assert!(!group.admits_provided(None) && group.admits_provided(Some(&v("2"))));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            ("a (>= 1", "`a (>= 1` has no closing `)`"),
            ("a (~ 1)", "`a (~ 1)` compares with ``, which is no operator"),
            ("a b", "`a b` has `b` at its end"),
            ("a: (= 1)", "`a: (= 1)` has no architecture after the colon"),
            ("a | | b", "`` does not start with a package's name"),
        ] {
            assert_eq!(parse(text, "amd64").unwrap_err(), why);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c:()\\[\\]<>=!|, 0-9~é]{0,30}") {
            if let Ok(groups) = parse(&text, "amd64") {
                let shown: Vec<String> = groups.iter().map(Group::to_string).collect();
                prop_assert_eq!(parse(&shown.join(", "), "amd64"), Ok(groups));
            }
        }
    }
}
