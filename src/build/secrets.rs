//! An image holds no secrets: it is uploaded to strangers' storage. Looks for
//! private keys, password hashes, host keys and machine ids before a layer is made, and for
//! setuid programs that Debian did not look at.

use crate::error::{Error, Result};
use crate::plan::render::{ConfigFile, Content};
use crate::sandbox::{Op, Root, Sandbox};
use std::path::Path;

/// Folders of the packages tree in which a secret would be one; elsewhere Debian's
/// packages have their files, which everybody has (test keys in documentation).
const FOLDERS: [&str; 8] = ["etc", "var", "root", "home", "srv", "boot", "opt", "usr/local"];

/// Looks through the packages tree.
pub(super) fn scan_tree(tree: &Path) -> Result<()> {
    let mut sandbox = Sandbox::new(Root::Host, 0);
    for folder in FOLDERS {
        sandbox = sandbox.op(Op::FindSecrets { tree: tree.to_owned(), folder: folder.to_owned() });
    }
    let found: Vec<String> = sandbox.execute()?.into_iter().map(|outcome| outcome.output).collect();
    refuse(found.concat().trim())
}

/// Looks for programs with the rights of others that came with these packages, which are not
/// Debian's: who gets into the server by one service must not get further by them.
pub(super) fn scan_rights(tree: &Path, packages: &[String]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let op = Op::FindPrivileged { tree: tree.to_owned(), packages: packages.to_owned() };
    let found = Sandbox::new(Root::Host, 0).op(op).execute()?;
    let found: String = found.into_iter().map(|outcome| outcome.output).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::input("a package that is not Debian's has setuid or setgid programs")
        .detail(found.trim())
        .hint("take the bits off in the package; a service that needs a right gets it from its unit: `AmbientCapabilities=`"))
}

/// Looks through the configuration.
pub(super) fn scan_files(files: &[ConfigFile]) -> Result<()> {
    let mut found = String::new();
    for file in files {
        let Content::Bytes(bytes) = &file.content else { continue };
        if let Some(what) = crate::sandbox::secret_in(file.path.trim_start_matches('/'), bytes) {
            found += &format!("{}: {what} (from {})\n", file.path, file.source);
        }
    }
    refuse(found.trim())
}

fn refuse(found: &str) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::input("the image would hold secrets; images are uploaded to strangers' storage")
        .detail(found)
        .hint("deliver them with the seed: `[[credentials]]` of a role, `imagebuild seed`"))
}
