//! A build in a chroot, as in those of Debian's build daemons: the kernel makes no user
//! namespace there, and what was found by a path from outside is not there.

use crate::world::World;

pub(crate) fn a_build_ends_well() {
    let world = World::locked();
    let (root, project) = (world.path("other-root"), world.path("project"));
    std::fs::create_dir(&root).unwrap();
    let (root, project) = (root.display(), project.display());
    let enter = format!(
        "mount --rbind / {root}
exec chroot {root} /bin/sh -e -c 'cd {project}; exec \"$0\" \"$@\"' \"$0\" \"$@\""
    );
    let said = world.cli("arch1 --quiet").mounts(&enter).run();
    assert_eq!(said.code, 0, "{}", said.text());
    assert!(
        said.stderr.starts_with("warning: root gets no user namespace here"),
        "{}",
        said.stderr
    );
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    assert_eq!(said.stdout, "out/arch1-web1.qcow2\n");
}
