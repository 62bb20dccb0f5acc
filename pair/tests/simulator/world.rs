//! Machines, a network between them, clients, and who watches that nothing is lost.

use crate::faults::Fault;
use crate::maria::{Defect, Maria, Stream, Write};
use crate::random::Random;
use imagebuild_pair::register::{Acceptor, Ballot};
use imagebuild_pair::{
    Action, Config, DATABASES, Event, Member, Members, Message, Need, Node, Times,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A look at the database, and a turn of the agent.
const TICK: u64 = 50;
/// Each client waits so long between two writes.
const CLIENT: u64 = 45;
/// From power to an agent and a database that answer.
const BOOT: u64 = 600;
/// After the last fault, writes must go on within so long: a copy and some rounds.
pub(crate) const PATIENCE: u64 = 15_000;

/// What happens.
#[derive(Debug, Clone)]
enum What {
    Tick { node: Node, start: u32 },
    Message { from: Node, to: Node, message: Message },
    Stream { to: Node, generations: [u32; 2], stream: Stream },
    Client,
    Begin(usize),
    End(usize),
    Boot(Node),
    DatabaseStarts(Node, u32),
    Command { node: Node, generation: u32, command: imagebuild_pair::Command },
    AgentStarts(Node, u32),
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) member: Option<Member>,
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) maria: Maria,
    pub(crate) starts: u32,
    /// Stands still until then.
    pub(crate) stands_until: u64,
    /// Its disk was replaced: what it had is no more.
    pub(crate) lost: bool,
}

/// All of it.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) machines: Vec<Machine>,
    members: Members,
    random: Random,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<What>>,
    free: Vec<usize>,
    number: u64,
    faults: Vec<(u64, Fault, u64)>,
    /// From whom to whom nothing comes, with how many faults say so.
    pub(crate) blocked: BTreeMap<(u8, u8), u32>,
    /// Who sees nothing of the world, not even a gateway.
    pub(crate) cut_off: BTreeMap<Node, u32>,
    pub(crate) cut_since: BTreeMap<Node, u64>,
    pub(crate) slow: u64,
    pub(crate) loss: u64,
    next_write: Write,
    /// All that was acknowledged: when, and by whom.
    pub(crate) acknowledged: Vec<(Write, u64, Node)>,
    accepted: BTreeMap<Ballot, (Config, BTreeSet<Node>)>,
    chosen: BTreeMap<Ballot, Config>,
    /// The value of the newest round of them.
    newest_chosen: Option<Config>,
    /// Of two voters one alone may choose: what either has held to be chosen.
    of_two: Option<Config>,
    pub(crate) shows: bool,
    /// See [`World::stress`].
    is_stressed: bool,
    has_lost_a_disk: bool,
    /// All three have lost their disks.
    pub(crate) is_over: bool,
    /// What must not be, and was.
    pub(crate) wrong: Option<String>,
}

impl World {
    /// Three machines that have never run.
    pub(crate) fn new(seed: u64, faults: Vec<(u64, Fault, u64)>, defect: Option<Defect>) -> World {
        World::with_witnesses(1, seed, faults, defect)
    }

    /// The databases and so many witnesses.
    pub(crate) fn with_witnesses(
        witnesses: u8,
        seed: u64,
        faults: Vec<(u64, Fault, u64)>,
        defect: Option<Defect>,
    ) -> World {
        let machine = || Machine {
            member: None,
            acceptor: None,
            maria: Maria::blank(defect),
            starts: 0,
            stands_until: 0,
            lost: false,
        };
        let mut world = World {
            now: 0,
            machines: (0..2 + witnesses).map(|_| machine()).collect(),
            members: Members::with_witnesses(witnesses),
            random: Random::new(seed),
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            number: 0,
            faults,
            blocked: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            cut_since: BTreeMap::new(),
            slow: 0,
            loss: 0,
            next_write: 0,
            acknowledged: Vec::new(),
            accepted: BTreeMap::new(),
            chosen: BTreeMap::new(),
            newest_chosen: None,
            of_two: None,
            shows: false,
            is_stressed: false,
            has_lost_a_disk: false,
            is_over: false,
            wrong: None,
        };
        for node in world.members.all() {
            let at = world.random.below(200);
            world.push(at, What::Boot(node));
        }
        world.push(1, What::Client);
        for index in 0..world.faults.len() {
            let (at, _, lasts) = world.faults[index];
            world.push(at, What::Begin(index));
            world.push(at + lasts, What::End(index));
        }
        world
    }

