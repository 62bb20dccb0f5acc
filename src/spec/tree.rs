//! The project's files as one value: path -> content.
//!
//! Everything after this works on that value, so that a project folder on disk,
//! the copy inside the binary and a test's handful of lines are the same thing.

use crate::error::{Error, Result};
use crate::fs;
use crate::spec::embedded;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The folders of a project that belong to the spec; of `vm-tests` it says who is tested.
const FOLDERS: [&str; 4] = ["roles", "images", "vm-tests", OVERLAYS];
/// The one of them in which every file counts; the others hold TOML.
const OVERLAYS: &str = "overlays";
/// The file by which a whole project is told from one that only adds to the built-in one.
const WHOLE: &str = "roles/base.toml";
/// The user's own file.
const SITE: &str = "site.toml";

/// One file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether it is a program: executable on disk, or a script by its first line.
    pub executable: bool,
    /// Whether it is never a template, whatever its name: the user's website.
    pub literal: bool,
}

impl TreeFile {
    /// For a file at `path`: the path without the ending by which it is a template.
    pub fn template<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_suffix(".j2").filter(|_| !self.literal)
    }
}

/// The project's files, by path with `/` below the project's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, TreeFile>);

/// Overlays of the boot chain, which are no role's.
const OF_BOOT: [&str; 2] = ["grub", "initramfs"];
/// Folders at the root of an image that are links into /usr.
const LINKS: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];
/// Folders at the root of an image that files belong in.
const AT_ROOT: [&str; 8] = ["boot", "etc", "home", "opt", "root", "srv", "usr", "var"];

/// `Site.toml` would be passed over, and the demo site built.
fn refuse_other_spelling(project: &Path) -> Result<()> {
    let names = names_in(project);
    let other = names.iter().find(|name| name.eq_ignore_ascii_case(SITE));
    match other {
        Some(name) if !names.iter().any(|name| name == SITE) => {
            Err(Error::input(format!("{name} is not read: it must be called {SITE}"))
                .hint(format!("`mv {name} {SITE}`")))
        }
        _ => Ok(()),
    }
}

/// Refuses slips by which a project's overlays would not reach an image, or not where they are
/// looked for: a folder that no role uses, or one at the root that Debian does not have, with a
/// letter too much, too few, wrong or swapped. `used` are the overlays of roles.
pub(super) fn check_overlays(project: &Path, used: &BTreeSet<&str>) -> Result<()> {
    let used: Vec<&str> = used.iter().copied().collect();
    let slip = |typed: &str, known: &[&str]| {
        known
            .iter()
            .find(|name| strsim::osa_distance(typed, name) == 1)
            .map(|name| (*name).to_owned())
    };
    let overlays = project.join(OVERLAYS);
    for folder in names_in(&overlays) {
        if OF_BOOT.contains(&&*folder) || !overlays.join(&folder).is_dir() {
            continue;
        }
        let near = slip(&folder, &used);
        if let Some(near) = near.filter(|_| !used.contains(&&*folder)) {
            return Err(Error::input(format!("no role uses the folder {OVERLAYS}/{folder}"))
                .hint(format!("did you mean `{near}`?")));
        }
        for top in names_in(&overlays.join(&folder)) {
            let is_there = AT_ROOT.contains(&&*top) || LINKS.contains(&&*top);
            let near = slip(&top, &AT_ROOT).filter(|_| !is_there);
            if let Some(near) = near {
                let at = format!("{OVERLAYS}/{folder}/{top}");
                return Err(Error::input(format!(
                    "{at} would be /{top}, which is no place in Debian"
                ))
                .hint(format!("did you mean `{near}`?")));
            }
        }
    }
    Ok(())
}

/// What is in a folder, sorted; nothing, if it cannot be listed: that is told where it is read.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

impl Tree {
    /// The copy inside the binary.
    pub fn embedded() -> Tree {
        let mut tree = Tree::default();
        for (path, content) in embedded::FILES {
            tree.insert(*path, *content);
        }
        tree
    }

    /// The files below `project`. A checkout that has the base role stands for
    /// itself; a project of only a `site.toml`, or of a role more, is laid over the
    /// copy inside the binary, file by file.
    ///
    /// # Errors
    /// When a file cannot be read, or is neither a file nor a folder.
    pub fn read(project: &Path) -> Result<Tree> {
        refuse_other_spelling(project)?;
        let whole = project.join(WHOLE).is_file();
        let mut tree = if whole { Tree::default() } else { Tree::embedded() };
        for folder in FOLDERS.iter().filter(|folder| project.join(folder).is_dir()) {
            tree.read_folder(project, folder)?;
        }
        if project.join(SITE).is_file() {
            tree.insert(SITE, fs::read(&project.join(SITE))?);
        }
        for name in FOLDERS.iter().chain([&SITE]) {
            // Silence would mean another image than its owner thinks.
            let path = project.join(name);
            if path.is_symlink() && !path.exists() {
                return Err(Error::input(format!(
                    "{} is a link to what is not there",
                    path.display()
                ))
                .hint("correct the link, or remove it if the built-in project is meant"));
            }
        }
        Ok(tree)
    }

