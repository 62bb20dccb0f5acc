//! The file with all secrets of an architecture: TOML, mode 0600.
//!
//! The user may write values into it (a MAC address, a certificate of his own);
//! what is there is never made again.

use super::{certificate, folder};
use crate::error::{Error, Place, Result};
use crate::fs;
use crate::names;
use crate::spec::{Architecture, Credential, Kind, Scope, Server, Spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use toml::Spanned;

/// Values by credential name.
type Values = BTreeMap<String, String>;

/// What fills /etc/machine-id; every server may be given one.
const MACHINE_ID: &str = "imagebuild.machine-id";

/// All secrets of an architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Secrets {
    /// Those that all its servers share.
    pub architecture: Values,
    /// Those of one server, by server.
    pub servers: BTreeMap<String, Values>,
}

const HEAD: &str =
    "# Secrets of one architecture: made by `imagebuild seed`, which never changes what
# stands here. Keep this file out of version control, and keep a backup of it.
# A line of your own: what all servers share goes under [architecture] (the site's
# certificate), what only one has under that server:
#   [servers.web1]
#   \"net.public.mac\" = \"52:54:00:12:34:56\"

";

impl Secrets {
    /// Reads the file; no file is no secrets.
    ///
    /// # Errors
    /// With the place when something in it is wrong; when others may read it.
    pub fn read(path: &Path, spec: &Spec, architecture: &Architecture) -> Result<Secrets> {
        if !path.exists() {
            // New secrets would not be those of the machines that run.
            if path.is_symlink() {
                return Err(Error::input(format!(
                    "{} is a link to what is not there",
                    path.display()
                ))
                .hint("mount what it leads to, or correct it"));
            }
            return Ok(Secrets::default());
        }
        let mode =
            path.metadata().map_err(|e| Error::io("look at", path, &e))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::input(format!("{} may be read by others", path.display()))
                .hint(format!("it holds secrets: `chmod 600 {}`", path.display())));
        }
        let text = fs::read_to_string(path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let written: Written = toml::from_str(text).map_err(|e| unreadable(path, text, &e))?;
        match written.wrong(spec, architecture) {
            Some(Wrong { span, message, hint }) => {
                Err(Error::input(message).at(without_value(path, text, span)).hint(hint))
            }
            None => Ok(written.secrets()),
        }
    }

    /// Writes the file, readable by the user only, and makes its folder if it is missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        folder::provide(path)?;
        let text = toml::to_string_pretty(self).map_err(|e| Error::build(e.to_string()))?;
        fs::write_secret(path, format!("{HEAD}{text}").as_bytes())
    }

    /// The value of a credential for a server, if there is one.
    pub fn get(&self, server: &Server, name: &str) -> Option<&String> {
        let own = self.servers.get(&server.name).and_then(|values| values.get(name));
        own.or_else(|| self.architecture.get(name))
    }

    /// Sets the value of a credential, where its scope says.
    pub fn set(&mut self, server: &Server, credential: &Credential, value: String) {
        let values = match credential.scope {
            Scope::Server => self.servers.entry(server.name.clone()).or_default(),
            Scope::Architecture => &mut self.architecture,
        };
        values.insert(credential.name.clone(), value);
    }

    /// All credentials that a server gets.
    pub fn of_server(&self, spec: &Spec, server: &Server) -> BTreeMap<String, Vec<u8>> {
        names_of(spec, server)
            .into_iter()
            .filter_map(|name| {
                let value = self.get(server, &name)?.clone().into_bytes();
                Some((name, value))
            })
            .collect()
    }
}

/// The names of a server's credentials.
fn names_of(spec: &Spec, server: &Server) -> Vec<String> {
    known_of(spec, server).into_keys().collect()
}

/// Credentials by name: who shares them, and how they are made.
type Known = BTreeMap<String, (Scope, Option<Kind>)>;

/// A server's credentials, one per network where they say so.
fn known_of(spec: &Spec, server: &Server) -> Known {
    let mut known = BTreeMap::from([(MACHINE_ID.to_owned(), (Scope::Server, None))]);
    for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
        let what = (credential.scope, Some(credential.kind));
        if credential.name.contains("{network}") {
            let networks = server.addresses.keys();
            let name = |network: &String| credential.name.replace("{network}", network);
            known.extend(networks.map(|network| (name(network), what)));
        } else {
            known.insert(credential.name.clone(), what);
        }
    }
    known
}

/// Values as they are written.
type Lines = BTreeMap<Spanned<String>, String>;

