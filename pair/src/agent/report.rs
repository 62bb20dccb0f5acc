//! How this server is, for people, directors, keepalived and munin: lines of `key=value`.

use crate::settings::Settings;
use imagebuild_pair::{Config, Member, Need, Node, Status};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// All that is said of this server.
pub(crate) struct Report<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) member: &'a Member,
    pub(crate) status: Option<Status>,
    pub(crate) position: String,
    pub(crate) lag: Option<u64>,
    /// What has happened last that a person may want to know.
    pub(crate) said: &'a str,
    pub(crate) copies: bool,
    /// Whether it hands the writes over: the machine is about to stop, or has no carrier.
    pub(crate) is_leaving: bool,
    /// Whether readers are let in.
    pub(crate) reads: bool,
    /// Whether a write has had somewhere to go lately.
    pub(crate) writes: bool,
    pub(crate) set_aside: Vec<String>,
}

impl Report<'_> {
    pub(crate) fn text(&self) -> String {
        let names = |node: Node| &self.settings.members[usize::from(node.0)].name;
        let own = Node(self.settings.own as u8);
        let yes = |is_so: bool| if is_so { "yes" } else { "no" };
        let known = self.member.last_heard();
        let role = match known {
            _ if !own.is_database() => "witness",
            Some(config) if config.primary == own => "primary",
            Some(_) => "replica",
            None => "unknown",
        };
        let heard = (0..self.settings.members.len() as u8).map(Node);
        let heard: Vec<&str> = heard
            .filter(|node| self.member.is_heard(*node))
            .map(|node| names(node).as_str())
            .collect();
        let mut text = String::new();
        let mut say = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}={value}");
        };
        say("server", names(own));
        say("role", role);
        let number = known.map_or("unknown".to_owned(), |config| config.epoch.to_string());
        say("epoch", &number);
        say("primary", known.map_or("unknown", |config| names(config.primary)));
        say("both", known.map_or("unknown", |config: Config| yes(config.both)));
        say("hears", &heard.join(" "));
        say("majority", yes(self.member.has_majority()));
        if own.is_database() {
            let database = match self.status {
                _ if self.copies => "copies",
                Some(_) => "up",
                None => "down",
            };
            say("database", database);
            say("gtid", &self.position);
            say("reads", yes(self.reads));
            say("writes", yes(self.writes));
            say("lag", &self.lag.map_or("unknown".to_owned(), |lag| lag.to_string()));
            say("set-aside", &self.set_aside.join(" "));
        }
        if let Some(config) = self.member.recoverable() {
            let both = if config.both { "both in sync" } else { "alone" };
            let (epoch, primary) = (config.epoch, names(config.primary));
            say("others-know", &format!("epoch {epoch}: {primary} is the primary, {both}"));
        }
        say("leaves", yes(self.is_leaving));
        let needs = self.member.need().map(|need| format!("{need:?}: {}", wanted(need)));
        say("needs", &needs.unwrap_or_default());
        say("said", self.said);
        text
    }
}

/// What a person has to know, and do. The names are those of docs/pairs.md.
fn wanted(need: Need) -> &'static str {
    match need {
        Need::RegisterLost => {
            "more than one voter has lost its disk; imagebuild-replication recover goes on with what the others know"
        }
        Need::TwoHistories => {
            "both databases have data, and nobody knows which is the newer one; imagebuild-replication takeover on the one to go on with"
        }
        Need::DataLost => {
            "this database wrote alone, and its data is gone; restore a backup, or imagebuild-replication takeover on the other one"
        }
        Need::MayLackWrites => {
            "the primary is gone, and may have writes that are not here; start it, or imagebuild-replication takeover here"
        }
        Need::CannotOpen => "the primary is alone, and takes no writes; look at its MariaDB",
        Need::VoterMissing => "not enough servers answer; start those that are missing",
    }
}

/// The value of a key.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let of = |line: &'a str| line.strip_prefix(key)?.strip_prefix('=');
    text.lines().find_map(of).unwrap_or_default()
}

/// Whether all is as it should be: nobody has to do anything.
pub(crate) fn is_well(text: &str) -> bool {
    let is = |key, wanted| value(text, key) == wanted;
    let pair =
        is("needs", "") && is("both", "yes") && is("majority", "yes") && !is("leaves", "yes");
    pair && (is("role", "witness") || (is("reads", "yes") && is("set-aside", "")))
}

/// The state that the agent wrote, unless it has not for so long that it must be dead.
pub(crate) fn read(run: &Path, factor: u64) -> Result<String, String> {
    let path = run.join("state");
    let file =
        |error: std::io::Error| format!("{}: {error}: the agent has said nothing", path.display());
    let written = fs::metadata(&path).and_then(|of| of.modified()).map_err(file)?;
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    if age.as_secs() > 10 * factor {
        return Err(format!("the agent has said nothing for {} s", age.as_secs()));
    }
    fs::read_to_string(&path).map_err(file)
}

/// The state as JSON: an object of texts.
pub(crate) fn json(text: &str) -> String {
    let quoted = |text: &str| {
        let mut out = String::from('"');
        for one in text.chars() {
            match one {
                '"' | '\\' => out.extend(['\\', one]),
                one if one < ' ' => {
                    let _ = write!(out, "\\u{:04x}", one as u32);
                }
                one => out.push(one),
            }
        }
        out.push('"');
        out
    };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let all: Vec<String> =
        pairs.map(|(key, value)| format!("  {}: {}", quoted(key), quoted(value))).collect();
    format!("{{\n{}\n}}\n", all.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read() {
        let text = "role=primary\nboth=yes\nmajority=yes\nreads=yes\nset-aside=\nneeds=\n";
        assert!(is_well(text));
        for (from, to) in
            [("both=yes", "both=no"), ("reads=yes", "reads=no"), ("needs=", "needs=x")]
        {
            assert!(!is_well(&text.replace(from, to)), "{to}");
        }
        assert_eq!(value(text, "ole"), "");
        assert_eq!(json("a=b\"c\nd=\\\n"), "{\n  \"a\": \"b\\\"c\",\n  \"d\": \"\\\\\"\n}\n");
    }
}
