//! What `site.toml` refers to: the folder with the website, keys of archives,
//! packages of the user's own. With `tree.rs`, the only part of the spec that reads the
//! disk.

use crate::error::{Error, Result};
use crate::fs;
use crate::spec::SITE_FOLDER;
use crate::spec::parse::site::RawSite;
use crate::spec::source::Sources;
use crate::spec::tree::{Tree, TreeFile};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What version control keeps next to a website is no part of it.
const NOT_CONTENT: [&str; 4] = [".git", ".hg", ".svn", ".bzr"];
/// Where many frameworks have their passwords: with an ending also, but for these.
const SETTINGS: &str = ".env";
const HARMLESS: [&str; 4] = [".example", ".dist", ".sample", ".test"];
/// More than a website in an image has; links may multiply folders.
const MOST_FILES: usize = 100_000;
const MOST_BYTES: usize = 2 << 30;
/// How many refused files are named.
const MOST_REFUSED: usize = 20;
/// What nginx looks for in a folder.
const INDEXES: [&str; 2] = ["index.php", "index.html"];

/// Lays what `site.toml` names over the tree, and lists the user's packages: paths
/// below `project`, sorted.
pub(crate) fn lay_over(project: &Path, tree: &mut Tree) -> Result<Vec<String>> {
    let mut sources = Sources::default();
    let Some(file) = tree.get("site.toml").map(|file| file.content.clone()) else {
        return Ok(Vec::new());
    };
    let site: RawSite = sources.parse("site.toml", &file)?;
    if let Some(folder) = &site.content {
        let content = website(project, folder, &site, &sources)?;
        tree.replace_folder(SITE_FOLDER, content);
    }
    for source in site.sources.values() {
        let path = project.join(source.key.get_ref());
        if path.is_file() {
            check_inside(project, &path, &source.key, &sources)?;
            tree.insert(source.key.get_ref().clone(), fs::read(&path)?);
        }
    }
    let mut debs = Vec::new();
    for written in &site.debs {
        debs.extend(packages(project, written, &sources)?);
    }
    debs.sort();
    debs.dedup();
    Ok(debs)
}

/// The files of the website, by path below its folder.
fn website(
    project: &Path,
    written: &Spanned<String>,
    site: &RawSite,
    sources: &Sources,
) -> Result<Vec<(String, TreeFile)>> {
    let folder = project.join(written.get_ref());
    if !folder.is_dir() {
        let message = format!("there is no folder {}", written.get_ref());
        return Err(sources
            .error(written.span(), message)
            .hint("`content` is the folder with your website, as seen from site.toml's"));
    }
    check_own(project, &folder, written, sources)?;
    check_inside(project, &folder, written, sources)?;
    let (files, refused) = files_of(&folder)?;
    if !refused.is_empty() {
        return Err(cannot_be_in_an_image(&refused));
    }
    let root = site.web_root.as_ref().map_or(String::new(), |root| format!("{}/", root.get_ref()));
    if INDEXES.iter().any(|name| files.iter().any(|(path, _)| *path == format!("{root}{name}"))) {
        return Ok(files);
    }
    let span = site.web_root.as_ref().map_or(written.span(), Spanned::span);
    let message = format!("{}/{root} holds neither index.php nor index.html", written.get_ref());
    Err(sources.error(span, message).hint(
        "where the application lies next to the files that visitors see, `web-root` names their folder: `web-root = \"public\"`",
    ))
}

/// That a path leads to what lies in the project: who builds somebody's project must not put
/// files of his own machine into an image.
fn check_inside(
    project: &Path,
    path: &Path,
    written: &Spanned<String>,
    sources: &Sources,
) -> Result<()> {
    if real(path)?.starts_with(real(&project.join("."))?) {
        return Ok(());
    }
    let message = format!("`{}` is outside of site.toml's folder", written.get_ref());
    Err(sources
        .error(written.span(), message)
        .hint("what an image is made of lies in the project: put it, or a copy, next to site.toml"))
}

fn real(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|cause| Error::io("look at", path, &cause))
}

/// That the website is not the project, with `site.toml` and the secrets in it.
fn check_own(
    project: &Path,
    folder: &Path,
    written: &Spanned<String>,
    sources: &Sources,
) -> Result<()> {
    if !real(&project.join("."))?.starts_with(real(folder)?) {
        return Ok(());
    }
    let message = format!("the folder `{}` holds site.toml, and more", written.get_ref());
    Err(sources.error(written.span(), message).hint(
        "all of it would be in the images, secrets too: give the website a folder of its own, `content = \"website\"`",
    ))
}

/// A file of the website, by its path from there.
type SiteFile = (String, TreeFile);

