//! Builds: what they say, what they leave, and what a second one does.

use crate::world::World;

#[test]
fn a_first_build() {
    let world = World::new();
    println!("{}", world.cli("arch1").run().text());
    println!("{}", world.cli("arch1").run().text());
}
