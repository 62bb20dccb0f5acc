//! The pair with its witness and a switch between them.

use crate::faults::{Fault, Whom};
use crate::ledger::Ledger;
use crate::node::{CLIENTS, MACHINES, Node, in_switch, wait_until};
use crate::project::{Project, Scratch};
use imagebuild::project::servers;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What lies below every machine's own files.
pub(crate) struct Lower {
    /// The packages of a database server.
    pub(crate) tree: PathBuf,
    /// The configuration layer of each member.
    pub(crate) layers: Vec<PathBuf>,
}

pub(crate) struct Rig {
    pub(crate) nodes: Vec<Node>,
    switch: Child,
    lower: Lower,
    /// Numbers of rows.
    pub(crate) next: Arc<AtomicU64>,
    folder: Scratch,
    _project: Project,
}

impl Rig {
    /// Built, started, and with both in sync.
    pub(crate) fn new() -> Result<Rig, String> {
        let project = Project::open();
        let mut sets = Vec::new();
        let mut layers = Vec::new();
        let mut tree = None;
        for (name, _) in &MACHINES[..CLIENTS] {
            let chosen = servers(&project.spec, "arch5", Some(name)).map_err(|e| e.to_string())?;
            sets.extend(imagebuild::project::Project::sets(&chosen));
            project.fetch(&sets.iter().map(String::as_str).collect::<Vec<_>>());
            let plan = project.plan_of("arch5", name);
            layers.push(project.provide(&plan, "config-layer").path("layer.tar"));
            if tree.is_none() {
                tree = Some(project.provide(&plan, "packages").path("tree"));
            }
        }
        // Its own configuration is of no matter.
        layers.push(layers[2].clone());
        let lower = Lower { tree: tree.ok_or("no tree")?, layers };
        let folder = Scratch::new_in(&std::env::temp_dir());
        let switch = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        let nodes = (0..=CLIENTS).map(|place| Node::new(place, &lower, folder.path()));
        let nodes = nodes.collect::<Result<Vec<Node>, String>>()?;
        let next = Arc::new(AtomicU64::new(1));
        let mut rig = Rig { nodes, switch, lower, next, folder, _project: project };
        // The holder of the network is there before its network is.
        sleep(Duration::from_millis(200));
        let bridge = "ip link add switch type bridge && ip link set switch up";
        in_switch(&rig.lower.tree, rig.switch.id(), bridge)?;
        for place in 0..=CLIENTS {
            rig.start(place)?;
        }
        rig.wait_until_whole()?;
        rig.make_table()?;
        Ok(rig)
    }

    /// Where clients' rows are.
    pub(crate) fn make_table(&self) -> Result<(), String> {
        let table = "mariadb -e 'CREATE TABLE IF NOT EXISTS app.ledger (id BIGINT PRIMARY KEY) ENGINE = InnoDB'";
        self.node(Whom::Primary)?.run(table).map(drop)
    }

    pub(crate) fn start(&mut self, place: usize) -> Result<(), String> {
        let switch = self.switch.id();
        self.nodes[place].start(switch)
    }

    pub(crate) fn power_off(&mut self, place: usize) -> Result<(), String> {
        let switch = self.switch.id();
        self.nodes[place].power_off(switch)
    }

    pub(crate) fn place(&self, whom: Whom) -> Result<usize, String> {
        let is_primary = |place: &usize| {
            let node = &self.nodes[*place];
            node.is_on() && node.state("role") == "primary" && node.state("database") == "up"
        };
        let primary = || (0..2).find(is_primary).ok_or_else(|| "nobody is the primary".to_owned());
        match whom {
            Whom::Primary => primary(),
            Whom::Replica => primary().map(|place| 1 - place),
            Whom::Witness => Ok(2),
        }
    }

    pub(crate) fn node(&self, whom: Whom) -> Result<&Node, String> {
        Ok(&self.nodes[self.place(whom)?])
    }

    fn is_whole(&self) -> bool {
        let is_well = |node: &Node| {
            let well =
                node.is_on() && node.state("both") == "yes" && node.state("needs").is_empty();
            well && (!node.is_database() || node.state("database") == "up")
        };
        self.nodes[..CLIENTS].iter().all(is_well) && self.place(Whom::Primary).is_ok()
    }

