//! How systemd puts a server's credentials where programs look for them: lines of
//! systemd-tmpfiles, which is told to import them, and the conditions under which
//! imagebuild-seed.service still has something to do.

use super::render::ConfigFile;
use super::render_generated::names;
use crate::spec::{Credential, Server, Spec};
use std::collections::BTreeMap;
use std::fmt::Write;

const SOURCE: &str = "[[credentials]] of the roles";

/// A shell script does the rest of it, in imagebuild-seed.service.
const CONSOLE_PASSWORD: &str = "console.password-hash";

/// The three files of `server`.
pub(crate) fn files(spec: &Spec, server: &Server) -> [ConfigFile; 3] {
    let credentials = merged(spec, server);
    let drop_in = |unit: &str, text| {
        let path = format!("/etc/systemd/system/{unit}.d/10-imagebuild-credentials.conf");
        ConfigFile::text(path, text, SOURCE)
    };
    let lines = "/usr/lib/tmpfiles.d/imagebuild-credentials.conf";
    [
        ConfigFile::text(lines, tmpfiles(&credentials), SOURCE),
        drop_in("systemd-tmpfiles-setup.service", imports(&credentials)),
        drop_in("imagebuild-seed.service", conditions(&credentials)),
    ]
}

/// By name. Two roles may share a credential: the one that installs it says more.
fn merged<'a>(spec: &'a Spec, server: &'a Server) -> BTreeMap<String, &'a Credential> {
    let mut credentials: BTreeMap<String, &Credential> = BTreeMap::new();
    for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
        for name in names(credential, server) {
            let kept = credentials.entry(name).or_insert(credential);
            if credential.install.is_some() {
                *kept = credential;
            }
        }
    }
    credentials
}

/// tmpfiles.d(5): `^` takes the content from the credential, and skips the line without it.
fn tmpfiles(credentials: &BTreeMap<String, &Credential>) -> String {
    let mut text = String::new();
    for (name, credential) in credentials {
        if let Some(to) = &credential.install {
            let mode = String::from(to.mode);
            // Writing to a String cannot fail.
            writeln!(text, "f^ {} {mode} {} {} - {name}", to.path, to.owner, to.group).ok();
        }
    }
    text
}

fn imports(credentials: &BTreeMap<String, &Credential>) -> String {
    let mut text = "[Service]\n".to_owned();
    for (name, _) in credentials.iter().filter(|(_, one)| one.install.is_some()) {
        writeln!(text, "ImportCredential={name}").ok();
    }
    text
}

/// To say what is missing, or to set the console's password.
fn conditions(credentials: &BTreeMap<String, &Credential>) -> String {
    let mut text = "[Unit]\n".to_owned();
    for (name, _) in credentials.iter().filter(|(_, one)| !one.optional) {
        writeln!(text, "ConditionCredential=|!{name}").ok();
    }
    writeln!(text, "ConditionCredential=|{CONSOLE_PASSWORD}").ok();
    text
}
