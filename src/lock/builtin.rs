//! The packages that imagebuild itself provides.
//!
//! The kernel's package depends on a tool that makes an initramfs. The image's
//! initramfs is made by imagebuild, so a package without files of use stands in
//! for that tool. Debian's rustc depends on a C compiler, of which it needs only the linker,
//! and Debian's libraries for it on the tools that build packages: another one stands in for
//! these, 49 of 170 MB to fetch. They are made in memory, the same bytes on every machine.

use super::ar;
use super::mirror::BUILT_IN;
use super::packages::Index;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use std::path::PathBuf;

/// A package without files of use.
struct StandIn {
    name: &'static str,
    /// Its path, as if in an archive.
    path: &'static str,
    control: &'static str,
    copyright: &'static str,
}

/// What stands in for a tool that makes an initramfs.
pub const INITRAMFS: &str = "imagebuild-initramfs";
/// What stands in for a C compiler.
pub const COMPILER: &str = "imagebuild-compiler";

const ALL: [StandIn; 2] = [
    StandIn {
        name: INITRAMFS,
        path: "pool/imagebuild-initramfs_1_all.deb",
        control: "Package: imagebuild-initramfs
Version: 1
Architecture: all
Maintainer: imagebuild
Installed-Size: 1
Provides: linux-initramfs-tool
Section: kernel
Priority: optional
Multi-Arch: foreign
Description: initramfs made by imagebuild
 The initramfs of this system is part of its image and made by imagebuild,
 so no tool that makes one is installed.
",
        copyright: "imagebuild-initramfs holds no work of its own.
License: MIT or Apache-2.0, as imagebuild.
",
    },
    StandIn {
        name: COMPILER,
        path: "pool/imagebuild-compiler_1_all.deb",
        control: "Package: imagebuild-compiler
Version: 1
Architecture: all
Maintainer: imagebuild
Installed-Size: 1
Provides: gcc, dpkg-dev (= 1.22.22)
Section: devel
Priority: optional
Multi-Arch: foreign
Description: stands in for gcc and dpkg-dev, for rustc
 rustc is told to run the linker itself, so no C compiler is unpacked; nor are
 the tools that build packages, which its libraries depend on.
",
        copyright: "imagebuild-compiler holds no work of its own.
License: MIT or Apache-2.0, as imagebuild.
",
    },
];

/// Whether a package is one of them.
pub fn has(name: &str) -> bool {
    ALL.iter().any(|one| one.name == name)
}

/// The bytes of the `.deb` of that name.
///
/// # Errors
/// When there is none of that name: the lock is of another version.
pub fn deb(name: &str) -> Result<Vec<u8>> {
    let one = ALL.iter().find(|one| one.name == name);
    one.ok_or_else(|| Error::input(format!("no package {name} is built in")))?.deb()
}

impl StandIn {
    fn deb(&self) -> Result<Vec<u8>> {
        let folders = ["./", "./usr/", "./usr/share/", "./usr/share/doc/"];
        let folder = format!("./usr/share/doc/{}/", self.name);
        let file = format!("{folder}copyright");
        let mut data: Vec<(&str, Option<&str>)> =
            folders.iter().map(|path| (*path, None)).collect();
        data.push((&folder, None));
        data.push((&file, Some(self.copyright)));
        let control = tarball(&[("./", None), ("./control", Some(self.control))])?;
        let data = tarball(&data)?;
        // Not compressed: dpkg reads that too, and no version of a compressor matters.
        let members =
            [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &data)];
        Ok(ar::write(&members))
    }
}

fn tarball(entries: &[(&str, Option<&str>)]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::build(format!("cannot make a built-in package: {e}"));
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let content = content.map(str::as_bytes);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(match content {
            Some(_) => tar::EntryType::Regular,
            None => tar::EntryType::Directory,
        });
        header.set_mode(if content.is_some() { 0o644 } else { 0o755 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").and_then(|()| header.set_groupname("root")).map_err(failed)?;
        let content = content.unwrap_or_default();
        header.set_size(content.len() as u64);
        // Set as bytes, because the tar crate drops the "./" that dpkg expects.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content).map_err(failed)?;
    }
    builder.into_inner().map_err(failed)
}

/// The index of the archive "built-in".
///
/// # Errors
/// Never in practice, as [`deb`].
pub fn index() -> Result<Index> {
    let mut text = String::new();
    for one in &ALL {
        let deb = one.deb()?;
        let (path, size, digest) = (one.path, deb.len(), Sha256Digest::of(&deb));
        text += &format!("{}Filename: {path}\nSize: {size}\nSHA256: {digest}\n\n", one.control);
    }
    Index::parse(PathBuf::from("built-in packages"), BUILT_IN, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_never_change() {
        // A lock names this digest: a change of it makes every lock stale.
        let digest = "690304d08ce8bab7e5afbf741d174d33a644b047f9b0c5bc2b89af8fafee7b39";
        assert_eq!(Sha256Digest::of(deb(INITRAMFS).unwrap()).to_string(), digest);
        let package = index().unwrap().package(0).unwrap();
        assert_eq!(package.provides[0].0, "linux-initramfs-tool");
    }
}
