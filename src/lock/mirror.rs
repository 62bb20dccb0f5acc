//! Where the archives are: one base URL for each archive id.
//!
//! An override of the user's, else what the host's own apt uses for Debian (both
//! formats of sources.list(5)), else public hosts. A lock names archives, never
//! hosts, so any mirror serves.

use super::control::Paragraphs;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The archive of Debian's releases and their updates.
pub const DEBIAN: &str = "debian";
/// The archive of security updates.
pub const SECURITY: &str = "debian-security";
/// The archive id of packages in the user's own project.
pub const LOCAL: &str = "local";
/// The archive id of what imagebuild itself provides.
pub const BUILT_IN: &str = "built-in";

const PUBLIC_DEBIAN: &str = "http://ftp.debian.org/debian";
const PUBLIC_SECURITY: &str = "http://security.debian.org/debian-security";
const PUBLIC_SNAPSHOT: &str = "http://snapshot.debian.org/archive";

/// A base URL for each archive, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    debian: String,
    security: String,
    snapshot: Option<String>,
    /// Archives other than Debian's, by id.
    external: BTreeMap<String, String>,
}

impl Mirrors {
    /// The mirrors to use: `debian` and `security` are the user's choice. Where only
    /// `debian` is given and ends in "/debian", its neighbour "/debian-security" is
    /// taken for security. `root` is "/", where the host's apt is configured.
    ///
    /// # Errors
    /// When an override is no http, https or file URL.
    pub fn choose(debian: Option<&str>, security: Option<&str>, root: &Path) -> Result<Mirrors> {
        let debian = debian.map(base_url).transpose()?;
        let neighbour =
            || debian.as_ref()?.strip_suffix("/debian").map(|at| format!("{at}/{SECURITY}"));
        let security = match security {
            Some(url) => Some(base_url(url)?),
            None => neighbour(),
        };
        let host = from_host(root);
        let snapshot = Some(PUBLIC_SNAPSHOT.to_owned());
        Ok(Mirrors {
            debian: debian.or(host.0).unwrap_or_else(|| PUBLIC_DEBIAN.to_owned()),
            security: security.or(host.1).unwrap_or_else(|| PUBLIC_SECURITY.to_owned()),
            snapshot,
            external: BTreeMap::new(),
        })
    }

    /// Uses another snapshot archive, or none.
    ///
    /// # Errors
    /// When it is no http, https or file URL.
    pub fn with_snapshot(mut self, url: Option<&str>) -> Result<Mirrors> {
        self.snapshot = url.map(base_url).transpose()?;
        Ok(self)
    }

    /// Knows an archive other than Debian's, too.
    ///
    /// # Errors
    /// When it is no http, https or file URL.
    pub fn with_external(mut self, archive: &str, url: &str) -> Result<Mirrors> {
        self.external.insert(archive.to_owned(), base_url(url)?);
        Ok(self)
    }

    /// Whether there is an archive of this id.
    pub fn knows(&self, archive: &str) -> bool {
        [DEBIAN, SECURITY, BUILT_IN].contains(&archive) || self.external.contains_key(archive)
    }

    /// The base URL of an archive; that of `debian` for any unknown id.
    pub fn base(&self, archive: &str) -> &str {
        if let Some(url) = self.external.get(archive) {
            return url;
        }
        if archive == SECURITY { &self.security } else { &self.debian }
    }

    /// The mirrors with Debian's archives as they were at a time: those of the snapshot
    /// archive, where there is one; `stamp` is as in [`Mirrors::snapshot`].
    pub fn as_of(&self, stamp: &str) -> Option<Mirrors> {
        let (debian, security) = (self.snapshot(DEBIAN, stamp)?, self.snapshot(SECURITY, stamp)?);
        Some(Mirrors { debian, security, ..self.clone() })
    }

    /// The base URL of an archive as it was at a time, where there is a snapshot
    /// archive; `stamp` is as [`super::date::snapshot`] writes it.
    pub fn snapshot(&self, archive: &str, stamp: &str) -> Option<String> {
        // It holds Debian's archives only.
        let kept = self.snapshot.as_ref().filter(|_| [DEBIAN, SECURITY].contains(&archive));
        kept.map(|base| format!("{base}/{archive}/{stamp}"))
    }
}

/// A mirror's URL as messages show it: without the user and the password that may be in it.
pub(super) fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}/{path}").trim_end_matches('/').to_owned()
        }
        None => url.to_owned(),
    }
}

fn base_url(url: &str) -> Result<String> {
    let known = ["http://", "https://", "file:///"];
    if known.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(Error::input(format!("`{url}` cannot be used as a mirror")).hint(
        "a mirror is an http://, https:// or file:/// URL, such as http://ftp.debian.org/debian",
    ))
}

/// Names of Debian's releases, as suites of apt sources begin.
const RELEASES: [&str; 6] = ["bullseye", "bookworm", "trixie", "forky", "duke", "sid"];
/// Names that others call their suites by, too: Debian's where Debian's installer puts its
/// own sources.
const ROLES: [&str; 4] = ["oldstable", "stable", "testing", "unstable"];
/// Where that is, below etc/apt.
const OWN_FILES: [&str; 3] =
    ["sources.list", "sources.list.d/debian.sources", "sources.list.d/debian.list"];

