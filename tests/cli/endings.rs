//! A build that ends anywhere, by kill -9 or because the disk is full, at every step of
//! the plan; several at once on one store: the next one succeeds, and gives the same bytes.

use crate::disk::{DISK_FULL, twice};
use crate::world::World;
use std::collections::BTreeSet;

const IMAGE: &str = "out/arch1-web1.qcow2\n";

/// The image of an undisturbed build.
pub(crate) fn whole(world: &World) -> Vec<u8> {
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    image(world)
}

pub(crate) fn image(world: &World) -> Vec<u8> {
    std::fs::read(world.path("project/out/arch1-web1.qcow2")).unwrap()
}

/// The plan's steps, in its order, by the start of the key and by name: every kind that
/// there is.
fn steps(world: &World) -> Vec<(String, String)> {
    let plan = world.bare("plan arch1 --locked").run().stdout;
    let lines = plan.lines().skip(1).take_while(|line| !line.is_empty());
    let steps: Vec<(String, String)> = lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    let planned: BTreeSet<&str> = steps.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(planned, all_steps(), "every kind of step belongs into this world");
    steps
}

/// Every name that a step can have, from the match that gives them; but for the one that wants
/// a pair of databases and a compiler, which this world of small scripts has not.
fn all_steps() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/plan/step.rs");
    let start = source.find("pub fn name(&self)").unwrap();
    let names = &source[start..start + source[start..].find("\n    }\n").unwrap()];
    let names = names.lines().filter_map(|line| line.split('"').nth(1));
    names.filter(|name| *name != "agent").collect()
}

fn remove(world: &World, folders: &[&str]) {
    for folder in folders {
        let removed = std::fs::remove_dir_all(world.path(folder));
        let is_gone = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        assert!(removed.as_ref().err().is_none_or(is_gone), "{folder}: {removed:?}");
    }
}

#[test]
fn killed_at_every_step() {
    let world = World::with_every_step();
    let whole = whole(&world);
    let steps = steps(&world);
    for ((_, step), delay) in steps.iter().flat_map(|step| [(step, "0"), (step, "0.02")]) {
        remove(&world, &["store/objects", "project/out"]);
        let script = format!(
            r#"export PATH=/usr/sbin:/usr/bin:/sbin:/bin
            sh -c 'echo $$ >../pid; exec "$0" "$@"' "$0" "$@" 2>&1 | while read -r line; do
                case $line in *"Making {step}:"*) sleep {delay}; kill -9 $(cat ../pid) && echo killed ;; esac
            done
            exit 0"#
        );
        let said = world.cli("arch1 --jobs 1").shell(&script).run();
        // A step may be over 20 ms after it began, and the last one sooner.
        let must_die = delay == "0" && step != "image";
        assert!(!must_die || said.stdout == "killed\n", "{step}: {}", said.text());
        world.cli("arch1 --quiet").stdout(IMAGE).code(0);
        assert!(image(&world) == whole, "other bytes after {step}");
        assert_eq!(world.list("store/tmp"), [""; 0], "left by {step}");
    }
}

/// What a run says on a disk for the store that has no room for the results of `missing`,
/// which are taken away first; and then, when the disk has grown, the same run once more. The
/// results are made on that disk: those of a copied store would be made again.
fn without_room_for(world: &World, missing: &[(String, String)]) -> String {
    let store = world.path("store").display().to_string();
    let gone: String = missing.iter().map(|(key, _)| format!(" {store}/objects/{key}*")).collect();
    let script = format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin
        mkdir -p ../real
        mount --bind {store} ../real
        mount -t tmpfs -o size=64m none {store}
        cp -a ../real/. {store}
        rm -r {store}/objects/*
        \"$0\" \"$@\" >made-here 2>&1
        rm -r made-here out {gone}
        mount -o remount,size=$(($(df -k --output=used {store} | tail -n 1)))k none {store}
        \"$0\" \"$@\" 2>&1 || echo \"exit code $?\"
        mount -o remount,size=64m none {store}
        echo again"
    );
    world.cli("arch1 --quiet --jobs 1").mounts(&script).run().text()
}

#[test]
fn the_stores_disk_is_full_at_every_step() {
    let world = World::with_every_step();
    world.cli("arch1 --quiet").mounts(":").stdout(IMAGE).code(0);
    let whole = image(&world);
    let steps = steps(&world);
    for (number, (_, step)) in steps.iter().enumerate() {
        remove(&world, &["project/out"]);
        let said = without_room_for(&world, &steps[number..]);
        let (first, again) = said.split_once("again\n").unwrap();
        assert!(first.starts_with(&format!("stdout:\nerror: {step}: ")), "{step}: {said}");
        // The shell that stands for programs of the closure says it in words of its own.
        let told = first.contains(DISK_FULL) || first.contains("printf: I/O error");
        assert!(told && first.ends_with("exit code 1\n"), "{step}: {said}");
        assert_eq!(again, format!("{IMAGE}stderr:\nexit code 0\n"), "{step}");
        assert!(image(&world) == whole, "other bytes after {step}");
    }
}

#[test]
fn the_stores_disk_is_full_wherever_it_ends() {
    let world = World::locked();
    let whole = whole(&world);
    let store = world.path("store").display().to_string();
    let mut places = Vec::new();
    for size in (1..200).map(|number| format!("{}k", 512 * number)) {
        remove(&world, &["store", "project/out"]);
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

#[test]
fn two_and_four_builds_at_once_share_the_work() {
    let world = World::with_every_step();
    let (whole, steps) = (whole(&world), steps(&world));
    for count in [2, 4] {
        // Nothing is there: neither results nor packages.
        remove(&world, &["store"]);
        let run = |number: usize| world.cli(&format!("arch1 --out out{number}")).run();
        let said: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for (number, one) in said.iter().enumerate() {
            let file = format!("out{number}/arch1-web1.qcow2");
            assert_eq!((one.stdout.trim_end(), one.code), (&*file, 0), "{}", one.text());
            let image = std::fs::read(world.path("project").join(&file)).unwrap();
            assert!(image == whole, "other bytes in {file} of {count}");
        }
        let all: String = said.iter().map(|one| one.stderr.as_str()).collect();
        for (_, step) in &steps {
            let made = all.matches(&format!("      Making {step}: ")).count();
            assert_eq!(made, 1, "{step} of {count} builds:\n{all}");
        }
        assert!(all.contains("     Waiting for another build that makes the same step\n"), "{all}");
        assert_eq!(world.list("store/tmp"), [""; 0]);
    }
}
