//! Makes secrets: random ones in this process, keys and hashes with OpenSSH and
//! OpenSSL of the tools closure, so that nothing depends on the host's programs.

use crate::error::{Error, Result};
use crate::exec;
use crate::sandbox::{Root, Sandbox};
use crate::spec::{Credential, Kind, Scope, Server, Site};
use std::io::Read;
use std::path::Path;

/// Letters and digits that nobody confuses when he reads them off a screen.
const ALPHABET: &[u8; 54] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ345679";

/// How long a password is: 54^32 are more than 2^184.
const LENGTH: usize = 32;

/// The longest common name of a certificate (ub-common-name, RFC 5280, A.1).
const MOST_COMMON: usize = 64;

/// Makes secrets.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// The unpacked tools closure.
    pub tools: &'a Path,
    /// Whose servers they are for.
    pub site: &'a Site,
}

/// A password of which only the hash is kept: shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it opens.
    pub purpose: String,
    /// The password.
    pub password: String,
}

impl Maker<'_> {
    /// A value for `credential`, and the password to show if only its hash is kept;
    /// nothing for facts that only the user knows.
    ///
    /// # Errors
    /// When there is no randomness, or a program fails.
    pub fn make(
        &self,
        server: &Server,
        credential: &Credential,
    ) -> Result<Option<(String, Option<Shown>)>> {
        let shown = |password: String| {
            Some(Shown { purpose: format!("{}: {}", server.name, credential.purpose), password })
        };
        Ok(match credential.kind {
            Kind::Password => Some((password()?, None)),
            Kind::SshHostKey => Some((self.ssh_host_key(server)?, None)),
            Kind::TlsSelfSigned => Some((self.certificate(server, credential)?, None)),
            Kind::PasswordHash => {
                let password = password()?;
                Some((self.hash(&password, "-6")?, shown(password)))
            }
            Kind::MuninHtpasswd => {
                let password = password()?;
                let hash = self.hash(&password, "-apr1")?;
                Some((format!("munin:{hash}\n"), shown(password)))
            }
            Kind::MacAddress | Kind::Number | Kind::Text => None,
        })
    }

    fn ssh_host_key(&self, server: &Server) -> Result<String> {
        let comment = exec::quote(&format!("root@{}", server.name));
        self.script(
            &format!("ssh-keygen -q -t ed25519 -N '' -C {comment} -f /tmp/key && cat /tmp/key"),
            &[],
        )
    }

    /// For whom: the site, if all servers share it, else the server.
    fn names(&self, server: &Server, credential: &Credential) -> Vec<String> {
        match credential.scope {
            Scope::Architecture if !self.site.domains.is_empty() => self.site.domains.clone(),
            Scope::Architecture | Scope::Server => vec![server.name.clone()],
        }
    }

    /// A certificate and its key in one PEM file, until the user brings a real one.
    fn certificate(&self, server: &Server, credential: &Credential) -> Result<String> {
        let names = self.names(server, credential);
        // X.520 has room for 64 characters; a browser reads the alternative names only.
        let common = names.iter().find(|name| name.len() <= MOST_COMMON);
        let name = common.map_or_else(|| "/".to_owned(), |name| format!("/CN={name}"));
        let name = exec::quote(&name);
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let alternatives = exec::quote(&format!("subjectAltName={}", alternatives.join(",")));
        self.script(
            &format!("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj {name} -addext {alternatives} -keyout /tmp/key -out /tmp/crt 2>/tmp/log || {{ cat /tmp/log; exit 1; }}; cat /tmp/crt /tmp/key"),
            &[],
        )
    }

    /// The password goes through the environment: command lines are shown.
    fn hash(&self, password: &str, scheme: &str) -> Result<String> {
        let hash = self
            .script(&format!("openssl passwd {scheme} \"$PASSWORD\""), &[("PASSWORD", password)])?;
        Ok(hash.trim().to_owned())
    }

    fn script(&self, script: &str, env: &[(&str, &str)]) -> Result<String> {
        let sandbox = Sandbox::new(Root::ReadOnly(self.tools.to_owned()), 0);
        let outcomes = sandbox.program(["sh", "-e", "-c", script], env, true).execute()?;
        outcomes
            .into_iter()
            .next()
            .map(|outcome| outcome.output)
            .ok_or_else(|| Error::build("a program that makes secrets said nothing"))
    }
}

/// A random password.
fn password() -> Result<String> {
    let failed = |e: std::io::Error| Error::io("read", Path::new("/dev/urandom"), &e);
    let random = std::fs::File::open("/dev/urandom").map_err(failed)?;
    let mut password = String::new();
    for byte in std::io::BufReader::with_capacity(LENGTH * 2, random).bytes() {
        // Bytes beyond the last whole multiple would favour the first letters.
        let byte = usize::from(byte.map_err(failed)?);
        if byte < 256 / ALPHABET.len() * ALPHABET.len() {
            password.push(char::from(ALPHABET[byte % ALPHABET.len()]));
        }
        if password.len() == LENGTH {
            break;
        }
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(one, two);
    }
}
