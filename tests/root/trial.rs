//! Machines on which no sandbox can be made say so before anything is fetched.

use crate::user::{User, host};
use crate::world::World;

/// What a user is told who builds after this script; nothing has been fetched for him.
fn said(script: &str) -> String {
    let user = User::new("trial", true);
    let world = World::locked();
    world.server.requests();
    let folder = world.path("");
    host("chown")
        .args(["-R", &format!("{0}:{0}", user.name), folder.to_str().unwrap()])
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    let program = user.program();
    let store = world.path("store");
    let script = script.replace("STORE", store.to_str().unwrap());
    let enter = format!(
        "{script}\nexec setpriv --reuid {0} --regid {0} --init-groups {1} \"$@\"",
        user.name,
        program.display()
    );
    let said =
        world.cli("arch1 --quiet").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").mounts(&enter);
    let said = said.run();
    assert!(said.code == 1 || said.code == 2, "{}", said.text());
    let fetched = world.server.requests();
    assert!(fetched.iter().all(|path| !path.contains("/pool/")), "{fetched:?}");
    said.stderr
}

pub(crate) fn a_covered_proc() {
    assert_eq!(
        said("mount --bind /dev/null /proc/version"),
        "error: cannot mount /proc for the sandbox: EPERM: Operation not permitted\nhint: something covers a part of /proc here, as containers do: Docker and Podman leave it open with `--security-opt systempaths=unconfined`; or build in a virtual machine\n"
    );
}

pub(crate) fn a_store_on_noexec() {
    assert_eq!(
        said("mount --bind STORE STORE; mount -o remount,bind,noexec STORE"),
        "error: no program may run from TMP/store: it is mounted noexec\nhint: builds run Debian's programs from there: name another place with `--store DIR`\n"
    );
}
