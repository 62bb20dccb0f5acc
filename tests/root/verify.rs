//! `verify --user`: a third build, by a user who has no other rights.

use crate::user::User;
use crate::world::World;

pub(crate) fn an_ordinary_user_builds_too() {
    let user = User::new("verify", true);
    let world = World::locked();
    let said = world.cli(&format!("verify arch1 --user {}", user.name)).run();
    assert_eq!(said.code, 0, "{}", said.text());
    assert!(
        said.stderr.ends_with("   Verifying arch1-web1 in 3 environments\n"),
        "{}",
        said.stderr
    );
    // The store's own files still belong to who made them.
    let deb = world.path("store/pool").join(&world.list("store/pool")[0]);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&deb.metadata().unwrap()), 0);
}

pub(crate) fn a_user_who_is_not_there_is_named() {
    let world = World::locked();
    world
        .cli("verify arch1 --quiet --user nobody-at-all")
        .stderr("error: there is no user nobody-at-all on this machine\nhint: `--user` names one who has ranges in /etc/subuid and /etc/subgid\n")
        .code(2);
}
