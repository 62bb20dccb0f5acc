//! A copy of a project: what belongs to it, and what its `site.toml` names beside
//! itself, made in the reverse order.

use crate::error::{Error, Result};
use crate::fs;
use std::path::{Component, Path};

/// What of a project's folder belongs to it.
const PROJECT: [&str; 5] = ["imagebuild.lock", "images", "overlays", "roles", "site.toml"];

/// Copies the project at `from` to the new folder `to`.
///
/// # Errors
/// When something cannot be copied, or lies outside of the project.
pub(super) fn copy_project(from: &Path, to: &Path) -> Result<()> {
    let mut names: Vec<String> = PROJECT.iter().map(|name| (*name).to_owned()).collect();
    names.extend(named_by_site(from)?);
    let mut entries = Vec::new();
    for name in names.iter().filter(|name| from.join(name).exists()) {
        for entry in walkdir::WalkDir::new(from.join(name)).sort_by_file_name() {
            let entry = entry.map_err(|e| Error::build(format!("cannot list the project: {e}")))?;
            entries.push(entry);
        }
    }
    // What is named itself may be a link: a site.toml that several projects share.
    let is_file = |entry: &&walkdir::DirEntry| {
        entry.file_type().is_file() || (entry.depth() == 0 && entry.path().is_file())
    };
    for entry in entries.iter().rev().filter(is_file) {
        let below = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let target = to.join(below);
        target.parent().map_or(Ok(()), fs::create_dir_all)?;
        std::fs::copy(entry.path(), &target).map_err(|e| Error::io("copy", entry.path(), &e))?;
    }
    Ok(())
}

/// Paths that `site.toml` names: the website, packages of the user's own, keys. One from
/// the root is the same for every copy.
fn named_by_site(project: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(project.join("site.toml")).unwrap_or_default();
    // It was read before, and its mistakes were told with their place.
    let site: toml::Table = text.parse().unwrap_or_default();
    let word = |value: &toml::Value| value.as_str().map(str::to_owned);
    let mut paths: Vec<String> = site.get("content").and_then(word).into_iter().collect();
    let debs = site.get("debs").and_then(toml::Value::as_array);
    paths.extend(debs.into_iter().flatten().filter_map(word));
    let sources = site.get("sources").and_then(toml::Value::as_table);
    let keys = sources.into_iter().flat_map(toml::Table::values);
    paths.extend(keys.filter_map(|source| source.get("key").and_then(word)));
    paths.retain(|path| Path::new(path).is_relative());
    let leaves = |path: &&String| Path::new(path).components().any(|c| c == Component::ParentDir);
    match paths.iter().find(leaves) {
        Some(path) => Err(Error::input(format!("{path} lies outside of the project's folder"))
            .hint(
                "`verify` copies the project: name it from the root, or move it into the folder",
            )),
        None => Ok(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_project_is_made_of_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let put = |path: &str, text: &str| {
            let path = from.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let site = "content = \"www\"\ndebs = [\"debs\"]\n[sources.x]\nkey = \"x.asc\"\n";
        let ours = ["debs/a.deb", "imagebuild.lock", "images/a.toml", "www/i/index.html", "x.asc"];
        ours.iter().for_each(|path| put(path, path));
        put("../shared.toml", site);
        std::os::unix::fs::symlink("../shared.toml", from.join("site.toml")).unwrap();
        ["out/big.qcow2", "secrets/arch1.toml", "notes"].iter().for_each(|path| put(path, ""));
        copy_project(&from, &to).unwrap();
        let entries = walkdir::WalkDir::new(&to).sort_by_file_name().into_iter();
        let files = entries.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        let below = |entry: walkdir::DirEntry| {
            entry.path().strip_prefix(&to).unwrap().to_str().unwrap().to_owned()
        };
        let mut wanted: Vec<&str> = ours.to_vec();
        wanted.insert(3, "site.toml");
        assert_eq!(files.map(below).collect::<Vec<_>>(), wanted);

        put("../shared.toml", "content = \"../www\"\n");
        let error = copy_project(&from, &to).unwrap_err();
        assert_eq!(error.message(), "../www lies outside of the project's folder");
    }
}