/// A line or a paragraph of apt's sources.
struct Source {
    urls: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Source {
    /// Whether it can be Debian's: many archives for Debian have URLs that end in `/debian`.
    fn is_debians(&self, in_own_file: bool) -> bool {
        let is_debians = |suite: &String| {
            let name = suite.split(['-', '/']).next().unwrap_or_default();
            RELEASES.contains(&name) || (in_own_file && ROLES.contains(&name))
        };
        self.suites.iter().any(is_debians) && self.components.iter().any(|name| name == "main")
    }
}

/// The first Debian and security mirrors in the apt configuration below `root`.
/// What cannot be read is skipped: it is the host's, not the user's input.
fn from_host(root: &Path) -> (Option<String>, Option<String>) {
    let apt = root.join("etc/apt");
    let mut files: Vec<PathBuf> = OWN_FILES.iter().map(|name| apt.join(name)).collect();
    let own = files.len();
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files[own..].sort();
    let mut urls = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let sources = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => text.lines().filter_map(one_line).collect(),
            Some("sources") => deb822(file, &text),
            _ => Vec::new(),
        };
        let debians = sources.into_iter().filter(|source| source.is_debians(number < own));
        urls.extend(debians.flat_map(|source| source.urls));
    }
    let first = |archive: &str| {
        let mut bases = urls.iter().filter_map(|url| base_url(url).ok());
        bases.find(|base| base.ends_with(&format!("/{archive}")))
    };
    (first(DEBIAN), first(SECURITY))
}

/// A line such as "deb [arch=amd64] URL suite component".
fn one_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (url, suite) = (words.next()?, words.next()?);
    Some(Source { urls: vec![url], suites: vec![suite], components: words.collect() })
}

fn deb822(file: &Path, text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for paragraph in Paragraphs::new(file, text).flatten() {
        // What apt takes for a no.
        let off = ["no", "false", "without", "off", "disable", "0"];
        let enabled = paragraph.get("Enabled").is_none_or(|value| !off.contains(&value.trim()));
        if enabled && paragraph.words("Types").contains(&"deb") {
            let words = |name| paragraph.words(name).into_iter().map(str::to_owned).collect();
            sources.push(Source {
                urls: words("URIs"),
                suites: words("Suites"),
                components: words("Components"),
            });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (String, String) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt/sources.list.d")).unwrap();
        for (name, text) in files {
            std::fs::write(root.path().join("etc/apt").join(name), text).unwrap();
        }
        let mirrors = Mirrors::choose(None, None, root.path()).unwrap();
        (mirrors.debian, mirrors.security)
    }

    #[test]
    fn the_hosts_sources_are_used_in_both_formats() {
        let one_line = "# deb http://no/debian x main\ndeb-src http://no/debian x\ndeb cdrom:[x]/ y main\ndeb [arch=amd64 signed-by=/x] http://a.example/debian/ bookworm main\ndeb http://a.example/ubuntu noble main\n";
        assert_eq!(
            host(&[("sources.list", one_line)]),
            ("http://a.example/debian".to_owned(), PUBLIC_SECURITY.to_owned())
        );
        let deb822 = "Types: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\nEnabled: false\n\nTypes: deb deb-src\nURIs: http://b.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\nTypes: deb\nURIs:\n http://c.example/debian-security\nSuites: stable-security/updates\nComponents: main\n";
        assert_eq!(
            host(&[
                ("sources.list.d/debian.sources", deb822),
                ("sources.list.d/x.disabled", one_line)
            ]),
            ("http://b.example/debian".to_owned(), "http://c.example/debian-security".to_owned())
        );
        assert_eq!(host(&[]), (PUBLIC_DEBIAN.to_owned(), PUBLIC_SECURITY.to_owned()));
    }

    /// Whose URLs end like Debian's.
    #[test]
    fn other_archives_for_debian_are_not_debian() {
        let others = "deb https://yarn.example/debian/ stable main\ndeb https://docker.example/linux/debian bookworm stable\ndeb https://box.example/virtualbox/debian bookworm contrib\n";
        let public = (PUBLIC_DEBIAN.to_owned(), PUBLIC_SECURITY.to_owned());
        assert_eq!(host(&[("sources.list.d/a.list", others)]), public);
        let own = "Types: deb\nURIs: http://b.example/debian\nSuites: testing\nComponents: main\n";
        let runner = "deb https://runner.example/debian/ bookworm main\n";
        assert_eq!(
            host(&[
                ("sources.list.d/a.list", &format!("{others}{runner}")),
                ("sources.list.d/debian.sources", own),
            ]),
            ("http://b.example/debian".to_owned(), PUBLIC_SECURITY.to_owned())
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown("http://me:secret@a.example/debian"), "http://a.example/debian");
        assert_eq!(shown("file:///srv/a@b/debian"), "file:///srv/a@b/debian");
        assert_eq!(shown("http://a.example"), "http://a.example");
    }

    #[test]
    fn an_override_brings_its_neighbour() {
        let nowhere = Path::new("/nonexistent");
        let mirrors = Mirrors::choose(Some("file:///srv/debian/"), None, nowhere).unwrap();
        assert_eq!(mirrors.base(DEBIAN), "file:///srv/debian");
        assert_eq!(mirrors.base(SECURITY), "file:///srv/debian-security");
        let mirrors = Mirrors::choose(Some("http://x/d"), Some("http://y/s"), nowhere).unwrap();
        assert_eq!((mirrors.base(DEBIAN), mirrors.base(SECURITY)), ("http://x/d", "http://y/s"));
        let error = Mirrors::choose(Some("ftp://x/debian"), None, nowhere).unwrap_err();
        assert_eq!(error.message(), "`ftp://x/debian` cannot be used as a mirror");
    }
}