    fn read_folder(&mut self, project: &Path, folder: &str) -> Result<()> {
        for entry in walkdir::WalkDir::new(project.join(folder)).sort_by_file_name() {
            let entry = entry.map_err(|cause| {
                Error::input(format!("cannot read the project's {folder}/: {cause}"))
            })?;
            if entry.file_type().is_dir() {
                continue;
            }
            // A folder of this name may be something else altogether: pictures, say.
            let spec = entry.path().extension().is_some_and(|suffix| suffix == "toml");
            if folder != OVERLAYS && !spec {
                continue;
            }
            let path = relative(project, entry.path())?;
            if !entry.file_type().is_file() {
                return Err(Error::input(format!("{path} is not a plain file"))
                    .hint("symbolic links of an image are written in its role, under `[links]`"));
            }
            self.insert(&path, fs::read(entry.path())?);
            let mode = entry.metadata().map(|data| data.permissions().mode()).unwrap_or_default();
            if let Some(file) = self.0.get_mut(&path) {
                file.executable |= mode & 0o100 != 0;
            }
        }
        Ok(())
    }

    /// Adds or replaces a file; a script (`#!`) is executable.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let content = content.into();
        let executable = content.starts_with(b"#!");
        self.0.insert(path.into(), TreeFile { content, executable, literal: false });
    }

    /// Puts the files of `new` in the place of all that is below `folder`.
    pub(super) fn replace_folder(&mut self, folder: &str, new: Vec<(String, TreeFile)>) {
        let below = |path: &String| path.strip_prefix(folder).is_some_and(|p| p.starts_with('/'));
        self.0.retain(|path, _| !below(path));
        let placed = new.into_iter().map(|(path, file)| (format!("{folder}/{path}"), file));
        self.0.extend(placed);
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&TreeFile> {
        self.0.get(path)
    }

    /// The file at `path`, with the tree's own copy of the path.
    pub fn entry(&self, path: &str) -> Option<(&str, &TreeFile)> {
        self.0.get_key_value(path).map(|(path, file)| (path.as_str(), file))
    }

    /// All files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &TreeFile)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The files below `folder`, with their paths below it, sorted.
    pub fn below<'a>(
        &'a self,
        folder: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a TreeFile)> + 'a {
        self.0.iter().filter_map(move |(path, file)| {
            Some((path.strip_prefix(folder)?.strip_prefix('/')?, file))
        })
    }
}

fn relative(project: &Path, path: &Path) -> Result<String> {
    let below = path.strip_prefix(project).unwrap_or(path);
    below.to_str().map(str::to_owned).ok_or_else(|| {
        Error::input(format!("{} is not a UTF-8 name", path.display())).hint("rename the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_in_the_binary_is_the_checkout() {
        let disk = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let embedded = Tree::embedded();
        let lines: Vec<String> = (disk.0.keys().filter(|path| *path != SITE))
            .map(|path| format!("    \"{path}\","))
            .collect();
        let same = disk.0.iter().filter(|(path, _)| *path != SITE).eq(embedded.0.iter());
        assert!(same, "src/spec/embedded.rs must list:\n{}", lines.join("\n"));
    }

    #[test]
    fn a_link_to_nothing_is_not_the_built_in_project() {
        let project = tempfile::tempdir().unwrap();
        let site = project.path().join("site.toml");
        std::os::unix::fs::symlink("../shared.toml", &site).unwrap();
        let error = Tree::read(project.path()).unwrap_err();
        let said = format!("{} is a link to what is not there", site.display());
        assert_eq!(error.message(), said);
    }

    #[test]
    fn a_project_may_only_add_a_role() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("roles")).unwrap();
        std::fs::write(project.path().join("roles/mail.toml"), "description = \"mail\"\n").unwrap();
        let tree = Tree::read(project.path()).unwrap();
        assert!(tree.get("roles/mail.toml").is_some() && tree.get("roles/base.toml").is_some());
    }

    #[test]
    fn pictures_in_images_are_nobodys_business() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("images")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", project.path().join("images/cat.jpg")).unwrap();
        assert_eq!(Tree::read(project.path()).unwrap(), Tree::embedded());
    }

    #[test]
    fn below_is_a_folder_not_a_prefix() {
        let mut tree = Tree::default();
        tree.insert("overlays/web/a", "");
        tree.insert("overlays/website/b", "#!/bin/sh\n");
        let below: Vec<&str> = tree.below("overlays/web").map(|(path, _)| path).collect();
        assert_eq!(below, ["a"]);
        assert!(tree.get("overlays/website/b").unwrap().executable);
    }
}