/// Neither the line nor the parser's own words: both may show a value.
fn unreadable(path: &Path, text: &str, cause: &toml::de::Error) -> Error {
    let span = cause.span().unwrap_or_default();
    let Place { line, column, .. } = Place::of_span(path, text, span);
    let (message, hint) = if cause.message().starts_with("duplicate key") {
        ("this name is there twice", "take one of the two out")
    } else if cause.message().starts_with("unknown field") {
        (
            "there is no such table",
            "what all servers share stands under [architecture], what one has under [servers.NAME]",
        )
    } else {
        (
            "this line cannot be read",
            "a line is `\"NAME\" = \"VALUE\"`, with straight quotes around both; it is not shown, as it may hold a secret",
        )
    };
    Error::input(format!("{}:{line}:{column}: {message}", path.display())).hint(hint)
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    architecture: Lines,
    #[serde(default)]
    servers: BTreeMap<Spanned<String>, Lines>,
}

/// What is wrong with a line.
struct Wrong {
    span: Range<usize>,
    message: String,
    hint: String,
}

/// The place of a name, with its line up to there: what follows is a secret.
fn without_value(path: &Path, text: &str, span: Range<usize>) -> Place {
    let place = Place::of_span(path, text, span);
    let shown = place.text.chars().take(place.column - 1 + place.width).collect();
    Place { text: shown, ..place }
}

impl Written {
    fn secrets(self) -> Secrets {
        let values = |lines: Lines| -> Values {
            lines.into_iter().map(|(name, value)| (name.into_inner(), value)).collect()
        };
        let servers = self.servers.into_iter();
        Secrets {
            architecture: values(self.architecture),
            servers: servers.map(|(name, lines)| (name.into_inner(), values(lines))).collect(),
        }
    }

    /// The first line that is wrong.
    fn wrong(&self, spec: &Spec, of: &Architecture) -> Option<Wrong> {
        let all: Known = of.servers.values().flat_map(|server| known_of(spec, server)).collect();
        let mut shared = self.architecture.iter();
        let domains = &spec.site.domains;
        let shared =
            shared.find_map(|(name, value)| wrong_shared((name, value), &all, of, domains));
        let in_server = |(server, lines): (&Spanned<String>, &Lines)| {
            let Some(own) = of.servers.get(server.get_ref()) else {
                return Some(no_server(server, of));
            };
            let known = known_of(spec, own);
            lines.iter().find_map(|(name, value)| wrong_own(name, value, &known, &all, own))
        };
        shared.or_else(|| self.servers.iter().find_map(in_server))
    }
}

fn no_server(name: &Spanned<String>, of: &Architecture) -> Wrong {
    let known = of.servers.keys().map(String::as_str);
    Wrong {
        span: name.span(),
        message: format!("{} has no server `{}`", of.name, name.get_ref()),
        hint: names::suggest(name.get_ref(), known),
    }
}

/// What is wrong with a line under `[architecture]`.
fn wrong_shared(
    (name, value): (&Spanned<String>, &str),
    all: &Known,
    of: &Architecture,
    domains: &[String],
) -> Option<Wrong> {
    match all.get(name.get_ref()) {
        Some((Scope::Architecture, kind)) => wrong_value(name, value, *kind, domains),
        Some((Scope::Server, _)) => Some(Wrong {
            span: name.span(),
            message: format!("each server has a `{}` of its own", name.get_ref()),
            hint: "write it under its server: `[servers.NAME]`".to_owned(),
        }),
        None => Some(unknown(name, &of.name, Scope::Architecture, all)),
    }
}

/// What is wrong with a line under `[servers.NAME]`.
fn wrong_own(
    name: &Spanned<String>,
    value: &str,
    known: &Known,
    all: &Known,
    server: &Server,
) -> Option<Wrong> {
    if let Some((Scope::Architecture, _)) = all.get(name.get_ref()) {
        return Some(Wrong {
            span: name.span(),
            message: format!("all servers share one `{}`", name.get_ref()),
            hint: "write it under `[architecture]`, once".to_owned(),
        });
    }
    match known.get(name.get_ref()) {
        Some((_, kind)) => wrong_value(name, value, *kind, &[]),
        None => Some(unknown(name, &server.name, Scope::Server, known)),
    }
}

fn unknown(name: &Spanned<String>, whose: &str, wanted: Scope, known: &Known) -> Wrong {
    let known = known.iter().filter(|(_, (scope, _))| *scope == wanted);
    Wrong {
        span: name.span(),
        message: format!("no role of {whose} knows the credential `{}`", name.get_ref()),
        hint: names::suggest(name.get_ref(), known.map(|(name, _)| name.as_str())),
    }
}

