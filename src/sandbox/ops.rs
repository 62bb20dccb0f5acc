//! File operations that a sandbox's root does in-process: on files whose owners
//! are subordinate ids, which the user himself may not touch.

use super::mounts::{cover, prepare_chroot, release_chroot, uncover};
use super::{copy, listing, privileged, sort};
use crate::error::{Error, Result};
use crate::fs;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One operation; paths are as seen inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Op {
    /// Gives a tree a /proc and a /dev, for programs that chroot into it.
    PrepareChroot {
        /// The tree.
        tree: PathBuf,
    },
    /// Takes both away again.
    ReleaseChroot {
        /// The tree.
        tree: PathBuf,
    },
    /// Puts an empty file system in memory over a folder.
    Cover {
        /// The folder.
        folder: PathBuf,
    },
    /// Takes it away again, with all that is in it.
    Uncover {
        /// The folder.
        folder: PathBuf,
    },
    /// Copies what is in a folder into an empty one, with owners, modes and times.
    Copy {
        /// The folder.
        from: PathBuf,
        /// The empty one.
        into: PathBuf,
    },
    /// Unpacks a tar file, with its owners, modes and times.
    UnpackTar {
        /// The tar file.
        tar: PathBuf,
        /// The folder to fill.
        into: PathBuf,
    },
    /// Writes a file with these bytes and mode, making its folder.
    Write {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Removes a file or a whole folder; what is not there is no error.
    Remove {
        /// What to remove.
        path: PathBuf,
    },
    /// Empties a folder or truncates a file, keeping owner and mode; what is not
    /// there is no error.
    Empty {
        /// What to empty.
        path: PathBuf,
    },
    /// Sorts the paragraphs (text between blank lines) of a file, by their first line.
    SortParagraphs {
        /// The file.
        path: PathBuf,
    },
    /// Sorts the lines of a file; what is not there is no error.
    SortLines {
        /// The file.
        path: PathBuf,
    },
    /// Sorts passwd(5) or group(5) by number, and the file with its passwords alike.
    SortAccounts {
        /// passwd or group.
        path: PathBuf,
        /// shadow or gshadow.
        shadow: PathBuf,
    },
    /// Looks for secrets in a folder of a tree; the output names them, a line each.
    FindSecrets {
        /// The tree.
        tree: PathBuf,
        /// The folder in it.
        folder: String,
    },
    /// Looks for programs of a tree that run with the rights of another user or group; the
    /// output names those that came with these packages, or that none has, a line each.
    FindPrivileged {
        /// The tree.
        tree: PathBuf,
        /// Names of packages.
        packages: Vec<String>,
    },
    /// Lists a tree into a JSON file: [`super::ListedFile`] by file, sorted by path.
    List {
        /// The tree.
        tree: PathBuf,
        /// The file to write.
        into: PathBuf,
    },
}

impl Op {
    pub(super) fn perform(&self) -> Result<String> {
        match self {
            Op::FindSecrets { tree, folder } => return find_secrets(tree, folder),
            Op::FindPrivileged { tree, packages } => {
                return privileged::find(tree, packages);
            }
            Op::PrepareChroot { tree } => prepare_chroot(tree),
            Op::ReleaseChroot { tree } => release_chroot(tree),
            Op::Cover { folder } => cover(folder),
            Op::Uncover { folder } => uncover(folder),
            Op::Copy { from, into } => copy::copy(from, into),
            Op::UnpackTar { tar, into } => unpack_tar(tar, into),
            Op::Write { path, text, mode } => write(path, text, *mode),
            Op::Remove { path } => remove(path),
            Op::Empty { path } => empty(path),
            Op::SortParagraphs { path } => sort::paragraphs(path),
            Op::SortLines { path } => sort::lines(path),
            Op::SortAccounts { path, shadow } => sort::accounts(path, shadow),
            Op::List { tree, into } => listing::list(tree, into),
        }
        .map(|()| String::new())
    }
}

fn unpack_tar(tar: &Path, into: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(std::io::BufReader::new(fs::open(tar)?));
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    archive.unpack(into).map_err(|e| Error::io("unpack into", into, &e))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)))
        .map_err(|e| Error::io("write", path, &e))
}

fn remove(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if metadata.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
        .map_err(|e| Error::io("remove", path, &e))
}

fn empty(path: &Path) -> Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return std::fs::write(path, "").map_err(|e| Error::io("empty", path, &e));
    }
    let entries = std::fs::read_dir(path).map_err(|e| Error::io("list", path, &e))?;
    for entry in entries {
        remove(&entry.map_err(|e| Error::io("list", path, &e))?.path())?;
    }
    Ok(())
}

fn find_secrets(tree: &Path, folder: &str) -> Result<String> {
    let mut found = String::new();
    let walk = walkdir::WalkDir::new(tree.join(folder)).follow_root_links(false);
    for entry in walk.sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let name = path.strip_prefix(tree).unwrap_or(path).to_string_lossy().into_owned();
        if let Some(what) = secret_in(&name, &fs::read(path)?) {
            found += &format!("/{name}: {what}\n");
        }
    }
    Ok(found)
}