    fn push(&mut self, at: u64, what: What) {
        let index = match self.free.pop() {
            Some(index) => {
                self.events[index] = Some(what);
                index
            }
            None => {
                self.events.push(Some(what));
                self.events.len() - 1
            }
        };
        self.number += 1;
        self.queue.push(Reverse((at, self.number, index)));
    }

    /// Runs until a time, or until something is wrong.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.wrong.is_none() && !self.is_over {
            let Some(Reverse((at, _, _))) = self.queue.peek() else { break };
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, index))) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            let what = self.events[index].take();
            self.free.push(index);
            if let Some(what) = what {
                self.happen(what);
            }
        }
        self.now = self.now.max(end);
    }

    /// From now on power may go between any two actions, commands may be late, messages very
    /// late, and what was received waits long to be applied.
    pub(crate) fn stress(&mut self) {
        self.is_stressed = true;
        self.machines.iter_mut().for_each(|machine| machine.maria.applies_every = 1200);
    }

    fn show(&self, text: impl FnOnce() -> String) {
        if self.shows {
            eprintln!("{:>7} {}", self.now, text());
        }
    }

    fn machine(&mut self, node: Node) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }

    fn happen(&mut self, what: What) {
        // Who stands still hears of it later.
        let whom = match &what {
            What::Tick { node, .. } => Some(*node),
            What::Message { to, .. } | What::Stream { to, .. } => Some(*to),
            _ => None,
        };
        if let Some(node) = whom {
            let until = self.machine(node).stands_until;
            if until > self.now {
                self.push(until, what);
                return;
            }
        }
        match what {
            What::Tick { node, start } => self.tick(node, start),
            What::Message { from, to, message } => {
                // Also what was sent to the agent that ran before this one.
                self.event(to, Event::Message { from, message });
            }
            What::Stream { to, generations, stream } => self.hear(to, generations, stream),
            What::Client => {
                self.push(self.now + CLIENT, What::Client);
                DATABASES.into_iter().for_each(|node| self.write(node));
            }
            What::Begin(index) => {
                let (_, fault, lasts) = self.faults[index].clone();
                self.show(|| format!("begins: {fault:?}, {lasts} ms"));
                fault.begin(self, lasts);
            }
            What::End(index) => {
                let (_, fault, _) = self.faults[index].clone();
                self.show(|| format!("ends: {fault:?}"));
                fault.end(self);
            }
            What::Boot(node) => {
                self.machine(node).maria.runs = true;
                self.boot(node);
            }
            What::Command { node, generation, command } => {
                if self.machine(node).maria.generation == generation {
                    let until = self.machine(node).maria.hung_until;
                    if until > self.now {
                        self.push(until, What::Command { node, generation, command });
                    } else {
                        self.command(node, command);
                    }
                }
            }
            What::AgentStarts(node, start) => {
                if self.machine(node).starts == start {
                    self.boot(node);
                }
            }
            What::DatabaseStarts(node, generation) => {
                let machine = self.machine(node);
                if machine.maria.generation == generation {
                    machine.maria.runs = true;
                }
            }
        }
    }

    /// The agent starts.
    fn boot(&mut self, node: Node) {
        let members = self.members;
        let first = self.now + 1 + self.random.below(TICK);
        let number = self.random.next();
        let machine = self.machine(node);
        machine.starts += 1;
        let start = machine.starts;
        machine.member =
            Some(Member::new(node, members, Times::default(), machine.acceptor, number));
        self.push(first, What::Tick { node, start });
    }

    /// The power goes, and comes back after so long.
    pub(crate) fn power_cut(&mut self, node: Node, lasts: u64) {
        let at = self.now + lasts + BOOT;
        let cuts = self.random.below(2) == 0;
        let machine = self.machine(node);
        machine.member = None;
        machine.starts += 1;
        machine.maria.cuts = cuts;
        machine.maria.crash();
        if machine.maria.defect == Some(Defect::RegisterForgotten) {
            machine.acceptor = Some(Acceptor::EMPTY);
        }
        self.push(at, What::Boot(node));
    }

    /// The same, and it comes back with empty disks.
    pub(crate) fn replace(&mut self, node: Node, lasts: u64) {
        self.power_cut(node, lasts);
        let machine = self.machine(node);
        machine.maria = machine.maria.replaced();
        machine.lost = true;
        self.forget(node);
    }

    /// The disk that holds the register is a new one.
    fn forget(&mut self, node: Node) {
        self.machine(node).acceptor = None;
        self.has_lost_a_disk = true;
        let knows = |machine: &Machine| machine.acceptor.is_some_and(|one| one.accepted.is_some());
        if !self.machines.iter().any(knows) {
            // Nothing is left of the register, and perhaps of the data: what comes next is
            // another pair's first day. With the data of all it is a new register for the old
            // pair.
            self.is_over = self.machines.iter().any(|machine| machine.lost);
            self.chosen.clear();
            self.newest_chosen = None;
            self.accepted.clear();
            // To write three images takes longer than a message is on its way.
            for what in &mut self.events {
                what.take_if(|what| matches!(what, What::Message { .. }));
            }
        }
    }

    /// The image is written anew: its data stay.
    pub(crate) fn flash(&mut self, node: Node, lasts: u64) {
        self.power_cut(node, lasts);
        self.forget(node);
    }

    /// The agent ends, its database lives on; it is started again after so long.
    pub(crate) fn kill_agent(&mut self, node: Node, lasts: u64) {
        let at = self.now + lasts;
        let machine = self.machine(node);
        if machine.member.take().is_none() {
            return;
        }
        machine.starts += 1;
        let start = machine.starts;
        self.push(at, What::AgentStarts(node, start));
        self.push(self.now + 1, What::Tick { node, start });
    }

    /// The database's process ends, and is started again after so long.
    pub(crate) fn kill_database(&mut self, node: Node, lasts: u64) {
        let at = self.now + lasts;
        let cuts = self.random.below(2) == 0;
        let machine = self.machine(node);
        if machine.member.is_none() {
            return;
        }
        machine.maria.cuts = cuts;
        machine.maria.crash();
        let generation = machine.maria.generation;
        self.push(at, What::DatabaseStarts(node, generation));
    }

    fn tick(&mut self, node: Node, start: u32) {
        let now = self.now;
        let machine = self.machine(node);
        if machine.starts != start || (machine.member.is_none() && !machine.maria.runs) {
            return;
        }
        self.push(now + TICK, What::Tick { node, start });
        if node.is_database() && self.machine(node).maria.answers(now) {
            let (said, acknowledged) = self.machine(node).maria.tick(now);
            self.acknowledge(node, &acknowledged);
            if let Some(said) = said {
                self.send_stream(node, said);
            }
            self.copy(node);
        }
        let busy = self.machine(node).maria.busy_until > now;
        let database =
            if node.is_database() && !busy { self.machine(node).maria.status(now) } else { None };
        let maria = &self.machine(node).maria;
        if maria.open && maria.runs && maria.follows() && self.wrong.is_none() {
            self.wrong = Some(format!("{now} ms: {node:?} takes writes and receives"));
        }
        if self.machine(node).acceptor.is_some() && !node.is_database() {
            self.machine(node).lost = false;
        }
        // It is noticed some time after it has begun.
        let is_cut = self.cut_off.get(&node).is_some_and(|faults| *faults > 0);
        let since = self.cut_since.get(&node).copied().unwrap_or(0);
        let is_connected = !is_cut || now < since + 450;
        let machine = self.machine(node);
        if let Some(member) = &mut machine.member {
            member.restored(machine.maria.restored);
        }
        self.event(node, Event::Tick { now, database, is_connected });
    }

    /// A copy is one look at the other's data, if it can be reached at its end.
    fn copy(&mut self, node: Node) {
        let now = self.now;
        let Some(from) = self.machine(node).maria.copy_due(now) else { return };
        let reached = !self.is_blocked(node, from) && !self.is_blocked(from, node);
        let source = self.machine(from);
        let answers = reached && source.stands_until <= now && source.maria.answers(now);
        let history = answers.then(|| source.maria.history.clone()).filter(|all| !all.is_empty());
        self.show(|| format!("{node:?} has copied: {}", history.is_some()));
        self.machine(node).maria.copied(history);
        if self.machine(node).maria.has_data() {
            self.machine(node).lost = false;
        }
    }

    /// A connection ends with either process; what one of them has said before may still come.
    /// Nobody begins one with a process that is no more.
    fn hear(&mut self, to: Node, generations: [u32; 2], stream: Stream) {
        let now = self.now;
        let current = DATABASES.map(|node| self.machine(node).maria.generation);
        let place = usize::from(to.0);
        let begins = matches!(stream, Stream::Connect { .. });
        if current[place] != generations[place] || (begins && current != generations) {
            return;
        }
        let machine = self.machine(to);
        if !machine.maria.runs {
            return;
        }
        if !machine.maria.answers(now) {
            let until = machine.maria.hung_until;
            self.push(until, What::Stream { to, generations, stream });
            return;
        }
        let (said, acknowledged) = machine.maria.hear(stream, now);
        self.acknowledge(to, &acknowledged);
        if let Some(said) = said {
            self.send_stream(to, said);
        }
    }

    fn write(&mut self, node: Node) {
        let now = self.now;
        let write = self.next_write;
        let machine = self.machine(node);
        let takes = machine.stands_until <= now && machine.maria.answers(now) && machine.maria.open;
        if !takes {
            return;
        }
        let (said, is_done) = machine.maria.write(write, now);
        self.next_write += 1;
        if let Some(said) = said {
            self.send_stream(node, said);
        }
        if is_done {
            self.acknowledge(node, &[write]);
        }
    }

    fn event(&mut self, node: Node, event: Event) {
        let machine = self.machine(node);
        let Some(member) = &mut machine.member else { return };
        let actions = member.handle(event);
        let (known, before) = (member.known(), self.of_two);
        if self.members.count() == 2 {
            let newer = |config: &Config| before.is_none_or(|one| config.epoch > one.epoch);
            self.of_two = known.filter(newer).or(before);
        }
        for (place, action) in actions.into_iter().enumerate() {
            let after = place > 0 && matches!(action, Action::Save(_));
            let cuts = self.is_stressed && (3000..14_000).contains(&self.now);
            let rarely = if after { 15 } else { 20_000 };
            if cuts && self.random.below(rarely) == 0 {
                self.show(|| format!("{node:?} loses power before {action:?}"));
                self.power_cut(node, 300);
                return;
            }
            self.act(node, action);
        }
    }

    fn act(&mut self, node: Node, action: Action) {
        match action {
            Action::Save(acceptor) => {
                self.machine(node).acceptor = Some(acceptor);
                if let Some((ballot, config)) = acceptor.accepted {
                    self.note(node, ballot, config);
                }
            }
            Action::Send(to, message) => {
                // One of fifty comes twice.
                let times = if self.random.below(50) == 0 { 2 } else { 1 };
                for _ in 0..times {
                    if let Some(at) = self.arrival(node, to) {
                        self.push(at, What::Message { from: node, to, message });
                    }
                }
            }
            Action::Database(command) => {
                let now = self.now;
                self.show(|| format!("{node:?} {command:?}"));
                let slow = match self.random.below(if self.is_stressed { 60 } else { u64::MAX }) {
                    0 => self.random.below(3000),
                    1..6 => self.random.below(200),
                    _ => 0,
                };
                let maria = &mut self.machine(node).maria;
                let hangs = maria.runs && !maria.answers(now);
                if slow > 0 || hangs {
                    // On one connection: not before those sent before.
                    let at = (now + slow).max(maria.hung_until).max(maria.busy_until);
                    maria.busy_until = at + 1;
                    let generation = maria.generation;
                    self.push(at, What::Command { node, generation, command });
                    return;
                }
                if maria.busy_until > now {
                    let (at, generation) = (maria.busy_until, maria.generation);
                    maria.busy_until += 1;
                    self.push(at, What::Command { node, generation, command });
                    return;
                }
                self.command(node, command);
            }
        }
    }

    fn command(&mut self, node: Node, command: imagebuild_pair::Command) {
        let now = self.now;
        let acknowledged = self.machine(node).maria.command(command, now);
        self.acknowledge(node, &acknowledged);
        self.only_one();
        self.all_hold();
    }

    /// Whoever may take over has all that was acknowledged.
    fn all_hold(&mut self) {
        if self.wrong.is_some() {
            return;
        }
        let Some(config) = self.config() else { return };
        for node in DATABASES {
            let machine = &self.machines[usize::from(node.0)];
            if !self.is_counted_on(node, Some(config)) {
                continue;
            }
            let have: BTreeSet<Write> = machine.maria.all().collect();
            if let Some((write, at, by)) =
                self.acknowledged.iter().find(|(w, _, _)| !have.contains(w))
            {
                self.wrong = Some(format!(
                    "{} ms: {node:?} lacks {write}, acknowledged at {at} by {by:?}, in {config:?}",
                    self.now
                ));
                return;
            }
        }
    }

    fn is_blocked(&self, from: Node, to: Node) -> bool {
        self.blocked.get(&(from.0, to.0)).is_some_and(|count| *count > 0)
    }

    /// When something that is sent now arrives, if it does.
    fn arrival(&mut self, from: Node, to: Node) -> Option<u64> {
        let is_lost = self.random.below(1000) < self.loss;
        if self.is_blocked(from, to) || is_lost {
            return None;
        }
        let most = if self.slow > 0 && self.random.below(3) == 0 { self.slow } else { 4 };
        let most = if self.is_stressed && self.random.below(300) == 0 { 20_000 } else { most };
        Some(self.now + 1 + self.random.below(most))
    }

    fn send_stream(&mut self, from: Node, stream: Stream) {
        let to = if from == DATABASES[0] { DATABASES[1] } else { DATABASES[0] };
        if let Some(at) = self.arrival(from, to) {
            let generations = DATABASES.map(|node| self.machine(node).maria.generation);
            self.push(at, What::Stream { to, generations, stream });
        }
    }

    // Who watches.

    fn note(&mut self, node: Node, ballot: Ballot, config: Config) {
        let majority = self.members.majority();
        let (known, by) = self.accepted.entry(ballot).or_insert((config, BTreeSet::new()));
        if *known != config {
            self.wrong = Some(format!("{ballot:?} stands for {known:?} and {config:?}"));
            return;
        }
        by.insert(node);
        if by.len() < majority {
            return;
        }
        if self.chosen.insert(ballot, config).is_some() {
            return;
        }
        self.newest_chosen = self.chosen.values().next_back().copied();
        // In the order of rounds each value is the one before, or its successor.
        // A person's word begins a thousand milliards of new epochs, and the first that both are in
        // sync in after it is the millionth.
        let begins = |config: &Config| config.epoch.trailing_zeros() >= 20;
        let follows = |one: &Config, next: &Config| {
            one == next || one.epoch + 1 == next.epoch || (begins(next) && one.epoch < next.epoch)
        };
        let mut pairs = self.chosen.values().zip(self.chosen.values().skip(1));
        if let Some((one, next)) = pairs.find(|(one, next)| !follows(one, next)) {
            self.wrong = Some(format!("{one:?} was followed by {next:?}"));
        }
    }

    pub(crate) fn config(&self) -> Option<Config> {
        if self.members.count() == 2 {
            return self.of_two;
        }
        self.newest_chosen
    }

    /// Whether a database may take over, or goes on: who is the primary, or in sync and does not
    /// know better.
    fn is_counted_on(&self, node: Node, config: Option<Config>) -> bool {
        let machine = &self.machines[usize::from(node.0)];
        let in_sync = config.is_none_or(|config| {
            node == config.primary || config.in_sync(node) && !machine.maria.may_lack()
        });
        in_sync && !machine.lost
    }

    /// Whoever may take over, or goes on, has it.
    fn acknowledge(&mut self, by: Node, writes: &[Write]) {
        let config = self.config();
        for write in writes {
            self.acknowledged.push((*write, self.now, by));
            for node in DATABASES {
                if !self.is_counted_on(node, config) {
                    continue;
                }
                if !self.machines[usize::from(node.0)].maria.has(*write) && self.wrong.is_none() {
                    self.wrong = Some(format!(
                        "{} ms: {by:?} acknowledges write {write}, which {node:?} has not, in {config:?}",
                        self.now
                    ));
                }
            }
        }
    }

    /// Never two that acknowledge without asking anybody.
    fn only_one(&mut self) {
        let free = |node: &Node| {
            let maria = &self.machines[usize::from(node.0)].maria;
            maria.open && !maria.waits
        };
        if DATABASES.iter().all(free) && self.wrong.is_none() {
            self.wrong = Some(format!("{} ms: both take writes by themselves", self.now));
        }
    }

    /// A person does what is asked for. What was acknowledged before is of no matter any more:
    /// it may be lost, and that was said.
    pub(crate) fn help(&mut self) {
        for need in self.needs() {
            self.show(|| format!("a person: {need:?}"));
        }
        self.acknowledged.clear();
        self.chosen.clear();
        self.accepted.clear();
        let none_is_left = DATABASES.iter().all(|node| !self.machine(*node).maria.has_data());
        self.machines.iter_mut().for_each(|machine| machine.lost = false);
        // One thing at a time, and the register first.
        let order = [Need::RegisterLost, Need::TwoHistories, Need::DataLost, Need::MayLackWrites];
        for need in order {
            let asks = |machine: &&mut Machine| {
                machine.member.as_ref().is_some_and(|member| member.need() == Some(need))
            };
            let Some(machine) = self.machines.iter_mut().find(asks) else { continue };
            let Some(member) = &mut machine.member else { continue };
            match need {
                Need::RegisterLost => member.recover_anyway(),
                // Nobody has anything: a backup is put back.
                Need::DataLost if none_is_left => machine.maria.restore(),
                Need::DataLost => continue,
                _ => member.force_takeover(),
            }
            return;
        }
    }

    /// What a person is asked, by any of them.
    pub(crate) fn needs(&self) -> Vec<Need> {
        self.machines.iter().filter_map(|machine| machine.member.as_ref()?.need()).collect()
    }

    /// All faults are long over: two seconds more, and then all must be well.
    pub(crate) fn end(&mut self) {
        let since = self.now;
        self.run_until(since + 2000);
        // One late message may have parted them for a moment.
        let is_whole = |world: &World| world.config().is_some_and(|config| config.both);
        let mut more = 0..10;
        while self.is_stressed && !is_whole(self) && more.next().is_some() {
            self.run_until(self.now + 500);
        }
        self.check_end(since);
    }

    /// What must be so when all faults are long over.
    fn check_end(&mut self, since: u64) {
        if self.wrong.is_some() || self.is_over {
            return;
        }
        let needs = self.needs();
        let Some(config) = self.config() else {
            if needs.is_empty() || !self.has_lost_a_disk {
                self.wrong = Some("no register was ever made".to_owned());
            }
            return;
        };
        let primary = &self.machines[usize::from(config.primary.0)];
        let lacks = |write: &&(Write, u64, Node)| !primary.maria.has(write.0);
        if let Some((write, at, by)) = self.acknowledged.iter().find(lacks) {
            if !primary.lost && needs.is_empty() {
                self.wrong =
                    Some(format!("write {write}, acknowledged at {at} ms by {by:?}, is lost"));
                return;
            }
        }
        if needs.is_empty() && config.both {
            let other = &self.machines[usize::from(1 - config.primary.0)];
            if let Some((write, at, by)) =
                self.acknowledged.iter().find(|one| !other.maria.has(one.0))
            {
                self.wrong = Some(format!(
                    "write {write}, acknowledged at {at} ms by {by:?}, is not in the replica"
                ));
                return;
            }
        }
        let goes_on = self.acknowledged.iter().any(|(_, at, _)| *at >= since);
        if needs.is_empty() && (!goes_on || !config.both) {
            self.wrong = Some(format!("no way back: {config:?}, writes go on: {goes_on}"));
        } else if !needs.is_empty() && !self.has_lost_a_disk {
            self.wrong = Some(format!("a person is asked for {needs:?}, though no disk was lost"));
        }
    }

    /// The longest time without an acknowledged write from a time on.
    pub(crate) fn outage(&self, from: u64, to: u64) -> u64 {
        let times =
            self.acknowledged.iter().map(|(_, at, _)| *at).filter(|at| (from..to).contains(at));
        let all: Vec<u64> = std::iter::once(from).chain(times).chain([to]).collect();
        all.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}
