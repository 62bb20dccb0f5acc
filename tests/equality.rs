//! The packages tree is what the real apt and dpkg make of the same `.deb`s, file by
//! file, but for the exceptions of src/rootfs/exceptions.rs.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;
mod reference;

use imagebuild::sandbox::listing_from_json;
use project::Project;
use reference::Reference;
use reference::compare::{differences, report};

fn equals_apts_tree(server: &str) {
    let project = Project::open();
    let set = format!("arch4/{server}");
    project.fetch(&[&set, "tools/build"]);
    let object = project.provide(&project.plan(server), "packages");
    let ours = listing_from_json(&object.path("listing.json")).unwrap();
    let reference = Reference::make(&project, server);
    let found = differences(&ours, &reference.listing());
    if !found.is_empty() {
        let tools = project.reference_tools();
        panic!("{}", report(&found, &tools, &object.path("tree"), &reference.tree()));
    }
}

#[test]
fn web1_equals_apts_tree() {
    equals_apts_tree("web1");
}

#[test]
fn database1_equals_apts_tree() {
    equals_apts_tree("database1");
}
