//! Which programs of a tree run with the rights of another user or group than who starts them,
//! and which package brought them.

use crate::error::{Error, Result};
use crate::fs;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Set-user-id and set-group-id, as in inode(7).
const PRIVILEGED: u32 = 0o6000;
/// Where dpkg keeps the list of each package's files: `NAME.list`, `NAME:ARCHITECTURE.list`.
const INFO: &str = "var/lib/dpkg/info";

/// Those of a tree that one of `packages` brought, and those in no package's list: a line each.
pub(super) fn find(tree: &Path, packages: &[String]) -> Result<String> {
    let mut owners = None;
    let mut found = String::new();
    for entry in walkdir::WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::build(format!("cannot list the tree: {e}")))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let data = entry.metadata().map_err(|e| Error::build(format!("cannot look: {e}")))?;
        let mode = data.permissions().mode() & 0o7777;
        if mode & PRIVILEGED == 0 {
            continue;
        }
        let path = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let path = format!("/{}", path.display());
        let owners = match &mut owners {
            Some(owners) => owners,
            none => none.insert(owners_of_files(tree)?),
        };
        let owner = owners.get(&path).or_else(|| owners.get(path.strip_prefix("/usr")?));
        let who = match owner {
            None => "of no package's list".to_owned(),
            Some(owner) if packages.contains(owner) => format!("of the package {owner}"),
            Some(_) => continue,
        };
        found += &format!("{path} (mode {mode:o}), {who}\n");
    }
    Ok(found)
}

/// The package of each file, as dpkg lists them.
fn owners_of_files(tree: &Path) -> Result<BTreeMap<String, String>> {
    let mut owners = BTreeMap::new();
    let folder = tree.join(INFO);
    let entries = std::fs::read_dir(&folder).map_err(|e| Error::io("list", &folder, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("list", &folder, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".list") else { continue };
        let name = name.split(':').next().unwrap_or(name);
        for line in fs::read_to_string(&path)?.lines() {
            owners.insert(line.to_owned(), name.to_owned());
        }
    }
    Ok(owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_debian_brings_may_stay() {
        let tree = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str, mode: u32| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        put("usr/bin/su", "", 0o4755);
        put("usr/bin/shop", "", 0o6777);
        put("usr/bin/plain", "", 0o755);
        put("opt/made", "", 0o2755);
        put("var/lib/dpkg/info/util-linux.list", "/bin\n/bin/su\n", 0o644);
        put("var/lib/dpkg/info/shop:amd64.list", "/usr/bin/shop\n/usr/bin/plain\n", 0o644);
        put("var/lib/dpkg/info/shop:amd64.postinst", "/opt/made\n", 0o755);
        let own = ["shop".to_owned()];
        assert_eq!(
            find(tree.path(), &own).unwrap(),
            "/opt/made (mode 2755), of no package's list\n/usr/bin/shop (mode 6777), of the package shop\n"
        );
        std::fs::remove_file(tree.path().join("opt/made")).unwrap();
        assert_eq!(find(tree.path(), &[]).unwrap(), "");
    }
}
