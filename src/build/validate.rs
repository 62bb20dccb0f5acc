//! Has the configuration judged by the programs that will read it, inside the
//! finished root, with the server's own links and addresses and dummy secrets.

use super::{config, workplace};
use crate::error::{Error, Result};
use crate::exec;
use crate::plan::render::{ConfigFile, Content};
use crate::plan::step::{DummyCredential, Link};
use crate::sandbox::{Op, Outcome, Root, Sandbox};
use crate::spec::{Kind, Validator};
use crate::store::Object;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Where and with what a validator runs.
pub(super) struct Validation<'a> {
    /// The packages tree, and the modes of its folders.
    pub(super) packages: &'a Object,
    /// The agent, if it is shown.
    pub(super) agent: Option<PathBuf>,
    /// The configuration that it reads.
    pub(super) files: &'a [ConfigFile],
    /// The server's links.
    pub(super) links: &'a [Link],
    /// Files to make in place of credentials.
    pub(super) credentials: &'a [DummyCredential],
}

impl Validation<'_> {
    /// Runs the validator in a scratch copy of the root; `temporary` is the step's folder.
    pub(super) fn ask(&self, validator: &Validator, epoch: u64, temporary: &Path) -> Result<()> {
        let work = workplace(temporary)?;
        let tar = work.path().join("config.tar");
        let agent = self.agent.as_deref();
        config::write_tar(self.files, agent, &self.packages.json("folders.json")?, epoch, &tar)?;
        let mut sandbox = Sandbox::new(Root::Scratch(self.packages.path("tree")), 0)
            .network_rights()
            .bind(&tar, "/run/imagebuild-config.tar")
            .op(Op::UnpackTar { tar: "/run/imagebuild-config.tar".into(), into: "/".into() })
            .run(["sh", "-e", "-c", &self.script()]);
        let first = sandbox.commands();
        for command in validator.prepare.iter().chain([&validator.argv]) {
            sandbox = sandbox.program(command, &[], false);
        }
        let outcomes = sandbox.execute()?;
        for (command, outcome) in
            validator.prepare.iter().chain([&validator.argv]).zip(outcomes.iter().skip(first))
        {
            if outcome.code != 0 {
                return Err(self.verdict(validator, command, outcome));
            }
        }
        Ok(())
    }

    /// What the program said, and which template made the file.
    fn verdict(&self, validator: &Validator, command: &[String], outcome: &Outcome) -> Error {
        let words: Vec<String> = command.iter().map(|word| exec::quote(word)).collect();
        let mut error = Error::input(format!("`{}` rejects the configuration", words.join(" ")))
            .detail(exec::tail(outcome.output.as_bytes()));
        let named = self.named_in(&outcome.output);
        for file in self.files {
            // Programs read more than they are asked about: nginx all sites.
            if named.contains(&file.path)
                || (named.is_empty() && validator.covers.contains(&file.path))
            {
                error = error.detail(format!("{} is made from {}", file.path, file.source));
            }
        }
        error.hint("correct the file or template named above; nothing else has to be built again")
    }

    /// The files that a program's words name, by their own path or by that of a link.
    fn named_in(&self, output: &str) -> BTreeSet<String> {
        let real = |file: &ConfigFile| match &file.content {
            Content::Symlink(target) => target_of(&file.path, target),
            Content::Bytes(_) | Content::Directory | Content::Agent => file.path.clone(),
        };
        let words: BTreeSet<&str> =
            output.split(|c: char| c.is_whitespace() || "\"'`:,;()[]".contains(c)).collect();
        let named = self.files.iter().filter(|file| words.contains(file.path.as_str()));
        named.map(real).collect()
    }

    /// A shell script that makes links, addresses and credentials.
    fn script(&self) -> String {
        let mut script = "ip link set lo up\n".to_owned();
        for link in self.links {
            let name = &link.interface;
            script += &format!("ip link add {name} type veth peer name {name}p\n");
            for address in &link.addresses {
                let nodad = if address.contains(':') { " nodad" } else { "" };
                script += &format!("ip address add {address} dev {name}{nodad}\n");
            }
            script += &format!("ip link set {name}p up\nip link set {name} up\n");
        }
        for credential in self.credentials {
            let path = exec::quote(&credential.path);
            script += &format!("mkdir -p \"$(dirname {path})\"\n{}", make(credential.kind, &path));
            script +=
                &format!("chown {} {path}\nchmod {:o} {path}\n", credential.owner, credential.mode);
        }
        script
    }
}

/// The path that a link names.
fn target_of(link: &str, target: &str) -> String {
    let mut path = PathBuf::from(link);
    path.pop();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

/// A command that makes a credential good enough to be parsed.
fn make(kind: Kind, path: &str) -> String {
    match kind {
        Kind::SshHostKey => format!("ssh-keygen -q -t ed25519 -N '' -C '' -f {path}\n"),
        Kind::TlsSelfSigned => format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=dummy -days 1 -keyout {path} -out {path}.crt 2>&1 && cat {path}.crt >>{path}\n"
        ),
        Kind::MuninHtpasswd => format!("echo 'munin:$5$throw$away' >{path}\n"),
        Kind::PasswordHash => format!("echo '$5$throw$away' >{path}\n"),
        Kind::MacAddress => format!("echo 02:00:00:00:00:01 >{path}\n"),
        Kind::Number => format!("echo 1 >{path}\n"),
        Kind::Password | Kind::Text => format!("printf dummy >{path}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        let of = |target: &str| target_of("/etc/nginx/sites-enabled/site", target);
        assert_eq!(of("../sites-available/site"), "/etc/nginx/sites-available/site");
        assert_eq!(of("/dev/null"), "/dev/null");
        assert_eq!(of("./other"), "/etc/nginx/sites-enabled/other");
    }
}
