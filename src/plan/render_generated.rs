//! Files of the configuration layer that follow from the spec one to one and
//! whose number depends on it: one a network, one a credential, one a plugin.

use super::render::{ConfigFile, Content};
use crate::exec::quote;
use crate::spec::{
    Architecture, BASE_ROLE, Credential, MONITORED_ROLE, Role, SITE_FOLDER, STATIC_ROLE, Server,
    Spec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// All of them.
pub(crate) fn files(spec: &Spec, architecture: &Architecture, server: &Server) -> Vec<ConfigFile> {
    let mut files: Vec<ConfigFile> = spec.roles_of(server).flat_map(links).collect();
    if server.has_role(BASE_ROLE) {
        files.push(credentials(spec, server));
        files.extend(super::render_credentials::files(spec, server));
        files.push(checks(spec, server));
        files.push(boot_conf(spec, server));
        files.extend(authorized_keys(spec, architecture));
        // The initramfs fills it; an absent one makes every boot a first boot.
        files.push(ConfigFile::text("/etc/machine-id", String::new(), "imagebuild"));
    }
    if server.has_role(MONITORED_ROLE) {
        files.extend(munin(spec, architecture, server));
    }
    if server.has_agent() {
        files.push(ConfigFile {
            path: "/usr/sbin/imagebuild-replication".to_owned(),
            mode: 0o755,
            uid: 0,
            gid: 0,
            content: Content::Agent,
            source: "pair/".to_owned(),
        });
    }
    if server.has_role(STATIC_ROLE) {
        files.extend(static_copy(spec, architecture));
    }
    files
}

fn links(role: &Role) -> Vec<ConfigFile> {
    let source = format!("roles/{}.toml", role.name);
    role.links.iter().map(|(path, target)| ConfigFile::link(path, target, &source)).collect()
}

/// The table that `imagebuild-seed` and the initramfs read: one line a credential, tabs
/// between.
fn credentials(spec: &Spec, server: &Server) -> ConfigFile {
    let mut lines = BTreeMap::new();
    for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
        for name in names(credential, server) {
            let line = credential_line(&name, credential);
            // Two roles may share a credential; the one that installs it says more.
            if credential.install.is_some() || !lines.contains_key(&name) {
                lines.insert(name, line);
            }
        }
    }
    let head = "# name\tneeded\tpath\towner\tgroup\tmode\tpurpose\n".to_owned();
    let text = lines.into_values().fold(head, |text, line| text + &line);
    ConfigFile::text("/usr/lib/imagebuild/credentials", text, "[[credentials]] of the roles")
}

/// The credential's names on `server`: `{network}` stands for each of its networks.
pub(super) fn names(credential: &Credential, server: &Server) -> Vec<String> {
    if !credential.name.contains("{network}") {
        return vec![credential.name.clone()];
    }
    server.addresses.keys().map(|network| credential.name.replace("{network}", network)).collect()
}

fn credential_line(name: &str, credential: &Credential) -> String {
    let needed = if credential.optional { "optional" } else { "needed" };
    let place = match &credential.install {
        Some(to) => {
            format!("{}\t{}\t{}\t{}", to.path, to.owner, to.group, String::from(to.mode))
        }
        None => "-\t-\t-\t-".to_owned(),
    };
    format!("{name}\t{needed}\t{place}\t{}\n", credential.purpose)
}

/// The table that `imagebuild-check` reads: name, credentials it waits for, command.
fn checks(spec: &Spec, server: &Server) -> ConfigFile {
    let mut text = "# name\tcredentials\tcommand\n".to_owned();
    for check in spec.roles_of(server).flat_map(|role| &role.checks) {
        let argv: Vec<String> = check.argv.iter().map(|word| quote(word)).collect();
        let credentials =
            if check.credentials.is_empty() { "-".to_owned() } else { check.credentials.join(",") };
        writeln!(text, "{}\t{credentials}\t{}", check.name, argv.join(" ")).ok();
    }
    ConfigFile::text("/usr/lib/imagebuild/checks", text, "[[checks]] of the roles")
}

/// What the initramfs must know of this server.
fn boot_conf(spec: &Spec, server: &Server) -> ConfigFile {
    let paths: BTreeSet<&str> =
        spec.roles_of(server).flat_map(|role| &role.slot_var).map(String::as_str).collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    let text = format!(
        "# Read by the initramfs: paths below /var that are the slot's, read-only;\n# folders of / that live below /var.\nSLOT_VAR=\"{}\"\nSTATE_DIRS=\"home root srv\"\n",
        paths.join(" ")
    );
    ConfigFile::text("/usr/lib/imagebuild/boot.conf", text, "slot-var of the roles")
}

fn authorized_keys(spec: &Spec, architecture: &Architecture) -> Option<ConfigFile> {
    let keys = &spec.site.admin_keys;
    let path = format!("/etc/ssh/authorized_keys.d/{}", architecture.admin);
    (!keys.is_empty()).then(|| ConfigFile::text(path, keys.join("\n") + "\n", "site.toml"))
}

/// The static files of the site, for the server that has no application: the same
/// files that its nginx does not pass on.
fn static_copy(spec: &Spec, architecture: &Architecture) -> Vec<ConfigFile> {
    let site = spec.tree.below(SITE_FOLDER);
    let root = &spec.site.web_root;
    let seen = |path: &str| root.is_empty() || path.starts_with(&format!("{root}/"));
    let ours = site.filter(|(path, _)| seen(path) && architecture.static_files.holds(path));
    ours.map(|(path, file)| ConfigFile {
        content: Content::Bytes(file.content.clone()),
        ..ConfigFile::text(
            format!("/var/www/site/{path}"),
            String::new(),
            &format!("{SITE_FOLDER}/{path}"),
        )
    })
    .collect()
}

/// Plugin links of all roles, and one that counts traffic for each interface.
fn munin(spec: &Spec, architecture: &Architecture, server: &Server) -> Vec<ConfigFile> {
    let mut links = BTreeMap::new();
    for role in spec.roles_of(server) {
        let source = format!("roles/{}.toml", role.name);
        for (name, plugin) in &role.munin {
            links.insert(name.clone(), (plugin.clone(), source.clone()));
        }
    }
    for network in server.addresses.keys().filter_map(|name| architecture.networks.get(name)) {
        let source = format!("images/{}.toml", architecture.name);
        links.insert(format!("if_{}", network.interface), ("if_".to_owned(), source));
    }
    let own = links.into_iter().map(|(name, (plugin, source))| {
        let target = format!("/usr/share/munin/plugins/{plugin}");
        ConfigFile::link(format!("/etc/munin/plugins/{name}"), target, &source)
    });
    let folder = ConfigFile {
        mode: 0o755,
        content: Content::Directory,
        ..ConfigFile::text("/etc/munin/plugins", String::new(), "roles/monitored.toml")
    };
    std::iter::once(folder).chain(own).collect()
}
