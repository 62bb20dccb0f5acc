//! Settings that only some architectures need: `[nat]`, `[static-files]`, `[timers]`.

use crate::error::Result;
use crate::spec::check::context::{Context, look_up};
use crate::spec::model::architecture::{Server, Timers};
use crate::spec::model::settings::{Nat, StaticFiles};
use crate::spec::parse::architecture::{RawNat, RawTimers};
use std::collections::BTreeMap;
use toml::Spanned;

/// Checks `[nat]`: the server exists and stands in both networks.
pub(crate) fn nat(
    raw: Option<&RawNat>,
    servers: &BTreeMap<String, Server>,
    context: &Context<'_>,
) -> Result<Option<Nat>> {
    let Some(raw) = raw else { return Ok(None) };
    let server = look_up("server", &raw.through, servers, context)?;
    if let Some(lacking) =
        ["public", "private"].iter().find(|name| !server.addresses.contains_key(**name))
    {
        let message = format!("{} is not in the network {lacking}", server.name);
        return Err(context
            .sources
            .error(raw.through.span(), message)
            .hint("the way out leads through a server that is in both networks"));
    }
    Ok(Some(Nat { through: server.name.clone(), enabled: raw.enabled }))
}

/// Checks `[static-files]`: endings become part of a regular expression.
pub(crate) fn static_files(
    raw: &Spanned<StaticFiles>,
    context: &Context<'_>,
) -> Result<StaticFiles> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let wrong = |one: &&String| one.is_empty() || !one.chars().all(plain);
    match raw.get_ref().extensions.iter().find(wrong) {
        None => Ok(raw.get_ref().clone()),
        Some(one) => Err(context
            .sources
            .error(raw.span(), format!("`{one}` is not the ending of a file"))
            .hint("write endings in lower case and without the dot: `jpg`")),
    }
}

/// `[timers]`, with what is not written filled in.
pub(crate) fn timers(raw: RawTimers) -> Timers {
    Timers {
        vrrp_advert_ms: raw.vrrp_advert_ms.unwrap_or(250),
        check_ms: raw.check_ms.unwrap_or(500),
        check_fall: raw.check_fall.unwrap_or(2),
        check_rise: raw.check_rise.unwrap_or(2),
        connect_ms: raw.connect_ms.unwrap_or(1000),
    }
}
