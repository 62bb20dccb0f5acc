//! Checks of databases that follow each other: there are two, they can be told apart,
//! and the address for writes can be at either of them.

use crate::error::Result;
use crate::spec::check::context::Context;
use crate::spec::model::architecture::{Architecture, Purpose, Server};
use crate::spec::parse::architecture::RawArchitecture;
use crate::spec::{REPLICATION_ROLE, WITNESS_ROLE};

/// Checks the servers of `architecture` that have the role `replication`.
pub(crate) fn pairs(
    architecture: &Architecture,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Result<()> {
    let members: Vec<&Server> = architecture.with_role(REPLICATION_ROLE).collect();
    let witnesses: Vec<&Server> = architecture.with_role(WITNESS_ROLE).collect();
    for witness in &witnesses {
        let name = &witness.name;
        let (message, hint) = if members.is_empty() {
            (
                format!("{name} is a witness, and no server has the role `replication`"),
                "take the role `witness` out, or give two databases the role `replication`",
            )
        } else if witnesses.len() != 1 {
            (
                format!("{} servers have the role `witness`, not one: {name}", witnesses.len()),
                "of two databases and a witness, one may be lost; with two witnesses, no more",
            )
        } else {
            continue;
        };
        let key = raw.servers.keys().find(|key| key.get_ref() == name);
        let span = key.map_or(0..0, toml::Spanned::span);
        return Err(context.sources.error(span, message).hint(hint));
    }
    for server in &members {
        let Some((message, hint)) = wrong(server, &members, architecture) else { continue };
        let key = raw.servers.keys().find(|key| key.get_ref() == &server.name);
        let span = key.map_or(0..0, toml::Spanned::span);
        return Err(context.sources.error(span, message).hint(hint));
    }
    Ok(())
}

/// What is wrong with one of them, and what to do about it.
fn wrong(
    server: &Server,
    members: &[&Server],
    architecture: &Architecture,
) -> Option<(String, &'static str)> {
    let name = &server.name;
    if members.len() != 2 {
        let message =
            format!("{} servers have the role `replication`, not two: {name}", members.len());
        return Some((message, "one writes and the other takes over; more are not supported"));
    }
    if server.server_id.is_none() {
        return Some((
            format!("{name} follows another database and has no server-id"),
            "add `server-id = 1` to one and `server-id = 2` to the other",
        ));
    }
    let held = |one: &&Server| {
        architecture
            .floating_for(Purpose::DatabaseWrites)
            .any(|floating| floating.holders.contains(&one.name))
    };
    if !held(&server) {
        let message = format!("{name} follows another database and holds no address for writes");
        return Some((
            message,
            "both must be `holders` of a floating address with the purpose `database-writes`",
        ));
    }
    None
}