/// The files below the website's folder, and what cannot be taken:
/// a line each. Links are followed to what is in the folder, too.
fn files_of(folder: &Path) -> Result<(Vec<SiteFile>, Vec<String>)> {
    let inside = real(folder)?;
    // As its user would type it: not ./website.
    let shown = |path: &Path| path.strip_prefix(".").unwrap_or(path).display().to_string();
    let owner = std::fs::metadata(folder).map_err(|cause| Error::io("look at", folder, &cause))?;
    let (mut files, mut refused, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut walk = walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(cause) => {
                let path = shown(cause.path().unwrap_or(folder));
                let why = match cause.loop_ancestor() {
                    Some(_) => "a link to a folder that it is in".to_owned(),
                    None => cause.io_error().map_or(String::new(), ToString::to_string),
                };
                refused.push(format!("{path}: {why}"));
                continue;
            }
        };
        let is_other = NOT_CONTENT.iter().any(|name| entry.file_name() == *name);
        // Neither out of the website nor into the folders that are left out.
        let is_outside =
            || match real(entry.path()).ok().as_deref().map(|p| p.strip_prefix(&inside)) {
                Some(Ok(below)) => {
                    below.iter().any(|part| NOT_CONTENT.iter().any(|name| part == *name))
                }
                Some(Err(_)) | None => true,
            };
        let outside = entry.path_is_symlink() && is_outside();
        if outside {
            refused.push(format!("{}: a link to what is not in the website", shown(entry.path())));
        }
        if is_other || outside {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
        } else if !entry.file_type().is_dir() {
            match one_file(folder, owner.uid(), &entry) {
                Ok(file) => {
                    bytes += file.1.content.len();
                    files.push(file);
                }
                Err(why) => refused.push(format!("{}: {why}", shown(entry.path()))),
            }
        }
        if files.len() + refused.len() > MOST_FILES || bytes > MOST_BYTES {
            let message = format!("the website in {} is too large", folder.display());
            return Err(Error::input(message).hint(format!(
                "an image holds {MOST_FILES} files of a website and 2 GiB at most, each as often as links lead to it"
            )));
        }
    }
    Ok((files, refused))
}

/// All that is refused, at once.
fn cannot_be_in_an_image(refused: &[String]) -> Error {
    let message = match refused.len() {
        1 => "a file of the website cannot be in an image".to_owned(),
        count => format!("{count} files of the website cannot be in an image"),
    };
    let mut error = Error::input(message);
    for line in refused.iter().take(MOST_REFUSED) {
        error = error.detail(line);
    }
    if let Some(more) = refused.len().checked_sub(MOST_REFUSED).filter(|more| *more > 0) {
        error = error.detail(format!("and {more} more"));
    }
    error.hint("secrets come with the seed (docs/site.md), as images are uploaded to strangers' storage; a copy takes a link's place; what the website does not need can go")
}

/// A file of the website in `folder`, which is `owner`'s; or why it cannot be taken. A hard
/// link to a file of somebody else would bring in what is not the website's.
fn one_file(
    folder: &Path,
    owner: u32,
    entry: &walkdir::DirEntry,
) -> std::result::Result<SiteFile, String> {
    if !entry.file_type().is_file() {
        return Err("neither a file nor a folder".to_owned());
    }
    let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
    let path = below.to_str().ok_or("its name is not UTF-8")?;
    let data = entry.metadata().map_err(|cause| cause.to_string())?;
    if data.nlink() > 1 && data.uid() != owner {
        return Err("a hard link to a file of another user".to_owned());
    }
    let name = entry.file_name().to_string_lossy();
    if let Some(ending) = name.strip_prefix(SETTINGS)
        && (ending.is_empty() || (ending.starts_with('.') && !HARMLESS.contains(&ending)))
    {
        return Err("settings of an application, its passwords among them".to_owned());
    }
    let mode = data.permissions().mode();
    let content = std::fs::read(entry.path()).map_err(|cause| cause.to_string())?;
    if let Some(secret) = crate::sandbox::secret_in(&format!("var/www/site/{path}"), &content) {
        return Err(format!("it holds {secret}"));
    }
    Ok((path.to_owned(), TreeFile { content, executable: mode & 0o100 != 0, literal: true }))
}

/// The `.deb` files that one entry of `debs` means.
fn packages(project: &Path, written: &Spanned<String>, sources: &Sources) -> Result<Vec<String>> {
    let name = written.get_ref().trim_end_matches('/');
    let wrong =
        |message: String, hint: &str| Err(sources.error(written.span(), message).hint(hint));
    let parts = || name.split('/');
    if name.starts_with('/') || parts().any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong(
            format!("`{name}` is not a path below site.toml's folder"),
            "the lock names these files, so they must lie in the project: `debs/shop_1.2_all.deb`",
        );
    }
    let path = project.join(name);
    if path.is_file() && is_deb(name) {
        return Ok(vec![name.to_owned()]);
    }
    if !path.is_dir() {
        return wrong(
            format!("there is no package and no folder {name}"),
            "`debs` lists `.deb` files, or folders with some, as seen from site.toml's",
        );
    }
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(&path).max_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|cause| Error::input(format!("cannot read {name}: {cause}")))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_file() && is_deb(&file) {
            found.push(format!("{name}/{file}"));
        }
    }
    if found.is_empty() {
        return wrong(
            format!("{name} holds no package"),
            "put `.deb` files into it, or take it out of `debs`",
        );
    }
    Ok(found)
}

fn is_deb(name: &str) -> bool {
    name.ends_with(".deb")
}
