//! Roles that include roles: a server's list with all that its roles bring along.
//!
//! What is included stands before the role that includes it, each role once.

use crate::error::Result;
use crate::spec::check::context::Context;
use crate::spec::check::context::RoleSpans;
use crate::spec::model::role::Role;
use crate::spec::source::Sources;
use std::collections::BTreeMap;

/// Checks that no role includes itself, by whatever way around.
pub(crate) fn check(
    roles: &BTreeMap<String, Role>,
    spans: &BTreeMap<String, RoleSpans>,
    sources: &Sources,
) -> Result<()> {
    for role in roles.values() {
        let mut way = vec![role.name.clone()];
        follow(role, &mut way, roles, spans, sources)?;
    }
    Ok(())
}

fn follow(
    role: &Role,
    way: &mut Vec<String>,
    roles: &BTreeMap<String, Role>,
    spans: &BTreeMap<String, RoleSpans>,
    sources: &Sources,
) -> Result<()> {
    for (index, included) in role.includes.iter().enumerate() {
        way.push(included.clone());
        // A loop that does not lead back to where this began has a beginning of its own.
        if way.first() == Some(included) {
            let span = spans[&role.name].includes[index].clone();
            return Err(sources
                .error(span, format!("the role `{included}` includes itself"))
                .detail(way.join(" -> "))
                .hint("take one of these out of `includes`"));
        }
        let again = way.iter().filter(|name| *name == included).count() > 1;
        if let Some(next) = roles.get(included).filter(|_| !again) {
            follow(next, way, roles, spans, sources)?;
        }
        way.pop();
    }
    Ok(())
}

/// Adds the role `name` to `list`, after what it includes.
pub(crate) fn add(list: &mut Vec<String>, name: &str, context: &Context<'_>) {
    if list.iter().any(|one| one == name) {
        return;
    }
    if let Some(role) = context.roles.get(name) {
        role.includes.iter().for_each(|included| add(list, included, context));
    }
    list.push(name.to_owned());
}
