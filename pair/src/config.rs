//! Who is who: the voters, the two databases among them, and what the register holds.

/// A voter, by its place in the list of all: the databases are 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u8);

/// The two databases.
pub const DATABASES: [Node; 2] = [Node(0), Node(1)];

impl Node {
    /// Whether it is one of the two databases; the others are witnesses.
    pub fn is_database(self) -> bool {
        DATABASES.contains(&self)
    }

    /// The other database.
    pub(crate) fn peer(self) -> Node {
        DATABASES[usize::from(self == DATABASES[0])]
    }
}

/// All voters: the two databases, and witnesses. With witnesses their number is odd, so that as
/// many as possible may be lost. Two databases alone can only guess which of them is cut off:
/// see [`crate::Event::Tick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members {
    count: u8,
}

impl Members {
    /// The databases and so many witnesses.
    ///
    /// # Panics
    /// When there are witnesses, and the number of voters would be even: then one of them is of
    /// no use.
    pub fn with_witnesses(witnesses: u8) -> Members {
        assert!(witnesses == 0 || witnesses % 2 == 1, "not an odd number of witnesses");
        Members { count: 2 + witnesses }
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Node> {
        (0..self.count).map(Node)
    }

    /// All but one.
    pub fn others(self, own: Node) -> impl Iterator<Item = Node> {
        self.all().filter(move |node| *node != own)
    }

    /// How many are more than half.
    pub fn majority(self) -> usize {
        usize::from(self.count) / 2 + 1
    }

    /// How many there are.
    pub fn count(self) -> usize {
        usize::from(self.count)
    }
}

/// Bits of an epoch that changes by themselves count in.
const FORCED: u32 = 40;
/// Of them those that count until the replica has followed a history that a person has chosen.
const UNFOLLOWED: u32 = 20;

/// What the register holds: who takes writes, and whether the other database has them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Config {
    /// Grows with every change.
    pub epoch: u64,
    /// The only database that may acknowledge writes.
    pub primary: Node,
    /// Whether it acknowledges nothing that the other one has not received: then that one may
    /// take over. Else it is alone, and nobody may.
    pub both: bool,
}

impl Config {
    /// The first of all: one database, alone.
    pub(crate) fn first(primary: Node) -> Config {
        Config { epoch: 1, primary, both: false }
    }

    /// The primary goes on without its replica.
    pub(crate) fn alone(self) -> Config {
        Config { epoch: self.epoch + 1, both: false, ..self }
    }

    /// The replica has everything again.
    pub(crate) fn joined(self) -> Config {
        let followed = ((self.epoch >> FORCED) << FORCED) + (1 << UNFOLLOWED);
        let epoch = if self.is_forced() { followed } else { self.epoch + 1 };
        Config { epoch, both: true, ..self }
    }

    /// The replica takes over; the old primary is out until it has everything.
    pub(crate) fn taken_over(self) -> Config {
        Config { epoch: self.epoch + 1, primary: self.primary.peer(), both: false }
    }

    /// The same, though it may lack acknowledged writes: a person has said so.
    pub(crate) fn forced(self) -> Config {
        self.taken_over().of_this_history()
    }

    /// A person has said that this primary's history goes on, whatever the other one has. Every
    /// later epoch tells that there was one ([`Config::was_forced`]).
    pub(crate) fn of_this_history(self) -> Config {
        Config { epoch: ((self.epoch >> FORCED) + 1) << FORCED, ..self }
    }

    /// Whether a person has said so, and both have not been in sync since: what the other one has
    /// may be another history.
    pub(crate) fn is_forced(self) -> bool {
        self.was_forced() && self.epoch & ((1 << FORCED) - 1) < 1 << UNFOLLOWED
    }

    /// Whether a person has ever made a database the primary that may have lacked writes: then
    /// what the other one has beyond it may have been acknowledged.
    pub fn was_forced(self) -> bool {
        self.epoch >> FORCED > 0
    }

    /// Whether a database may be the next primary without a loss.
    pub fn in_sync(self, node: Node) -> bool {
        node == self.primary || (self.both && node.is_database())
    }
}
