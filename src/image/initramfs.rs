//! The initramfs: busybox, dmsetup and blkid of the tools closure, the locked
//! kernel's modules, and `overlays/initramfs/init`. One per kernel, the same for
//! every server.

use super::cpio::Archive;
use super::modules::{INITRAMFS, Modules};
use super::tools::{Tools, shared_objects};
use crate::error::{Error, Result};
use crate::fs;
use crate::sandbox::{Root, Sandbox};
use std::path::Path;

/// Programs of the closure besides busybox.
const PROGRAMS: [&str; 2] = ["/usr/sbin/dmsetup", "/usr/sbin/blkid"];

/// zstd level: 4.2 MB in half a second; level 19 saves 0.8 MB and takes five seconds.
const COMPRESSION: i32 = 12;

/// Makes `initrd` and `vmlinuz` in `out`.
///
/// `kernel` is the kernel package's unpacked tree: modules in usr/lib/modules,
/// vmlinuz in boot; depmod writes its tables there.
///
/// # Errors
/// When a module, a program or the kernel is missing.
pub fn make(tools: Tools<'_>, kernel: &Path, release: &str, init: &str, out: &Path) -> Result<()> {
    Sandbox::new(Root::ReadOnly(tools.tree.to_owned()), tools.epoch)
        .bind_writable(kernel, "/kernel")
        .run(["depmod", "-b", "/kernel/usr", release])
        .execute()?;
    let mut archive = Archive::new(0);
    for folder in ["dev", "proc", "sys", "run", "layers", "sysroot", "bin", "tmp"] {
        archive.directory(folder, 0o755)?;
    }
    archive.char_device("dev/console", 0o600, 5, 1)?;
    archive.file("init", 0o755, init.as_bytes().to_vec())?;
    add_modules(&mut archive, kernel, release)?;
    add_programs(&mut archive, tools)?;
    let initrd = out.join("initrd");
    std::fs::write(&initrd, archive.to_zstd(COMPRESSION)?)
        .map_err(|e| Error::io("write", &initrd, &e))?;
    let vmlinuz = fs::in_tree(kernel, &format!("boot/vmlinuz-{release}"))?;
    std::fs::copy(&vmlinuz, out.join("vmlinuz")).map_err(|e| Error::io("copy", &vmlinuz, &e))?;
    Ok(())
}

fn add_modules(archive: &mut Archive, kernel: &Path, release: &str) -> Result<()> {
    let folder = format!("lib/modules/{release}");
    let selection = Modules::read(&kernel.join("usr").join(&folder))?.select(INITRAMFS)?;
    for module in selection.load_order {
        archive.file(&format!("{folder}/{}", module.path), 0o644, module.bytes)?;
    }
    archive.file(&format!("{folder}/modules.dep"), 0o644, selection.modules_dep.into_bytes())?;
    archive.file(&format!("{folder}/modules.alias"), 0o644, selection.modules_alias.into_bytes())
}

fn add_programs(archive: &mut Archive, tools: Tools<'_>) -> Result<()> {
    let read = |path: &str| fs::read(&fs::in_tree(tools.tree, path)?);
    archive.file("bin/busybox", 0o755, read("/usr/bin/busybox")?)?;
    let listed = Sandbox::new(Root::ReadOnly(tools.tree.to_owned()), tools.epoch)
        .run(["busybox", "--list"])
        .execute()?;
    let own = |applet: &str| PROGRAMS.iter().any(|p| p.ends_with(&format!("/{applet}")));
    for applet in listed.iter().flat_map(|outcome| outcome.output.lines()) {
        if applet != "busybox" && !own(applet) {
            archive.symlink(&format!("bin/{applet}"), "busybox")?;
        }
    }
    for program in PROGRAMS {
        let name = program.rsplit('/').next().unwrap_or(program);
        archive.file(&format!("bin/{name}"), 0o755, read(program)?)?;
    }
    for object in shared_objects(tools, &PROGRAMS)? {
        let path = object.trim_start_matches('/');
        archive.file(path, 0o755, read(path)?)?;
    }
    Ok(())
}
