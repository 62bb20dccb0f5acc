//! Sequences of faults, each with what must come of it.

use crate::faults::Fault::{self, *};
use crate::maria::Defect;
use crate::random::Random;
use crate::world::{PATIENCE, World};
use imagebuild_pair::{Need, Node};

const P: Node = Node(0);
const R: Node = Node(1);
const W: Node = Node(2);

/// Runs a history to its end, and some time beyond.
fn played(
    seed: u64,
    faults: &[(u64, Fault, u64)],
    defect: Option<Defect>,
    (is_stressed, shows): (bool, bool),
) -> World {
    let over = faults.iter().map(|(at, _, lasts)| at + lasts).max().unwrap_or(0).max(4000);
    let mut world = World::new(seed, faults.to_vec(), defect);
    world.shows = shows;
    if is_stressed {
        world.stress();
    }
    world.run_until(over + PATIENCE);
    world.end();
    world
}

/// The same; nothing may be wrong. Gives the longest time without an acknowledged write, from
/// the first fault on.
fn outage(faults: &[(u64, Fault, u64)]) -> u64 {
    let mut worst = 0;
    for seed in 0..20 {
        let world = played(seed, faults, None, (false, false));
        if let Some(wrong) = &world.wrong {
            played(seed, faults, None, (false, true));
            panic!("seed {seed}: {wrong}");
        }
        worst = worst.max(world.outage(faults[0].0, world.now));
    }
    worst
}

#[test]
fn founded_and_joined_without_anybody_asking() {
    assert!(outage(&[(4000, Loss(0), 1)]) < 200);
}

#[test]
fn the_writer_is_cut_off_from_everybody() {
    assert!(outage(&[(4000, CutOff(P), 12_000)]) < 2500);
}

#[test]
fn the_replica_is_cut_off_and_comes_back() {
    assert!(outage(&[(4000, CutOff(R), 15_000)]) < 2000);
}

#[test]
fn the_databases_lose_sight_of_each_other_and_a_witness_sees_both() {
    assert!(outage(&[(4000, Apart(P, R), 15_000)]) < 2000);
}

#[test]
fn a_blank_replica_fetches_its_copy_and_the_writers_database_dies() {
    // Nobody has the data but the writer: all wait for it.
    let faults = [(4000, Replaced(R), 100), (5500, DatabaseKilled(P), 4000)];
    assert!(outage(&faults) < 9000);
}

#[test]
fn a_peer_that_is_up_and_whose_database_is_not() {
    assert!(outage(&[(4000, PowerCut(R), 100), (4700, DatabaseKilled(R), 9000)]) < 2000);
}

#[test]
fn the_writer_is_replaced_by_a_blank_machine() {
    assert!(outage(&[(4000, Replaced(P), 300)]) < 2500);
}

#[test]
fn the_stream_between_them_is_cut_and_then_the_writer_loses_its_power() {
    // It may have gone alone in between: then it is waited for.
    let faults = [(4000, Apart(P, R), 3000), (6200, PowerCut(P), 2000)];
    assert!(outage(&faults) < 7000);
}

#[test]
fn the_writer_loses_its_power() {
    assert!(outage(&[(4000, PowerCut(P), 60_000)]) < 2500);
}

#[test]
fn the_writers_database_hangs() {
    assert!(outage(&[(4000, DatabaseHangs(P), 12_000)]) < 4000);
}

#[test]
fn the_writers_database_is_killed_for_good() {
    assert!(outage(&[(4000, DatabaseKilled(P), 20_000)]) < 2500);
}

#[test]
fn all_lose_their_power() {
    assert!(outage(&[(4000, AllOff, 1000)]) < 8000);
}

#[test]
fn the_witness_is_gone() {
    assert!(outage(&[(4000, PowerCut(W), 15_000)]) < 200);
    assert!(outage(&[(4000, Replaced(W), 1000), (9000, PowerCut(P), 9000)]) < 2500);
}

