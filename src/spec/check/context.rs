//! What the checks look at.

use crate::error::Result;
use crate::spec::model::role::Role;
use crate::spec::model::site::Site;
use crate::spec::source::{Sources, unknown};
use crate::spec::tree::Tree;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Where the parts of a role stand, for errors that an architecture brings out.
#[derive(Debug, Default)]
pub(crate) struct RoleSpans {
    /// One for each port.
    pub(crate) ports: Vec<Range<usize>>,
    /// One for each credential.
    pub(crate) credentials: Vec<Range<usize>>,
    /// One for each link, by path.
    pub(crate) links: BTreeMap<String, Range<usize>>,
    /// One for each package.
    pub(crate) packages: Vec<Range<usize>>,
    /// One for each role that it includes.
    pub(crate) includes: Vec<Range<usize>>,
}

/// All that the checks of one architecture look at besides its own file.
pub(crate) struct Context<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) roles: &'a BTreeMap<String, Role>,
    pub(crate) spans: &'a BTreeMap<String, RoleSpans>,
    pub(crate) tree: &'a Tree,
    pub(crate) site: &'a Site,
}

/// The entry of `among` that is called `name`.
pub(crate) fn look_up<'a, T>(
    what: &str,
    name: &Spanned<String>,
    among: &'a BTreeMap<String, T>,
    context: &Context<'_>,
) -> Result<&'a T> {
    among.get(name.get_ref()).ok_or_else(|| {
        let known: Vec<String> = among.keys().cloned().collect();
        unknown(what, name, &known, context.sources)
    })
}