/// What is wrong with the value of a line; a certificate is for these names.
fn wrong_value(
    name: &Spanned<String>,
    value: &str,
    kind: Option<Kind>,
    domains: &[String],
) -> Option<Wrong> {
    let said = |(what, hint): (&str, &str)| (what.to_owned(), hint.to_owned());
    let (what, hint) = match kind {
        _ if value.trim().is_empty() => said((
            "is empty",
            "write its value, or take the line out: `imagebuild seed` makes what it can",
        )),
        Some(Kind::TlsSelfSigned) => match wrong_pem(value) {
            Some(wrong) => said(wrong),
            None => {
                let (what, hint) = certificate::wrong(value, domains, crate::lock::date::now())?;
                (what, hint.to_owned())
            }
        },
        Some(Kind::MacAddress) => said(wrong_mac(value)?),
        Some(Kind::Number) if value.trim().parse::<u64>().is_err() => {
            said(("is not a whole number", "write digits only, in quotes"))
        }
        Some(
            Kind::SshHostKey
            | Kind::Password
            | Kind::PasswordHash
            | Kind::MuninHtpasswd
            | Kind::Number
            | Kind::Text,
        )
        | None => return None,
    };
    let message = format!("`{}` {what}", name.get_ref());
    Some(Wrong { span: name.span(), message, hint })
}

/// A card's address: six bytes in hexadecimal, of one card and not of many.
fn wrong_mac(text: &str) -> Option<(&'static str, &'static str)> {
    const FORM: &str = "write it as `ip link` shows it: `52:54:00:12:34:56`";
    let byte =
        |part: &str| hex::decode(part).ok().filter(|bytes| bytes.len() == 1).map(|bytes| bytes[0]);
    let bytes: Option<Vec<u8>> = text.trim().split(':').map(byte).collect();
    match bytes.as_deref() {
        Some([first, rest @ ..]) if rest.len() == 5 => {
            let is_none = *first == 0 && rest.iter().all(|byte| *byte == 0);
            (first & 1 != 0 || is_none).then_some(("is no address of a network card", FORM))
        }
        _ => Some(("is not a MAC address", FORM)),
    }
}

