//! A build that ends anywhere, by kill -9 at any step of the plan or because the disk is
//! full at any half megabyte of the store: the next one succeeds, and gives the same bytes.

use crate::disk::{DISK_FULL, can_mount, twice};
use crate::world::World;

const IMAGE: &str = "out/arch1-web1.qcow2\n";

/// The image of an undisturbed build.
fn whole(world: &World) -> Vec<u8> {
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    image(world)
}

fn image(world: &World) -> Vec<u8> {
    std::fs::read(world.path("project/out/arch1-web1.qcow2")).unwrap()
}

/// The names of the plan's steps, in its order.
fn steps(world: &World) -> Vec<String> {
    let plan = world.bare("plan arch1 --locked").run().stdout;
    let lines = plan.lines().skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn killed_at_every_step() {
    if !can_mount() {
        return;
    }
    let world = World::locked();
    let whole = whole(&world);
    let steps = steps(&world);
    assert_eq!((steps.len(), steps.last().unwrap().as_str()), (11, "image"));
    for (step, delay) in steps.iter().flat_map(|step| [(step, "0"), (step, "0.02")]) {
        std::fs::remove_dir_all(world.path("store/objects")).unwrap();
        std::fs::remove_dir_all(world.path("project/out")).unwrap();
        let script = format!(
            r#"export PATH=/usr/sbin:/usr/bin:/sbin:/bin
            sh -c 'echo $$ >../pid; exec "$0" "$@"' "$0" "$@" 2>&1 | while read -r line; do
                case $line in *"Making {step}:"*) sleep {delay}; kill -9 $(cat ../pid) && echo killed ;; esac
            done
            exit 0"#
        );
        let said = world.cli("arch1 --jobs 1").mounts(&script).run();
        // The last steps may be over so soon after they began.
        assert!(delay != "0" || said.stdout == "killed\n", "{step}: {}", said.text());
        world.cli("arch1 --quiet").stdout(IMAGE).code(0);
        assert!(image(&world) == whole, "other bytes after {step}");
        assert_eq!(world.list("store/tmp"), [""; 0], "left by {step}");
    }
}

#[test]
fn the_stores_disk_is_full_wherever_it_ends() {
    if !can_mount() {
        return;
    }
    let world = World::locked();
    let whole = whole(&world);
    let store = world.path("store").display().to_string();
    let mut places = Vec::new();
    for size in (1..200).map(|number| format!("{}k", 512 * number)) {
        std::fs::remove_dir_all(world.path("store")).unwrap();
        std::fs::remove_dir_all(world.path("project/out")).unwrap();
        let said = twice(world.cli("arch1 --quiet"), &store, &size, "tmp objects");
        assert!(image(&world) == whole, "other bytes after {size}");
        if said.stdout.starts_with(IMAGE) {
            break;
        }
        assert!(said.stdout.starts_with("exit code 1\n"), "{size}: {}", said.text());
        assert!(said.stdout.ends_with(&format!("again\n{IMAGE}")), "{size}: {}", said.text());
        assert!(said.stderr.ends_with(DISK_FULL), "{size}: {}", said.text());
        places.push(said.stderr.split(": ").nth(1).unwrap_or_default().to_owned());
    }
    places.dedup();
    assert!(places.len() > 3, "{places:?}");
}
