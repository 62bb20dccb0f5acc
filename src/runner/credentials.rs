//! What each machine of a test is given at boot: the secrets that a seed would hold,
//! made fresh by the code that makes real ones, and the time scale of its timers.

use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::names;
use crate::qemu::MachineConfig;
use crate::seed::{self, Maker, Secrets, Shown};
use crate::spec::{Architecture, Server, Spec};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::path::Path;

/// The secrets of one topology.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    secrets: Secrets,
    /// Passwords of which the machines know only hashes.
    pub(super) shown: Vec<Shown>,
}

impl Credentials {
    /// New ones; `tools` is the unpacked closure that makes keys.
    pub(super) fn make(spec: &Spec, of: &Architecture, tools: &Path) -> Result<Credentials> {
        let (secrets, shown) = seed::fresh(spec, of, &Maker { tools, site: &spec.site })?;
        Ok(Credentials { secrets, shown })
    }

    /// Of all certificates that machines have under this name, the digests of their DER
    /// bytes, as users see them.
    pub(super) fn certificates(&self, name: &str) -> Result<Vec<Sha256Digest>> {
        let all = || self.secrets.servers.values().chain([&self.secrets.architecture]);
        let found: Vec<_> = all().filter_map(|own| digest(own.get(name)?)).collect();
        if found.is_empty() {
            let with = |own: &&String| digest(own).is_some();
            let known = all().flatten().filter(|(_, value)| with(value)).map(|(name, _)| &**name);
            return Err(Error::input(format!("no machine has a certificate `{name}`"))
                .hint(names::suggest(name, known.collect::<Vec<_>>())));
        }
        Ok(found)
    }

    /// A machine that has those of its server in SMBIOS.
    pub(super) fn give(
        &self,
        spec: &Spec,
        server: &Server,
        time_scale: u32,
        config: MachineConfig,
    ) -> MachineConfig {
        let all = self.secrets.of_server(spec, server);
        let with = |config: MachineConfig, (name, value): (String, Vec<u8>)| {
            config.credential(&name, value)
        };
        let config = all.into_iter().fold(config, with);
        // As imagebuild-timers.service reads it: one whole number.
        config.credential("time-scale", time_scale.to_string())
    }
}

/// Of the first certificate of a PEM text (RFC 7468), the digest of its DER bytes.
fn digest(pem: &str) -> Option<Sha256Digest> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    BASE64_STANDARD.decode(&body).ok().map(Sha256Digest::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_bytes() {
        let pem = "-----BEGIN CERTIFICATE-----\naGVs\nbG8=\n-----END CERTIFICATE-----\n";
        assert_eq!(digest(pem), Some(Sha256Digest::of("hello")));
        assert_eq!(digest("-----BEGIN PRIVATE KEY-----\naGVs\n"), None);
    }
}