fn wrong_pem(text: &str) -> Option<(&'static str, &'static str)> {
    let begins = |what: &str| {
        let ending = format!("{what}-----");
        text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim().ends_with(&ending))
    };
    if !begins(" CERTIFICATE") {
        return Some((
            "holds no certificate",
            "certificates first, then the key, in one text: `-----BEGIN CERTIFICATE-----` ...",
        ));
    }
    if begins(" ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Some((
            "holds a private key with a passphrase",
            "nobody is there to type it: `openssl pkey -in KEY -out PLAIN` takes it off",
        ));
    }
    let key = begins(" PRIVATE KEY");
    (!key).then_some((
        "holds no private key",
        "certificates first, then the key, in one text: `-----BEGIN PRIVATE KEY-----` ...",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Tree;

    /// What a user reads about this file, with FILE for its path.
    fn said(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arch4.toml");
        fs::write_secret(&path, text.as_bytes()).unwrap();
        let spec = Spec::load(Tree::embedded()).unwrap();
        let read = Secrets::read(&path, &spec, spec.architecture("arch4").unwrap());
        let text = read.map_or_else(|error| error.to_string(), |secrets| format!("{secrets:?}"));
        text.replace(path.to_str().unwrap(), "FILE")
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    #[test]
    fn each_line_is_where_it_belongs() {
        let pair = certificate::tests::pair(&["example.org"]);
        let text = format!(
            "\u{feff}[architecture]\n\"site.certificate\" = \"\"\"\n{pair}\"\"\"\n[servers.web1]\n\"net.public.mac\" = \"52:54:00:12:34:56\"\n"
        );
        assert!(said(&text).starts_with("Secrets {"), "{}", said(&text));
    }

    #[test]
    fn a_name_that_no_role_knows() {
        assert_eq!(
            said("[architecture]\n\"site.certifcate\" = \"hunter2\"\n"),
            "error: no role of arch4 knows the credential `site.certifcate`
 --> FILE:2:1
  |
2 | \"site.certifcate\"
  | ^^^^^^^^^^^^^^^^^
hint: did you mean `site.certificate`?"
        );
        assert_eq!(
            said("# net.publik.mac\n[servers.web1]\n\"net.publik.mac\" = \"hunter2\"\n"),
            "error: no role of web1 knows the credential `net.publik.mac`
 --> FILE:3:1
  |
3 | \"net.publik.mac\"
  | ^^^^^^^^^^^^^^^^
hint: did you mean `net.public.mac`? (or `net.private.mac`)"
        );
    }

    #[test]
    fn a_name_in_the_wrong_place() {
        assert_eq!(
            said("[servers.web1]\n\"site.certificate\" = \"hunter2\"\n"),
            "error: all servers share one `site.certificate`
 --> FILE:2:1
  |
2 | \"site.certificate\"
  | ^^^^^^^^^^^^^^^^^^
hint: write it under `[architecture]`, once"
        );
        assert_eq!(
            said("[architecture]\n\"net.public.mac\" = \"52:54:00:12:34:56\"\n"),
            "error: each server has a `net.public.mac` of its own
 --> FILE:2:1
  |
2 | \"net.public.mac\"
  | ^^^^^^^^^^^^^^^^
hint: write it under its server: `[servers.NAME]`"
        );
    }

    #[test]
    fn a_value_has_its_form() {
        let of = |line: &str| said(&format!("[servers.web1]\n{line}\n"));
        assert_eq!(
            of("\"net.public.mac\" = \"52:54:00:12:34\""),
            "error: `net.public.mac` is not a MAC address
 --> FILE:2:1
  |
2 | \"net.public.mac\"
  | ^^^^^^^^^^^^^^^^
hint: write it as `ip link` shows it: `52:54:00:12:34:56`"
        );
        assert!(of("\"net.public.mac\" = \"52:54:00:+f:34:56\"").contains("is not a MAC address"));
        for mac in ["53:54:00:12:34:56", "00:00:00:00:00:00"] {
            let text = of(&format!("\"net.public.mac\" = \"{mac}\""));
            assert!(text.starts_with("error: `net.public.mac` is no address of a network card"));
        }
        assert!(of("\"time-scale\" = \"fast\"").contains("`time-scale` is not a whole number"));
        let empty = said("[architecture]\n\"database.app-password\" = \" \"\n");
        assert!(empty.starts_with("error: `database.app-password` is empty\n"), "{empty}");
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        const HINT: &str = "hint: a line is `\"NAME\" = \"VALUE\"`, with straight quotes around both; it is not shown, as it may hold a secret";
        for (line, place) in [
            ("\"database.app-password\" = hunter2", "2:27"),
            ("\"database.app-password\" = \"hunter2", "2:35"),
            ("\"database.app-password\" = “hunter2”", "2:27"),
            ("\"database.app-password\" = 123454321", "2:27"),
        ] {
            let text = said(&format!("[architecture]\n{line}\n"));
            assert_eq!(text, format!("error: FILE:{place}: this line cannot be read\n{HINT}"));
        }
        let twice = "\"database.app-password\" = \"hunter2\"\n";
        let text = said(&format!("[architecture]\n{twice}{twice}"));
        assert_eq!(
            text,
            "error: FILE:3:1: this name is there twice\nhint: take one of the two out"
        );
        assert_eq!(
            said("[server.web1]\n\"net.public.mac\" = \"hunter2\"\n"),
            "error: FILE:1:2: there is no such table\nhint: what all servers share stands under [architecture], what one has under [servers.NAME]"
        );
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let of = |value: &str| {
            said(&format!("[architecture]\n\"site.certificate\" = \"\"\"\n{value}\"\"\"\n"))
        };
        assert_eq!(
            of("hunter2"),
            "error: `site.certificate` holds no certificate
 --> FILE:2:1
  |
2 | \"site.certificate\"
  | ^^^^^^^^^^^^^^^^^^
hint: certificates first, then the key, in one text: `-----BEGIN CERTIFICATE-----` ..."
        );
        assert_eq!(
            of(CERTIFICATE),
            "error: `site.certificate` holds no private key
 --> FILE:2:1
  |
2 | \"site.certificate\"
  | ^^^^^^^^^^^^^^^^^^
hint: certificates first, then the key, in one text: `-----BEGIN PRIVATE KEY-----` ..."
        );
        assert_eq!(
            of(&format!("{CERTIFICATE}-----BEGIN ENCRYPTED PRIVATE KEY-----\n")),
            "error: `site.certificate` holds a private key with a passphrase
 --> FILE:2:1
  |
2 | \"site.certificate\"
  | ^^^^^^^^^^^^^^^^^^
hint: nobody is there to type it: `openssl pkey -in KEY -out PLAIN` takes it off"
        );
    }
}