    pub(crate) fn wait_until_whole(&self) -> Result<(), String> {
        wait_until("both databases are in sync", 1200, || self.is_whole())
    }

    /// One fault with its ends, so many times; shows how long no write was acknowledged.
    pub(crate) fn judge(
        &mut self,
        name: &str,
        (fault, lasts): (Fault, u64),
        promise: Option<u64>,
        rounds: u64,
    ) -> Result<(), String> {
        let mut gaps = Vec::new();
        for _ in 0..rounds {
            gaps.push(self.play(&[(fault, Duration::from_millis(lasts))])?.as_millis());
        }
        gaps.sort_unstable();
        let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        let promise = promise.map_or("no promise".to_owned(), |ms| format!("promised {ms} ms"));
        println!(
            "{name}: {median} ms without an acknowledged write, at most {worst} ms of {rounds}; {promise}"
        );
        Ok(())
    }

    /// Faults one after the other's beginning, while clients write; then nothing may be missing,
    /// and both must be in sync again.
    pub(crate) fn play(&mut self, history: &[(Fault, Duration)]) -> Result<Duration, String> {
        self.wait_until_whole()?;
        let ledger = Ledger::start(&self.nodes[CLIENTS], &self.next)?;
        sleep(Duration::from_millis(1200));
        let began = Instant::now();
        let mut ends = Vec::new();
        for (place, (fault, lasts)) in history.iter().enumerate() {
            let at = Duration::from_millis(700 * place as u64);
            self.end_those_due(&mut ends, began + at)?;
            sleep((began + at).saturating_duration_since(Instant::now()));
            // Of a fault that has just deposed the primary there is none for a moment.
            if let Some(place) = self.begin(*fault)? {
                ends.push((began + at + *lasts, *fault, place));
            }
        }
        self.end_those_due(&mut ends, began + Duration::from_secs(3600))?;
        let ended = Instant::now();
        self.wait_until_whole()?;
        wait_until("writes go on", 300, || ledger.has_written_since(ended))?;
        sleep(Duration::from_millis(300));
        let gap = ledger.gap(began);
        let acknowledged = ledger.end();
        self.wait_until_whole()?;
        for whom in [Whom::Primary, Whom::Replica] {
            self.has_all(whom, &acknowledged)?;
        }
        let truncate = "mariadb -e 'TRUNCATE app.ledger'";
        self.node(Whom::Primary)?.run(truncate)?;
        Ok(gap)
    }

    pub(crate) fn has_all(&self, whom: Whom, acknowledged: &[u64]) -> Result<(), String> {
        let node = self.node(whom)?;
        let read = || -> Result<BTreeSet<u64>, String> {
            let text = node.run("mariadb -BN -e 'SELECT id FROM app.ledger'")?;
            Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
        };
        // A replica has received it, and applies it in a moment.
        let missing = || -> Result<Vec<u64>, String> {
            let there = read()?;
            Ok(acknowledged.iter().copied().filter(|id| !there.contains(id)).collect())
        };
        let all_there = wait_until("all rows", 600, || missing().is_ok_and(|none| none.is_empty()));
        all_there.map_err(|_| {
            let missing = missing();
            let (name, all) = (node.name(), acknowledged.len());
            format!("{name} lacks some of {all} acknowledged rows: {missing:?}")
        })
    }

    fn end_those_due(
        &mut self,
        ends: &mut Vec<(Instant, Fault, usize)>,
        until: Instant,
    ) -> Result<(), String> {
        ends.sort_by_key(|(at, _, _)| *at);
        while let Some((at, fault, place)) = ends.first().copied() {
            if at > until {
                break;
            }
            sleep(at.saturating_duration_since(Instant::now()));
            ends.remove(0);
            self.end(fault, place)?;
        }
        Ok(())
    }

