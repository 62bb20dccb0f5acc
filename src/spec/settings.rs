//! Settings that only some architectures need: the way out through a web server,
//! how two databases follow each other, which files are static.
//!
//! One set of types serves as written form and as model, as in `role.rs`.

use super::limits;
use super::load::Surroundings;
use super::model::{Server, Timers};
use super::raw::RawTimers;
use super::validate::look_up;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Spanned;

/// `[nat]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNat {
    /// The server whose public address the others share.
    pub through: Spanned<String>,
    /// Off until it is asked for, here or with `nat = true` in `site.toml`.
    #[serde(default)]
    pub enabled: bool,
}

/// A way out for servers without a public address: for updates, for backups that
/// go elsewhere. Nobody gets in by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nat {
    /// The server whose public address the others share.
    pub through: String,
    /// Whether it is there at all.
    pub enabled: bool,
}

/// `[replication]`: how two databases follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all(deserialize = "kebab-case"), default)]
pub struct Replication {
    /// How long a write waits for the other database to have it too. After that the
    /// writer goes on alone ("degraded"), until the other one has caught up: longer
    /// waits lose fewer writes when both fail one after the other, shorter ones
    /// hold visitors up less when the other database is away.
    #[serde(deserialize_with = "limits::milliseconds")]
    pub semi_sync_timeout_ms: u32,
    /// A database that is further behind answers no reads.
    #[serde(deserialize_with = "limits::seconds")]
    pub max_lag_seconds: u32,
}

impl Default for Replication {
    fn default() -> Replication {
        Replication { semi_sync_timeout_ms: 1500, max_lag_seconds: 5 }
    }
}

/// `[static-files]`: what is served without asking the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StaticFiles {
    /// Endings, without the dot: both nginx's rule and which files of the site are copied.
    pub extensions: Vec<String>,
}

impl Default for StaticFiles {
    fn default() -> StaticFiles {
        let list = "jpg png js ico gif txt css swf zip pdf avi mp3 html";
        StaticFiles { extensions: list.split(' ').map(str::to_owned).collect() }
    }
}

impl StaticFiles {
    /// Whether the file at `path` is one of them; the case of letters does not count.
    pub fn holds(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| self.extensions.contains(&ending))
    }
}

/// Checks `[nat]`: the server exists and stands in both networks.
pub(crate) fn nat(
    raw: Option<&RawNat>,
    servers: &BTreeMap<String, Server>,
    around: &Surroundings<'_>,
) -> Result<Option<Nat>> {
    let Some(raw) = raw else { return Ok(None) };
    let server = look_up("server", &raw.through, servers, around)?;
    if let Some(lacking) =
        ["public", "private"].iter().find(|name| !server.addresses.contains_key(**name))
    {
        let message = format!("{} is not in the network {lacking}", server.name);
        return Err(around
            .sources
            .error(raw.through.span(), message)
            .hint("the way out leads through a server that is in both networks"));
    }
    Ok(Some(Nat { through: server.name.clone(), enabled: raw.enabled }))
}

/// Checks `[static-files]`: endings become part of a regular expression.
pub(crate) fn static_files(
    raw: &Spanned<StaticFiles>,
    around: &Surroundings<'_>,
) -> Result<StaticFiles> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let wrong = |one: &&String| one.is_empty() || !one.chars().all(plain);
    match raw.get_ref().extensions.iter().find(wrong) {
        None => Ok(raw.get_ref().clone()),
        Some(one) => Err(around
            .sources
            .error(raw.span(), format!("`{one}` is not the ending of a file"))
            .hint("write endings in lower case and without the dot: `jpg`")),
    }
}

/// `[timers]`, with what is not written filled in.
pub(crate) fn timers(raw: RawTimers) -> Timers {
    Timers {
        vrrp_advert_ms: raw.vrrp_advert_ms.unwrap_or(250),
        check_ms: raw.check_ms.unwrap_or(500),
        check_fall: raw.check_fall.unwrap_or(2),
        check_rise: raw.check_rise.unwrap_or(2),
        connect_ms: raw.connect_ms.unwrap_or(1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_files_are_told_by_their_ending() {
        let files = StaticFiles::default();
        assert!(files.holds("site/style.css") && files.holds("a/B.JPG"));
        assert!(!files.holds("index.php") && !files.holds("css") && !files.holds("a.css/index"));
    }
}