/// The faults, and then a person, as often as one is asked for; in the end all is well again.
fn helped(seed: u64, faults: &[(u64, Fault, u64)], needs: Need) {
    let shows = std::env::var_os("IMAGEBUILD_PAIR_SHOW").is_some();
    let mut world = played(seed, faults, None, (false, shows));
    assert_eq!(world.wrong, None, "seed {seed}");
    assert!(world.needs().contains(&needs), "seed {seed}: {:?}", world.needs());
    world = help(world);
    assert_eq!((world.wrong.clone(), world.needs()), (None, Vec::new()), "seed {seed}");
}

/// A person does what is asked for until nothing is; then writes must go on with both in sync.
fn help(mut world: World) -> World {
    let mut helps = 0;
    if world.wrong.is_some() || world.is_over || world.needs().is_empty() {
        return world;
    }
    while !world.needs().is_empty() && world.wrong.is_none() {
        helps += 1;
        if helps > 3 {
            world.wrong = Some(format!("helped three times, and still {:?}", world.needs()));
            return world;
        }
        world.help();
        world.run_until(world.now + PATIENCE);
    }
    world.end();
    world
}

#[test]
fn a_person_is_asked_and_helps() {
    for seed in 0..20 {
        // The replica is copying when the primary's disk is lost, or both are replaced.
        let lost = [(4000, PowerCut(R), 2000), (5500, Replaced(P), 100)];
        helped(seed, &lost, Need::MayLackWrites);
        // Two of three voters have lost their disks.
        let votes = [(4000, Replaced(W), 3000), (4001, Replaced(R), 3000)];
        helped(seed, &votes, Need::RegisterLost);
        let votes = [(4000, Replaced(W), 3000), (4001, Replaced(P), 3000)];
        helped(seed, &votes, Need::RegisterLost);
        // All three, and the data of both are there.
        let votes = [(4000, Flashed(W), 3000), (4000, Flashed(P), 3000), (4000, Flashed(R), 3000)];
        helped(seed, &votes, Need::TwoHistories);
    }
}

/// What each step of the protocol is for: without it something is lost, and noticed.
#[test]
fn every_planted_defect_is_found() {
    let defects = [
        Defect::WaitEnds(1500),
        Defect::CloseAcknowledges,
        Defect::HasAllAtOnce,
        Defect::NeverStops,
        Defect::RestartIsNotSeen,
        Defect::RegisterForgotten,
    ];
    for defect in defects {
        let found = (0..4000).find_map(|seed| {
            let (faults, _) = Fault::history(&mut Random::new(seed));
            Some((seed, played(seed, &faults, Some(defect), (true, false)).wrong?))
        });
        let (seed, wrong) = found.unwrap_or_else(|| panic!("{defect:?} is not found"));
        eprintln!("{defect:?}: history {seed}: {wrong}");
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Random histories, others in each gate; the seed is shown when one fails.
#[test]
fn random_histories() {
    let gate = number("IMAGEBUILD_GATE");
    let count = if gate.is_some() { 100_000 } else { 3000 };
    play_random(gate.unwrap_or(0) << 32, number("IMAGEBUILD_PAIR_HISTORIES").unwrap_or(count));
}

/// Those of this second.
#[test]
#[ignore = "a million random histories: 10 min on two processors"]
fn a_million_random_histories() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    play_random(now.as_secs() << 24, 1_000_000);
}

fn play_random(first: u64, count: u64) {
    if let Some(seed) = number("IMAGEBUILD_PAIR_SEED") {
        let (faults, _) = Fault::history(&mut Random::new(seed));
        let world = help(played(seed, &faults, None, (true, true)));
        assert_eq!(world.wrong, None, "{faults:?}");
    }
    println!("histories {first} to {}", first + count - 1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (first..first + count).skip(thread).step_by(threads) {
                    let (faults, _) = Fault::history(&mut Random::new(seed));
                    let world = help(played(seed, &faults, None, (true, false)));
                    if let Some(wrong) = world.wrong {
                        panic!("IMAGEBUILD_PAIR_SEED={seed}: {faults:?}: {wrong}");
                    }
                }
            });
        }
    });
}

