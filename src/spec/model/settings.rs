//! Settings that only some architectures need: the way out through a web server,
//! how two databases follow each other, which files are static.
//!
//! One set of types serves as written form and as model, as in `role.rs`.

use crate::spec::model::limits;
use serde::{Deserialize, Serialize};

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
    /// How long a write waits for the other database to have it too, in milliseconds. After
    /// that the primary asks the voters whether it may go on alone, until the other one has
    /// caught up: a shorter wait holds visitors up less when the other database is away, a
    /// longer one leaves the pair together when the network stutters. No acknowledged write
    /// depends on it.
    #[serde(deserialize_with = "limits::milliseconds")]
    pub alone_after_ms: u32,
    /// A database that is further behind answers no reads.
    #[serde(deserialize_with = "limits::seconds")]
    pub max_lag_seconds: u32,
}

impl Default for Replication {
    fn default() -> Replication {
        Replication { alone_after_ms: 800, max_lag_seconds: 5 }
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
