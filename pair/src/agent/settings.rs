//! What the agent is told by its file: lines of `key value ...`; `#` begins a comment.
//!
//! ```text
//! own database1
//! # the two databases first, then the witness, each with an address in every network
//! member database1 192.168.0.21
//! member database2 192.168.0.22
//! member web1 192.168.0.11
//! port 4306
//! secret /run/credentials/@system/pair.secret
//! register /var/lib/imagebuild/pair/register
//! run /run/imagebuild/pair
//! # of two databases without a witness:
//! links eth0 eth1
//! gateways 192.168.0.1
//! # a database's alone:
//! carrier eth1
//! data /var/lib/mysql
//! clients /usr/lib/imagebuild/database-clients
//! password /run/credentials/@system/database.replication-password
//! alone-after 800
//! max-lag 5
//! kill systemctl kill --signal=SIGKILL mariadb.service
//! stop systemctl stop mariadb.service
//! start systemctl --no-block start mariadb.service
//! ```

use std::net::IpAddr;
use std::path::PathBuf;

/// A voter, as the others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// In each network that it shares with the others; the first is where its database listens.
    pub(crate) addresses: Vec<IpAddr>,
}

/// All of the file.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Which of the members this one is.
    pub(crate) own: usize,
    pub(crate) members: Vec<Peer>,
    /// UDP between members, TCP for copies and for who asks how this server is.
    pub(crate) port: u16,
    pub(crate) secret: PathBuf,
    pub(crate) register: PathBuf,
    /// What others read: the state, keepalived's file, the agent's sessions.
    pub(crate) run: PathBuf,
    /// Of two databases without a witness: interfaces that must have a carrier, and gateways of
    /// which one must answer, before a silent peer is taken for lost.
    pub(crate) links: Vec<String>,
    pub(crate) gateways: Vec<IpAddr>,
    /// Nothing for a witness.
    pub(crate) database: Option<Database>,
}

/// What only a database server has.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// The interface of the address for writes: without its carrier nobody can write here.
    pub(crate) carrier: String,
    /// MariaDB's files.
    pub(crate) data: PathBuf,
    /// A file with the addresses from which the application logs in.
    pub(crate) clients: PathBuf,
    /// The file with the password by which the databases follow each other.
    pub(crate) password: PathBuf,
    /// Milliseconds that a write waits before the primary asks to go on alone.
    pub(crate) alone_after: u64,
    /// Seconds that a replica may be behind before it sends readers away.
    pub(crate) max_lag: u64,
    /// The client program, with its options.
    pub(crate) client: Vec<String>,
    /// How MariaDB is killed at once, is ended in order, and is started.
    pub(crate) kill: Vec<String>,
    pub(crate) stop: Vec<String>,
    pub(crate) start: Vec<String>,
}

/// Keys that stand once.
const KEYS: [&str; 17] = [
    "own",
    "port",
    "secret",
    "register",
    "run",
    "links",
    "gateways",
    "carrier",
    "data",
    "clients",
    "password",
    "alone-after",
    "max-lag",
    "client",
    "kill",
    "stop",
    "start",
];

impl Settings {
    /// Reads the text of the file.
    pub(crate) fn read(text: &str) -> Result<Settings, String> {
        let mut members = Vec::new();
        let mut values: Vec<(&str, &str)> = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let fail = |why: String| format!("line {}: {why}", place + 1);
            let (key, value) = match line.split_once(char::is_whitespace) {
                Some(pair) => pair,
                // There may be none.
                None if ["gateways", "links"].contains(&line) => (line, ""),
                None => return Err(fail(format!("`{line}` has no value"))),
            };
            if key == "member" {
                members.push(member(value).map_err(fail)?);
            } else if !KEYS.contains(&key) {
                return Err(fail(format!("`{key}` is no key: {} and member are", KEYS.join(", "))));
            } else if values.iter().any(|(known, _)| *known == key) {
                return Err(fail(format!("`{key}` stands twice")));
            } else {
                values.push((key, value.trim()));
            }
        }
        let find = |key: &str| values.iter().find(|(known, _)| *known == key).map(|(_, v)| *v);
        let need = |key: &str| find(key).ok_or_else(|| format!("`{key}` is missing"));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let own_name = need("own")?;
        let own = members
            .iter()
            .position(|peer| peer.name == own_name)
            .ok_or_else(|| format!("`own` is {own_name}, which is no member"))?;
        if !matches!(members.len(), 2 | 3 | 5) {
            return Err(format!(
                "{} members: two databases, and no witness or an odd number of them",
                members.len()
            ));
        }
        let port = need("port")?;
        let database = if own < 2 {
            let number = |key: &str| -> Result<u64, String> {
                let value = need(key)?;
                value.parse().map_err(|_| format!("{key}: `{value}` is no number"))
            };
            Some(Database {
                password: need("password")?.into(),
                alone_after: number("alone-after")?,
                max_lag: number("max-lag")?,
                carrier: need("carrier")?.to_owned(),
                data: need("data")?.into(),
                clients: need("clients")?.into(),
                client: words(find("client").unwrap_or("mariadb --user=root")),
                kill: words(need("kill")?),
                stop: words(need("stop")?),
                start: words(need("start")?),
            })
        } else {
            None
        };
        Ok(Settings {
            own,
            members,
            port: port.parse().map_err(|_| format!("port: `{port}` is no port"))?,
            secret: need("secret")?.into(),
            register: need("register")?.into(),
            run: need("run")?.into(),
            links: words(find("links").unwrap_or_default()),
            gateways: addresses(find("gateways").unwrap_or_default())?,
            database,
        })
    }

    /// This member.
    pub(crate) fn own(&self) -> &Peer {
        &self.members[self.own]
    }
}

fn member(text: &str) -> Result<Peer, String> {
    let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text, ""));
    let (name, addresses) = (name.trim().to_owned(), addresses(rest)?);
    if addresses.is_empty() {
        return Err(format!("{name} has no address"));
    }
    Ok(Peer { name, addresses })
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let address = |word: &str| word.parse().map_err(|_| format!("`{word}` is no address"));
    text.split_whitespace().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITNESS: &str = "own web1\nmember database1 192.168.0.21\nmember database2 192.168.0.22\n\
        member web1 192.168.0.11 # the witness\n\nport 4306\nsecret /s\nregister /r\nrun /run\n";

    #[test]
    fn a_witness_needs_no_database() {
        let settings = Settings::read(WITNESS).unwrap();
        assert_eq!((settings.own, settings.own().name.as_str()), (2, "web1"));
        assert!(settings.database.is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |from: &str, to: &str| Settings::read(&WITNESS.replace(from, to)).unwrap_err();
        assert_eq!(wrong("192.168.0.22", "192.168.0.x"), "line 3: `192.168.0.x` is no address");
        assert_eq!(wrong("own web1", "own web2"), "`own` is web2, which is no member");
        assert_eq!(wrong("own web1", "own database1"), "`password` is missing");
        assert_eq!(wrong("port 4306", "port 4306\nport 1"), "line 7: `port` stands twice");
        assert!(wrong("port 4306", "prot 4306").starts_with("line 6: `prot` is no key: own,"));
        assert_eq!(wrong("run /run", "run"), "line 9: `run` has no value");
    }
}
