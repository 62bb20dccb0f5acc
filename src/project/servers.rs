//! The servers that a command line names.

use crate::error::{Error, Result};
use crate::spec::{Architecture, Server, Spec};

fn one_of_all(spec: &Spec, server: &str) -> Error {
    let with = |architecture: &&Architecture| architecture.servers.contains_key(server);
    let name = spec.architectures.values().find(with).map_or("arch4", |with| &with.name);
    Error::input("`--server` needs one architecture, not `all`")
        .hint(format!("name the architecture, such as `{name} --server {server}`"))
}

/// The servers of an architecture (or of `all`), or one of them.
///
/// # Errors
/// When there is no such architecture or server, or one server of `all` is asked for.
pub fn servers<'a>(
    spec: &'a Spec,
    architecture: &str,
    server: Option<&str>,
) -> Result<Vec<(&'a Architecture, &'a Server)>> {
    if architecture == "all" {
        if let Some(server) = server {
            return Err(one_of_all(spec, server));
        }
        let all = spec.architectures.values();
        return Ok(all.flat_map(|a| a.servers.values().map(move |server| (a, server))).collect());
    }
    let architecture = spec.architecture(architecture)?;
    match server {
        Some(name) => Ok(vec![(architecture, architecture.server(name)?)]),
        None => Ok(architecture.servers.values().map(|server| (architecture, server)).collect()),
    }
}
