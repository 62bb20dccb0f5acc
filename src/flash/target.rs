//! Where an image goes: what `--to` says.

use crate::error::{Error, Result};
use crate::exec::quote;
use crate::remote::Login;
use std::fmt;
use std::path::{Path, PathBuf};

const FORMS: &str = "write `--to ssh://root@HOST/dev/disk/by-id/NAME` (a rescue system), `--to dev:/dev/disk/by-id/NAME` (a disk of this machine) or `--to file:PATH` (a new file)";

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A new file: a raw disk.
    File(PathBuf),
    /// A disk of this machine, by its path; or a file that is there, as if it were one.
    Device(PathBuf),
    /// The same on a machine that is reached with OpenSSH's `ssh`.
    Ssh {
        /// Who and where.
        login: Login,
        /// The disk's path there.
        disk: PathBuf,
    },
}

impl Target {
    /// Reads what `--to` says.
    ///
    /// # Errors
    /// When it is none of the three forms, with how they are written.
    pub fn parse(text: &str) -> Result<Target> {
        let wrong = |why: String| Error::input(why).hint(FORMS);
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() || path.ends_with('/') {
                return Err(wrong(format!("`{text}` names no file")));
            }
            return Ok(Target::File(PathBuf::from(path)));
        }
        if let Some(path) = text.strip_prefix("dev:") {
            return absolute(path).map(Target::Device).map_err(|e| e.or_hint(FORMS));
        }
        let Some(rest) = text.strip_prefix("ssh://") else {
            return Err(wrong(match text.split_once(':') {
                Some((scheme, _)) if scheme.bytes().all(|c| c.is_ascii_alphanumeric()) => {
                    format!("images cannot be written to `{scheme}:`")
                }
                Some(_) | None => format!("`{text}` does not say what kind of target it is"),
            }));
        };
        let Some(slash) = rest.find('/') else {
            return Err(wrong(format!("`{text}` names no disk")));
        };
        let (login, disk) = rest.split_at(slash);
        let login = login.parse().map_err(wrong)?;
        let disk = absolute(disk).map_err(|e| e.or_hint(FORMS))?;
        Ok(Target::Ssh { login, disk })
    }
}

/// A path of a disk: absolute, and of characters that need no quotes in any shell.
fn absolute(path: &str) -> Result<PathBuf> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(Error::input(format!("`{path}` is not the absolute path of a disk")));
    }
    if quote(path) != path {
        return Err(Error::input(format!(
            "`{path}`: a disk's path has letters, digits and @%+=:,./-_"
        )));
    }
    Ok(Path::new(path).to_owned())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::File(path) => write!(f, "file:{}", path.display()),
            Target::Device(path) => write!(f, "dev:{}", path.display()),
            Target::Ssh { login, disk } => write!(f, "ssh://{login}{}", disk.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms() {
        for text in [
            "file:out/web1.raw",
            "file:/srv/web1.raw",
            "dev:/dev/disk/by-id/ata-WDC_1:0",
            "ssh://root@198.51.100.7/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_1234",
            "ssh://rescue/dev/sda",
            "ssh://root@[2001:db8::7]:2222/dev/vda",
            "ssh://root@[fe80::1%eth0]/dev/vda",
            "ssh://kvm:22/var/lib/libvirt/images/web1.raw",
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, why) in [
            ("", "`` does not say what kind of target it is"),
            ("/dev/sda", "`/dev/sda` does not say what kind of target it is"),
            ("hcloud:web1", "images cannot be written to `hcloud:`"),
            ("file:", "`file:` names no file"),
            ("file:out/", "`file:out/` names no file"),
            ("dev:sda", "`sda` is not the absolute path of a disk"),
            ("dev:/dev/x y", "`/dev/x y`: a disk's path has letters, digits and @%+=:,./-_"),
            ("ssh://root@host", "`ssh://root@host` names no disk"),
            ("ssh://root@host/", "`/` is not the absolute path of a disk"),
            ("ssh:///dev/sda", "`` is not USER@HOST, HOST, or one of them with :PORT"),
            (
                "ssh://-oProxyCommand=x/dev/sda",
                "`-oProxyCommand=x` is not USER@HOST, HOST, or one of them with :PORT",
            ),
            (
                "ssh://root@h:0/dev/sda",
                "`root@h:0` is not USER@HOST, HOST, or one of them with :PORT",
            ),
            (
                "ssh://2001:db8::7/dev/sda",
                "`2001:db8::7` is not USER@HOST, HOST, or one of them with :PORT",
            ),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert_eq!(error.message(), why, "{text}");
            assert!(error.to_string().ends_with(FORMS), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_as_it_was(text in "(file:|dev:/|ssh://)?[-a-z0-9@:./\\[\\]%' ]{0,30}") {
            if let Ok(target) = Target::parse(&text) {
                let shown = target.to_string();
                prop_assert_eq!(Target::parse(&shown).unwrap(), target);
            }
        }
    }
}