/// How hashed passwords begin: crypt(5), Apache's htpasswd, PHP's password_hash.
const CRYPT: [&str; 10] =
    ["$y$", "$gy$", "$7$", "$6$", "$5$", "$2a$", "$2b$", "$2y$", "$apr1$", "$argon2"];

/// What secret a file holds, by its path (from the root, without a leading slash)
/// and its content.
pub fn secret_in(path: &str, content: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if path.starts_with("etc/ssh/ssh_host_") && name.ends_with("_key") {
        return Some("an SSH host key");
    }
    if (path == "etc/machine-id" || path == "var/lib/dbus/machine-id") && !content.is_empty() {
        return Some("a machine id");
    }
    if has_private_key(content) {
        return Some("a private key");
    }
    let is_shadow = matches!(path, "etc/shadow" | "etc/gshadow");
    let hashed =
        |line: &[u8]| line.split(|b| *b == b':').nth(1).is_some_and(|f| f.starts_with(b"$"));
    if is_shadow && content.split(|b| *b == b'\n').any(hashed) {
        return Some("a password hash");
    }
    let text = String::from_utf8_lossy(content);
    let crypt = |word: &str| CRYPT.iter().any(|p| word.starts_with(p)) && word.len() > 20;
    let is_word = |c: char| c.is_whitespace() || "\"':=,".contains(c);
    if content.len() < 1 << 20 && text.split(is_word).any(crypt) {
        return Some("a password hash");
    }
    None
}

/// The smallest key, of Ed25519, has one line of so many characters of base64; what
/// documentation shows as `MIIE...` has fewer.
const KEY_LINE: usize = 40;

/// Whether there is armour of a private key (RFC 7468, RFC 9580) with a key in it.
fn has_private_key(content: &[u8]) -> bool {
    // JSON writes `/` as `\/`, and the end of a line as `\n`.
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=\\".contains(&b);
    let mut rest = content;
    while let Some((_, after)) = split_at(rest, b"-----BEGIN ") {
        rest = after;
        let Some((label, body)) = split_at(after, b"-----") else { return false };
        if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")) {
            continue;
        }
        let body = split_at(body, b"-----").map_or(body, |(body, _)| body);
        if body.split(|b| !is_base64(*b)).any(|run| run.len() >= KEY_LINE) {
            return true;
        }
    }
    false
}

/// What stands before and after the first `needle`.
fn split_at<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(needle.len()).position(|window| window == needle)?;
    Some((&text[..at], &text[at + needle.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_secrets() {
        let hash = format!("root:$y$j9T${}:20000:", "a".repeat(43));
        let secret = |path: &str, text: &str| secret_in(path, text.as_bytes());
        assert_eq!(secret("etc/shadow", &hash), Some("a password hash"));
        assert_eq!(secret("etc/shadow", "root:*:1:\nadm:!:1:"), None);
        assert_eq!(secret("srv/x.ini", &format!("pw = \"{}\"", hash)), Some("a password hash"));
        let htpasswd = format!("admin:$2y$10${}\n", "a".repeat(53));
        assert_eq!(secret("etc/nginx/htpasswd", &htpasswd), Some("a password hash"));
        assert_eq!(secret("etc/ssh/ssh_host_rsa_key", ""), Some("an SSH host key"));
        assert_eq!(secret("etc/ssh/ssh_host_rsa_key.pub", ""), None);
        assert_eq!(secret("etc/machine-id", "abc\n"), Some("a machine id"));
        assert_eq!(secret("etc/machine-id", ""), None);
    }

    #[test]
    fn knows_a_private_key_from_talk_of_one() {
        let line = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm/0DFtMDoQikTmiCqirVv9mWG9qfSnF";
        let is_secret = |text: String| secret_in("srv/www/x", text.as_bytes()).is_some();
        let armour = |label: &str, body: &str| {
            format!("see:\n-----BEGIN {label}-----\n{body}\n-----END {label}-----\nthanks\n")
        };
        for label in ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
            assert!(is_secret(armour(label, line)), "{label}");
            let json = armour(label, line).replace('\n', "\\n").replace('/', "\\/");
            assert!(is_secret(json), "{label} in JSON");
            assert!(is_secret(armour("CERTIFICATE", line) + &armour(label, line)), "{label}");
            assert!(is_secret(format!("-----BEGIN {label}-----\n{line}")), "{label}, cut off");
            assert!(!is_secret(armour(label, "MC4CAQAw...")), "{label}");
            assert!(!is_secret(format!("the line `-----BEGIN {label}-----` comes first")));
        }
        let encrypted = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,7A\n\n{line}");
        assert!(is_secret(armour("RSA PRIVATE KEY", &encrypted)));
        assert!(!is_secret(armour("PUBLIC KEY", line)));
        assert!(!is_secret(armour("CERTIFICATE", line)));
    }
}