/// While faults last: writes go on, or a person is asked.
fn lasts(faults: &[(u64, Fault, u64)]) {
    for seed in 0..10 {
        let mut world = World::new(seed, faults.to_vec(), None);
        world.run_until(30_000);
        assert_eq!(world.wrong, None, "seed {seed}");
        let goes_on = world.acknowledged.last().is_some_and(|(_, at, _)| *at > 28_000);
        let needs = world.needs();
        assert!(goes_on || !needs.is_empty(), "seed {seed}: {:?}", world.config());
    }
}

#[test]
fn faults_that_last() {
    let long = 100_000;
    lasts(&[(4000, Deaf(P, R), long), (4000, Deaf(W, P), long)]);
    lasts(&[(4000, Deaf(W, P), long), (9000, Deaf(P, R), long)]);
    lasts(&[(4000, Deaf(R, P), long), (4000, Deaf(P, W), long)]);
    lasts(&[(4000, PowerCut(R), long), (4001, Replaced(W), 100)]);
    lasts(&[(4000, Replaced(W), 100), (4001, PowerCut(P), long)]);
    lasts(&[(4000, Deaf(W, R), long), (4000, PowerCut(P), long)]);
    lasts(&[(4000, AgentKilled(P), long)]);
    lasts(&[(4000, Loss(400), long)]);
}

#[test]
fn an_agent_starts_again_beside_its_open_database() {
    assert!(outage(&[(4000, AgentKilled(P), 5)]) < 1000);
}

/// Runs a history of two databases that have no witness.
fn two(seed: u64, faults: &[(u64, Fault, u64)]) -> World {
    let over = faults.iter().map(|(at, _, lasts)| at + lasts).max().unwrap_or(0);
    let mut world = World::with_witnesses(0, seed, faults.to_vec(), None);
    world.shows = std::env::var_os("IMAGEBUILD_PAIR_SHOW").is_some();
    world.run_until(over + PATIENCE);
    world.end();
    world
}

/// Every single fault but one: see the next test.
#[test]
fn two_databases_without_a_witness() {
    let faults = [
        (PowerCut(P), 8000, 2600),
        (PowerCut(R), 8000, 2000),
        (CutOff(P), 8000, 2600),
        (CutOff(R), 8000, 2000),
        (DatabaseKilled(P), 8000, 2600),
        (DatabaseHangs(P), 9000, 4000),
        (Stands(P), 9000, 2600),
        (Stands(R), 9000, 2000),
        (Replaced(P), 500, 2600),
        (Replaced(R), 500, 2000),
        (AgentKilled(P), 3000, 2600),
        (Loss(200), 9000, 6000),
        (AllOff, 1000, 8000),
    ];
    for (fault, lasts, most) in faults {
        for seed in 0..60 {
            let world = two(seed, &[(4000 + seed * 7, fault.clone(), lasts)]);
            assert_eq!(world.wrong, None, "{fault:?}, seed {seed}");
            let outage = world.outage(4000 + seed * 7, world.now);
            assert!(outage < most, "{fault:?}, seed {seed}: {outage} ms");
        }
    }
}

/// What two cannot know, and why a witness is worth having: all links between them are cut, and
/// both see the world. Both write; at the end the writes of one are set aside.
#[test]
fn two_that_see_the_world_and_not_each_other_both_write() {
    let world = two(1, &[(4000, Apart(P, R), 8000)]);
    let wrong = world.wrong.expect("nothing was lost");
    assert!(
        wrong.contains("both take writes by themselves") || wrong.contains("has not"),
        "{wrong}"
    );
}
