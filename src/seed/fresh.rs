//! All secrets of an architecture, made anew: for machines that live for one test.

use super::file::Secrets;
use super::make::{Maker, Shown};
use crate::error::Result;
use crate::spec::{Architecture, Spec};

/// What every server of `architecture` needs, and the passwords of which only hashes
/// are kept. Optional ones (a console password, facts of real hardware) are left out.
///
/// # Errors
/// As [`Maker::make`].
pub fn fresh(
    spec: &Spec,
    architecture: &Architecture,
    maker: &Maker<'_>,
) -> Result<(Secrets, Vec<Shown>)> {
    let (mut secrets, mut all_shown) = (Secrets::default(), Vec::new());
    for server in architecture.servers.values() {
        for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
            // One of the architecture's is made with its first server.
            if credential.optional || secrets.get(server, &credential.name).is_some() {
                continue;
            }
            if let Some((value, shown)) = maker.make(server, credential)? {
                secrets.set(server, credential, value);
                all_shown.extend(shown);
            }
        }
    }
    Ok((secrets, all_shown))
}
