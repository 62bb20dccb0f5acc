//! The user's own facts.

use super::units::Prefix;
use crate::error::Place;
use serde::Serialize;
use std::collections::BTreeMap;

/// The user's own facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Site {
    /// Shown by the demo site.
    pub name: String,
    /// The site's DNS names; the first is the one that certificates are made for.
    pub domains: Vec<String>,
    /// The folder below the site's that visitors see; all of it, if empty.
    pub web_root: String,
    /// Whether the website is the user's own, and not the demo site.
    pub has_content: bool,
    /// IMAGE_VERSION of every image.
    pub version: String,
    /// The Debian mirror to fetch from.
    pub mirror: Option<String>,
    /// Archives other than Debian's, by name.
    pub sources: BTreeMap<String, AptSource>,
    /// Lines as in authorized_keys.
    pub admin_keys: Vec<String>,
    /// Where the admin may come from, besides the networks over which SSH is offered; one
    /// of length 0 is everywhere.
    pub admin_from: Vec<Prefix>,
}

/// An archive other than Debian's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AptSource {
    /// The archive's root: below it are `dists/` and `pool/`.
    pub url: String,
    /// The suite, or its code name.
    pub suite: String,
    /// Parts of the suite.
    pub components: Vec<String>,
    /// The file with the OpenPGP key that signs it, below the project.
    pub key: String,
    /// Where it is written.
    #[serde(skip)]
    pub place: Option<Place>,
}