    /// Begins it; gives the machine, if there is one that it fits now.
    pub(crate) fn begin(&mut self, fault: Fault) -> Result<Option<usize>, String> {
        let whom = match fault {
            Fault::PowerCut(whom)
            | Fault::Replaced(whom)
            | Fault::DatabaseKilled(whom)
            | Fault::DatabaseHangs(whom)
            | Fault::CutOff(whom)
            | Fault::AgentKilled(whom)
            | Fault::AgentHangs(whom)
            | Fault::KeepalivedKilled(whom)
            | Fault::Stopped(whom) => whom,
            Fault::Apart | Fault::AllOff => Whom::Witness,
        };
        let Ok(place) = self.place(whom) else { return Ok(None) };
        if !self.nodes[place].is_on() {
            return Ok(None);
        }
        let node = &self.nodes[place];
        match fault {
            Fault::PowerCut(_) => self.power_off(place)?,
            Fault::Replaced(_) => {
                self.power_off(place)?;
                self.nodes[place].blank()?;
            }
            // It may be dead already.
            Fault::DatabaseKilled(_) => drop(node.run("systemctl kill mariadb.service")),
            Fault::DatabaseHangs(_) => drop(node.signal("STOP", "mariadbd")),
            Fault::CutOff(_) => self.link(place, "nomaster")?,
            Fault::Apart => self.apart(true),
            Fault::AgentKilled(_) => drop(node.signal("KILL", "imagebuild-repl")),
            Fault::AgentHangs(_) => drop(node.signal("STOP", "imagebuild-repl")),
            Fault::KeepalivedKilled(_) => drop(node.signal("KILL", "keepalived")),
            Fault::Stopped(_) => {
                drop(node.run("imagebuild-replication leave && systemctl stop mariadb.service"));
                self.power_off(place)?;
            }
            Fault::AllOff => {
                for place in 0..3 {
                    if self.nodes[place].is_on() {
                        self.power_off(place)?;
                    }
                }
            }
        }
        Ok(Some(place))
    }

    /// Ends it; what another fault has ended already stays so.
    pub(crate) fn end(&mut self, fault: Fault, place: usize) -> Result<(), String> {
        let node = &self.nodes[place];
        match fault {
            Fault::PowerCut(_) | Fault::Replaced(_) | Fault::Stopped(_) => {
                if !node.is_on() {
                    self.start(place)?;
                }
            }
            Fault::DatabaseKilled(_) => drop(node.run("systemctl start mariadb.service")),
            Fault::DatabaseHangs(_) => drop(node.signal("CONT", "mariadbd")),
            Fault::CutOff(_) if node.is_on() => self.link(place, "master switch")?,
            Fault::CutOff(_) => {}
            Fault::Apart => self.apart(false),
            Fault::AgentKilled(_) => {
                // A machine that was off meanwhile has started one.
                let command = "pgrep -x imagebuild-repl >/dev/null";
                if node.is_on() && node.run(command).is_err() {
                    node.start_agent()?;
                }
            }
            Fault::AgentHangs(_) => drop(node.signal("CONT", "imagebuild-repl")),
            Fault::KeepalivedKilled(_) => {
                if node.is_on() && node.run("pgrep -x keepalived >/dev/null").is_err() {
                    node.start_keepalived()?;
                }
            }
            Fault::AllOff => {
                for place in 0..3 {
                    if !self.nodes[place].is_on() {
                        self.start(place)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The link keeps its carrier; the switch does not forward.
    fn link(&self, place: usize, state: &str) -> Result<(), String> {
        let command = format!("ip link set port{place} {state}");
        in_switch(&self.lower.tree, self.switch.id(), &command)
    }

    fn apart(&self, begins: bool) {
        for place in 0..2 {
            let other = MACHINES[1 - place].1;
            let command = if begins {
                format!(
                    "nft 'add table ip apart; add chain ip apart in {{ type filter hook input priority 0; }}; \
                     add rule ip apart in ip saddr {other} drop'"
                )
            } else {
                "nft delete table ip apart".to_owned()
            };
            // A machine that was off meanwhile has lost its table.
            drop(self.nodes[place].run(&command));
        }
    }

    /// What the agents said last, and the states.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes[..CLIENTS] {
            let log = fs::read_to_string(node.folder.join("upper/var/log/agent.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            text += &format!("--- {}\n{last}\n", node.name());
            if node.is_on() {
                text += &node.run("cat /run/imagebuild/pair/state").unwrap_or_default();
                text += &node.run("tail -n 5 /run/mariadb.log").unwrap_or_default();
            }
        }
        text + &format!("in {}", self.folder.path().display())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.nodes.clear();
        drop(self.switch.kill());
        drop(self.switch.wait());
    }
}
