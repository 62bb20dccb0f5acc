//! Machines that are reached by the user's own `ssh`: how they are named, the options that every
//! call has, and what they say.

use crate::error::{Error, Result};
use crate::exec::Program;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

/// A machine and who logs in: what is not said is as in the user's own `~/.ssh/config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: Option<String>,
    /// A name, an address, or an alias of the user's configuration.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
}

impl FromStr for Login {
    type Err = String;

    /// Reads `[USER@]HOST[:PORT]`; an IPv6 address stands in brackets.
    fn from_str(text: &str) -> std::result::Result<Login, String> {
        Login::parse(text)
            .ok_or_else(|| format!("`{text}` is not USER@HOST, HOST, or one of them with :PORT"))
    }
}

impl Login {
    fn parse(text: &str) -> Option<Login> {
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                // A zone (fe80::1%eth0) stands behind it.
                address.split('%').next()?.parse::<std::net::Ipv6Addr>().ok()?;
                (address, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-%:".contains(c);
        // ssh would take what begins with a hyphen for an option.
        let is_word =
            |word: &str| !word.is_empty() && !word.starts_with('-') && word.chars().all(plain);
        if !is_word(host) || user.is_some_and(|user| !is_word(user)) {
            return None;
        }
        let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
        if port == Some(None) {
            return None;
        }
        Some(Login { user: user.map(str::to_owned), host: host.to_owned(), port: port.flatten() })
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What every call of ssh has: of host keys, those that the user's own know, or those in a file,
/// under an alias. The host and the command are still to be added.
pub(crate) fn ssh(login: &Login, pinned: Option<(&str, &Path)>) -> Program {
    let mut options = vec![
        // Nobody is asked whether a key is right, and none is taken unseen.
        "StrictHostKeyChecking=yes".to_owned(),
        // What would outlive this connection keeps its output open.
        "ControlMaster=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        // What a section of the user's for this host says of sessions of his own.
        "RemoteCommand=none".to_owned(),
        // Errors are looked for by their words.
        "LogLevel=ERROR".to_owned(),
    ];
    if let Some((alias, file)) = pinned {
        options.extend([
            format!("UserKnownHostsFile=\"{}\"", file.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("HostKeyAlias={alias}"),
            // A connection of before has not proven this key, nor do these prove it.
            "ControlPath=none".to_owned(),
            "VerifyHostKeyDNS=no".to_owned(),
            "IgnoreUnknown=KnownHostsCommand".to_owned(),
            "KnownHostsCommand=none".to_owned(),
        ]);
    }
    let mut program = Program::new("ssh").arg("-T");
    for option in options {
        program = program.args(["-o", &option]);
    }
    if let Some(port) = login.port {
        program = program.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &login.user {
        program = program.args(["-l", user]);
    }
    program
}

/// What a machine says that may be anybody's, without what a terminal would obey.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// A file with the keys that the machine called `alias` may have, in OpenSSH's form; none, if
/// there are no keys.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn known_hosts(alias: &str, keys: &[String]) -> Result<Option<tempfile::NamedTempFile>> {
    if keys.is_empty() {
        return Ok(None);
    }
    let failed = |e: std::io::Error| Error::build(format!("cannot write host keys: {e}"));
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    for key in keys {
        writeln!(file, "{alias} {}", key.trim()).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    Ok(Some(file))
}
