//! `roles/<name>.toml` as it is written: keys, types and spans, nothing checked.

use crate::spec::model::role::{Check, Credential, Port, Unit, Validator};
use crate::spec::model::units::Mode;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A role as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawRole {
    /// One line that says what the role does.
    pub description: String,
    /// Roles that a server with this one has, too.
    #[serde(default)]
    pub includes: Vec<Spanned<String>>,
    /// Debian packages that are asked for by name.
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
    /// Networks that a server with this role must be attached to.
    #[serde(default)]
    pub needs: Vec<String>,
    /// System users that the packages create.
    #[serde(default)]
    pub users: Vec<String>,
    /// System groups that the packages create.
    #[serde(default)]
    pub groups: Vec<String>,
    /// `[[units]]`: what is started at boot.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// Units that can never start.
    #[serde(default)]
    pub masks: Vec<String>,
    /// `[[ports]]`: what listens.
    #[serde(default)]
    pub ports: Vec<Spanned<Port>>,
    /// The folder below `overlays/`; the role's name if such a folder exists.
    pub overlay: Option<Spanned<String>>,
    /// `[modes]`: modes of overlay files that are neither 0644 nor 0755.
    #[serde(default)]
    pub modes: BTreeMap<Spanned<String>, Mode>,
    /// `[links]`: symbolic links, path to target.
    #[serde(default)]
    pub links: BTreeMap<Spanned<String>, String>,
    /// `[munin]`: plugin links of this role, name to plugin, for servers that are `monitored`.
    #[serde(default)]
    pub munin: BTreeMap<String, String>,
    /// Paths below /var that belong to the slot: read-only, new with every update.
    #[serde(default)]
    pub slot_var: Vec<String>,
    /// `[[credentials]]`: secrets and facts of the machine.
    #[serde(default)]
    pub credentials: Vec<Spanned<Credential>>,
    /// `[[validators]]`: programs that validate the configuration at build time.
    #[serde(default)]
    pub validators: Vec<Spanned<Validator>>,
    /// `[[checks]]`: programs that validate a booted server.
    #[serde(default)]
    pub checks: Vec<Check>,
}
