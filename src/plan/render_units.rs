//! systemd's part of the configuration: what is started, what cannot start, and
//! what is skipped while a credential is missing.
//!
//! `systemctl enable` would read the units' own `[Install]` sections; the links are
//! written from the roles instead, so that the spec alone says what starts.

use super::render::ConfigFile;
use crate::spec::{Role, Server, Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const FOLDER: &str = "/etc/systemd/system";

/// Links and drop-ins of all units of `server`.
pub(crate) fn files(spec: &Spec, server: &Server) -> Vec<ConfigFile> {
    let mut files: BTreeMap<String, ConfigFile> = BTreeMap::new();
    let overlays = own_units(spec, server);
    for role in spec.roles_of(server) {
        let source = format!("roles/{}.toml", role.name);
        for (path, target) in links(role, &overlays) {
            files.entry(path.clone()).or_insert_with(|| ConfigFile::link(path, target, &source));
        }
    }
    files.into_values().chain(drop_ins(spec, server)).collect()
}

/// Names of the units that overlays bring.
fn own_units<'a>(spec: &'a Spec, server: &'a Server) -> BTreeSet<&'a str> {
    let folders = spec.roles_of(server).filter_map(|role| role.overlay.as_ref());
    let mut units = BTreeSet::new();
    for folder in folders {
        let prefix = format!("overlays/{folder}/etc/systemd/system");
        for (path, _) in spec.tree.files() {
            let below = path.strip_prefix(&prefix).and_then(|rest| rest.strip_prefix('/'));
            units.extend(below.filter(|name| !name.contains('/')));
        }
    }
    units
}

fn links(role: &Role, in_etc: &BTreeSet<&str>) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for unit in &role.units {
        let home =
            if in_etc.contains(unit.name.as_str()) { FOLDER } else { "/usr/lib/systemd/system" };
        // getty@tty1.service is an instance of getty@.service.
        let file = match unit.name.split_once('@') {
            Some((template, instance)) => {
                let ending = instance.rsplit_once('.').map_or("service", |(_, ending)| ending);
                format!("{template}@.{ending}")
            }
            None => unit.name.clone(),
        };
        for target in &unit.wanted_by {
            links
                .push((format!("{FOLDER}/{target}.wants/{}", unit.name), format!("{home}/{file}")));
        }
        for alias in &unit.aliases {
            links.push((format!("{FOLDER}/{alias}"), format!("{home}/{file}")));
        }
    }
    links
        .extend(role.masks.iter().map(|mask| (format!("{FOLDER}/{mask}"), "/dev/null".to_owned())));
    links
}

/// For every unit that needs credentials: skipped without them, and not before they are installed.
fn drop_ins(spec: &Spec, server: &Server) -> Vec<ConfigFile> {
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
        for unit in &credential.needed_by {
            needs.entry(unit).or_default().insert(&credential.name);
        }
    }
    let drop_in = |(unit, names): (&str, BTreeSet<&str>)| {
        let mut text = "# Without these credentials the unit is skipped; the console says how to get them.\n[Unit]\nAfter=imagebuild-seed.service\n".to_owned();
        for name in names {
            // Writing to a String cannot fail.
            writeln!(text, "ConditionCredential={name}").ok();
        }
        let path = format!("{FOLDER}/{unit}.d/10-imagebuild-credentials.conf");
        ConfigFile::text(path, text, "[[credentials]] of the roles")
    };
    needs.into_iter().map(drop_in).collect()
}
