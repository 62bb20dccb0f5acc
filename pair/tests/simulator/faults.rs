//! What goes wrong.

use crate::random::Random;
use crate::world::World;
use imagebuild_pair::{DATABASES, Node};

/// A fault; it lasts for a time that is said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing passes between this machine and any other.
    CutOff(Node),
    /// Nothing passes from the first to the second.
    Deaf(Node, Node),
    /// Nothing passes between these two.
    Apart(Node, Node),
    /// So many of a thousand messages are lost.
    Loss(u64),
    /// A third of all messages takes up to so many milliseconds.
    Slow(u64),
    /// The machine stands still, and goes on.
    Stands(Node),
    /// The power goes.
    PowerCut(Node),
    /// The machine is replaced by one with empty disks.
    Replaced(Node),
    /// Its image is written anew, and its data stay.
    Flashed(Node),
    /// The database's process is killed.
    DatabaseKilled(Node),
    /// The database's process stands still: SIGSTOP.
    DatabaseHangs(Node),
    /// The agent is killed, and its database is not.
    AgentKilled(Node),
    /// Power for all.
    AllOff,
}

impl Fault {
    pub(crate) fn begin(&self, world: &mut World, lasts: u64) {
        let until = world.now + lasts;
        match self {
            Fault::CutOff(_) | Fault::Deaf(..) | Fault::Apart(..) => {
                for pair in self.links() {
                    *world.blocked.entry(pair).or_default() += 1;
                }
                if let Fault::CutOff(node) = self {
                    *world.cut_off.entry(*node).or_default() += 1;
                    world.cut_since.insert(*node, world.now);
                }
            }
            Fault::Loss(rate) => world.loss = *rate,
            Fault::Slow(most) => world.slow = *most,
            Fault::Stands(node) => world.machines[usize::from(node.0)].stands_until = until,
            Fault::PowerCut(node) => world.power_cut(*node, lasts),
            Fault::Replaced(node) => world.replace(*node, lasts),
            Fault::Flashed(node) => world.flash(*node, lasts),
            Fault::DatabaseKilled(node) => world.kill_database(*node, lasts),
            Fault::DatabaseHangs(node) => {
                world.machines[usize::from(node.0)].maria.hung_until = until;
            }
            Fault::AgentKilled(node) => world.kill_agent(*node, lasts),
            Fault::AllOff => {
                // One after the other, the first as said.
                for place in 0..world.machines.len() {
                    world.power_cut(Node(place as u8), lasts + 400 * place as u64);
                }
            }
        }
    }

    pub(crate) fn end(&self, world: &mut World) {
        match self {
            Fault::CutOff(_) | Fault::Deaf(..) | Fault::Apart(..) => {
                for pair in self.links() {
                    *world.blocked.entry(pair).or_default() -= 1;
                }
                if let Fault::CutOff(node) = self {
                    *world.cut_off.entry(*node).or_default() -= 1;
                }
            }
            Fault::Loss(_) => world.loss = 0,
            Fault::Slow(_) => world.slow = 0,
            _ => {}
        }
    }

    fn links(&self) -> Vec<(u8, u8)> {
        match self {
            Fault::CutOff(node) => {
                let others = (0..3).filter(|other| *other != node.0);
                others.flat_map(|other| [(node.0, other), (other, node.0)]).collect()
            }
            Fault::Deaf(from, to) => vec![(from.0, to.0)],
            Fault::Apart(a, b) => vec![(a.0, b.0), (b.0, a.0)],
            _ => Vec::new(),
        }
    }

    /// Any of them.
    fn random(random: &mut Random) -> Fault {
        let any = Node(random.below(3) as u8);
        let other = Node((any.0 + 1 + random.below(2) as u8) % 3);
        let database = DATABASES[random.below(2) as usize];
        match random.below(15) {
            0 | 1 => Fault::CutOff(any),
            2 => Fault::Deaf(any, other),
            3 => Fault::Apart(any, other),
            4 => Fault::Loss(50 + random.below(300)),
            5 => Fault::Slow(50 + random.below(2500)),
            6 => Fault::Stands(any),
            7 => Fault::PowerCut(any),
            8 => Fault::Replaced(any),
            9 => Fault::DatabaseKilled(database),
            10 => Fault::DatabaseHangs(database),
            11 | 12 => Fault::AgentKilled(any),
            13 => Fault::Flashed(any),
            _ => Fault::AllOff,
        }
    }

    /// One to eight at any time of twelve seconds; gives when the last is over, too.
    pub(crate) fn history(random: &mut Random) -> (Vec<(u64, Fault, u64)>, u64) {
        let count = 1 + random.below(8);
        let mut over = 0;
        let faults = (0..count)
            .map(|_| {
                let fault = Fault::random(random);
                let (at, lasts) = (4000 + random.below(8000), 20 + random.below(6000));
                over = over.max(at + lasts);
                (at, fault, lasts)
            })
            .collect();
        (faults, over)
    }
}
