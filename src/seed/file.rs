//! The file with all secrets of an architecture: TOML, mode 0600.
//!
//! The user may write values into it (a MAC address, a certificate of his own);
//! what is there is never made again.

use crate::error::{Error, Place, Result};
use crate::fs;
use crate::names;
use crate::spec::{Architecture, Credential, Scope, Server, Spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Values by credential name.
type Values = BTreeMap<String, String>;

/// All secrets of an architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Those that all its servers share.
    #[serde(default)]
    pub architecture: Values,
    /// Those of one server, by server.
    #[serde(default)]
    pub servers: BTreeMap<String, Values>,
}

const HEAD: &str =
    "# Secrets of one architecture: made by `imagebuild seed`, which never changes what
# stands here. Keep this file out of version control, and keep a backup of it.
# A line of your own (a MAC address, a certificate) goes under its server:
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
            return Ok(Secrets::default());
        }
        let mode =
            path.metadata().map_err(|e| Error::io("look at", path, &e))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::input(format!("{} may be read by others", path.display()))
                .hint(format!("it holds secrets: `chmod 600 {}`", path.display())));
        }
        let text = fs::read_to_string(path)?;
        let secrets: Secrets = toml::from_str(&text).map_err(|e| {
            let error = Error::input(e.message().to_owned());
            match e.span() {
                Some(span) => error.at(Place::of_span(path, &text, span)),
                None => error.detail(path.display().to_string()),
            }
        })?;
        secrets.check(path, &text, spec, architecture)?;
        Ok(secrets)
    }

    fn check(&self, path: &Path, text: &str, spec: &Spec, of: &Architecture) -> Result<()> {
        let wrong = |name: &str, what: String, known: Vec<&str>| {
            let at = text.find(name).unwrap_or(0);
            let place = Place::of_span(path, text, at..at + name.len());
            Err(Error::input(what).at(place).hint(names::suggest(name, known.iter().copied())))
        };
        for (name, values) in &self.servers {
            let Some(server) = of.servers.get(name) else {
                let known = of.servers.keys().map(String::as_str).collect();
                return wrong(name, format!("{} has no server `{name}`", of.name), known);
            };
            let known = names_of(spec, server);
            if let Some(odd) = values.keys().find(|name| !known.contains(name)) {
                let known = known.iter().map(String::as_str).collect();
                return wrong(
                    odd,
                    format!("no role of {name} knows the credential `{odd}`"),
                    known,
                );
            }
        }
        Ok(())
    }

    /// Writes the file, readable by the user only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder)?;
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(folder, mode).map_err(|e| Error::io("protect", folder, &e))?;
        }
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

/// The names of a server's credentials, one per network where they say so.
fn names_of(spec: &Spec, server: &Server) -> Vec<String> {
    let expand = |credential: &Credential| -> Vec<String> {
        if !credential.name.contains("{network}") {
            return vec![credential.name.clone()];
        }
        let networks = server.addresses.keys();
        networks.map(|network| credential.name.replace("{network}", network)).collect()
    };
    let all = spec.roles_of(server).flat_map(|role| &role.credentials);
    all.flat_map(expand).chain(["imagebuild.machine-id".to_owned()]).collect()
}
