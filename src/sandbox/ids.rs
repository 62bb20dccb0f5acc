//! User and group ids of a sandbox.
//!
//! Those of root's sandboxes are the machine's own: the owners of files are the same inside
//! and outside. Of an ordinary user's, id 0 inside is the user himself; 1 to 65535 are his subordinate ids (subuid(5)), mapped by
//! newuidmap(1) and newgidmap(1): the one thing that is taken from the host's programs, as
//! only a setuid program can do it.

use crate::error::{Error, Result};
use crate::exec::Program;
use std::path::{Path, PathBuf};

/// How many ids the images need: Debian's ids end at `nogroup`, 65534.
const WANTED: u32 = 65_535;

/// The ways out for a user without subordinate ids.
pub(super) const WAYS_OUT: &str = "either run as root, or install the package `uidmap` and give your user a range: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`";

/// Maps the ids of the process `pid`, which has just made its user namespace.
///
/// # Errors
/// When there is no range or no newuidmap: with the ways out.
pub(super) fn map(pid: u32) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return ["uid_map", "gid_map"].iter().try_for_each(|file| map_same(pid, file));
    }
    for Range { tool, own, start } in ranges()? {
        Program::new(tool)
            .arg(pid.to_string())
            .args(["0", &own.to_string(), "1", "1", &start.to_string(), &WANTED.to_string()])
            .run()
            .map_err(|e| e.hint(WAYS_OUT))?;
    }
    Ok(())
}

/// Maps every id that this process's own user namespace has to itself.
fn map_same(pid: u32, file: &str) -> Result<()> {
    let own = Path::new("/proc/self").join(file);
    let text = crate::fs::read_to_string(&own)?;
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::write(&path, same(&text)).map_err(|e| Error::io("write", &path, &e))
}

/// The map that leads from each id to itself, for the ids of another map
/// (user_namespaces(7): first inside, first outside, how many).
fn same(map: &str) -> String {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(format!("{first} {first} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

/// Checks that the ids of a sandbox can be mapped: at once, not after minutes of work.
/// Root needs nothing.
///
/// # Errors
/// As [`map`].
pub fn check_ids() -> Result<()> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { ranges().map(drop) }
}

/// A range of subordinate ids, and the program that maps it.
struct Range {
    tool: PathBuf,
    own: u32,
    start: u32,
}

/// The user's range of user ids, and that of group ids.
fn ranges() -> Result<[Range; 2]> {
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let number = user.to_string();
    let name = nix::unistd::User::from_uid(user).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| number.clone());
    let range = |tool: &str, file: &str, own: u32| -> Result<Range> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let start = range_start(&text, &name, &number).ok_or_else(|| no_range(file))?;
        let tool = find(tool).ok_or_else(|| no_tool(tool))?;
        Ok(Range { tool, own, start })
    };
    Ok([
        range("newuidmap", "/etc/subuid", user.as_raw())?,
        range("newgidmap", "/etc/subgid", group.as_raw())?,
    ])
}

/// The first range of at least [`WANTED`] ids for this user in subuid(5) text.
fn range_start(text: &str, name: &str, number: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let start: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        ((owner == name || owner == number) && count >= WANTED).then_some(start)
    })
}

fn find(tool: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(tool))
        .find(|path| path.exists())
}

fn no_range(file: &str) -> Error {
    Error::input(format!("{file} gives you no range of {WANTED} subordinate ids")).hint(WAYS_OUT)
}

fn no_tool(tool: &str) -> Error {
    Error::input(format!("{tool} is not installed; building as an ordinary user needs it"))
        .hint(WAYS_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_the_ids_that_he_has_outside() {
        assert_eq!(same("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(same("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }

    #[test]
    fn finds_a_range_by_name_or_number_that_is_large_enough() {
        let text = "ann:100000:1000\nbob:200000:65536\n1003:300000:65535\nann:400000:65536\nbad\n";
        assert_eq!(range_start(text, "ann", "1001"), Some(400_000));
        assert_eq!(range_start(text, "bob", "1002"), Some(200_000));
        assert_eq!(range_start(text, "eve", "1003"), Some(300_000));
        assert_eq!(range_start(text, "zoe", "1004"), None);
    }
}
