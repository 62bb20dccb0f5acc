//! What each machine of a test is given at boot: the secrets that a seed would hold,
//! made fresh by the code that makes real ones, and the factor of its timers.

use crate::error::Result;
use crate::seed::{self, Maker, Secrets, Shown};
use crate::spec::{Architecture, Server, Spec};
use crate::vm::MachineConfig;
use std::path::Path;

/// The secrets of one topology.
#[derive(Debug)]
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

    /// A machine that has those of its server in SMBIOS.
    pub(super) fn give(
        &self,
        spec: &Spec,
        server: &Server,
        factor: u32,
        config: MachineConfig,
    ) -> MachineConfig {
        let all = self.secrets.of_server(spec, server);
        let with = |config: MachineConfig, (name, value): (String, Vec<u8>)| {
            config.credential(&name, value)
        };
        let config = all.into_iter().fold(config, with);
        // As imagebuild-timers.service reads it: one whole number.
        config.credential("timers.factor", factor.to_string())
    }
}
