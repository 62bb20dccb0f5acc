//! An architecture's machines on their networks: booted from the shipped images, watched,
//! restored between scenarios. A guard: the machines end with it.

use super::clients::{self, NetworkClients};
use super::credentials::Credentials;
use super::dhcp::{interfaces, leases};
use super::outcome::{MachineFacts, Run};
use crate::error::{Error, Result};
use crate::names;
use crate::netsim::{Router, Segment};
use crate::progress;
use crate::qemu::RunFolder;
use crate::qemu::{
    Accelerator, Cable, DiskConfig, Emulator, Machine, MachineConfig, Snapshot, accelerator,
};
use crate::seed::Shown;
use crate::spec::{Architecture, Network, Server, Spec};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The role whose timers must not be too short for an emulated machine.
const TIMED: &str = "heartbeat";
/// What timers are multiplied by on a machine that boots before anything was measured.
const ASSUMED_TIME_SCALE: u32 = 12;
/// Before the number of a copy, in the name of its folder for logs.
const COPY: &str = "copy";

/// What a topology is booted from.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// QEMU.
    pub emulator: Emulator,
    /// The shipped image of each server.
    pub images: BTreeMap<String, PathBuf>,
    /// The unpacked closure that makes keys.
    pub tools: PathBuf,
    /// Folder for consoles and captures.
    pub logs: PathBuf,
    /// What timers and bounds are multiplied by; measured, if nothing is said.
    pub time_scale: Option<u32>,
}

/// The topology, up.
#[derive(Debug)]
pub struct Cluster<'a> {
    pub(super) spec: &'a Spec,
    pub(super) architecture: &'a Architecture,
    pub(super) config: ClusterConfig,
    pub(super) credentials: Credentials,
    /// What timers and bounds are multiplied by.
    pub(super) time_scale: u32,
    /// Those that are on, and those whose power was cut.
    pub(super) machines: BTreeMap<String, Machine>,
    pub(super) clients: NetworkClients,
    pub(super) networks: BTreeMap<String, Segment>,
    /// What executes the guests' instructions.
    accelerator: String,
    /// Seconds until all machines were up.
    pub(super) boot_seconds: f64,
    /// Whether a scenario has run since the machines were last restored.
    pub(super) is_touched: bool,
    /// The machines as they were once all was well.
    pub(super) baseline: Vec<Snapshot>,
    // Last: the others have their states and their sockets in them.
    pub(super) baseline_folder: Arc<RunFolder>,
    _folder: RunFolder,
}

impl<'a> Cluster<'a> {
    /// Boots all machines of `architecture` and waits until they are well. If a network
    /// of it gives the addresses, it must be what [`leased`](super::leased()) made of it.
    ///
    /// # Errors
    /// `Check` when they do not get there, `Build` when the harness breaks.
    pub fn set_up(
        spec: &'a Spec,
        architecture: &'a Architecture,
        config: ClusterConfig,
    ) -> Result<Cluster<'a>> {
        let folder = RunFolder::new()?;
        empty_of_consoles(&config.logs)?;
        let networks = segments(architecture, |name| Segment::new(name, folder.path()), &config)?;
        let assumed = if accelerator()? == Accelerator::Tcg { ASSUMED_TIME_SCALE } else { 1 };
        let time_scale = config.time_scale;
        let mut cluster = Cluster {
            spec,
            architecture,
            credentials: Credentials::make(spec, architecture, &config.tools)?,
            config,
            time_scale: time_scale.unwrap_or(assumed),
            machines: BTreeMap::new(),
            clients: NetworkClients::attach(architecture, &networks)?,
            networks,
            accelerator: format!("{:?}", accelerator()?).to_uppercase(),
            boot_seconds: 0.0,
            is_touched: false,
            baseline: Vec::new(),
            baseline_folder: Arc::new(RunFolder::new()?),
            _folder: folder,
        };
        let start = Instant::now();
        cluster.boot_all()?;
        // Measured once: those who boot again, or beside it, have the same.
        cluster.config.time_scale = Some(cluster.time_scale);
        cluster.wait_until_healthy()?;
        cluster.boot_seconds = start.elapsed().as_secs_f64();
        cluster.save_baseline()?;
        Ok(cluster)
    }

    /// Another cluster for the same scenarios, whose machines will go on from the moment that
    /// this one kept. Consoles and captures are in a folder of their own: `copy2`.
    ///
    /// # Errors
    /// When the host has no more threads or sockets, or a file cannot be written.
    pub(super) fn copy(&self, number: usize) -> Result<Cluster<'a>> {
        let folder = RunFolder::new()?;
        let logs = self.config.logs.join(format!("{COPY}{number}"));
        let config = ClusterConfig { logs, ..self.config.clone() };
        empty_of_consoles(&config.logs)?;
        let seeded = |name: &str| {
            let seed = self.networks.get(name).map_or(0, Segment::seed);
            Segment::seeded(name, folder.path(), seed)
        };
        let networks = segments(self.architecture, seeded, &config)?;
        let mut copy = Cluster {
            spec: self.spec,
            architecture: self.architecture,
            credentials: self.credentials.clone(),
            config,
            time_scale: self.time_scale,
            machines: BTreeMap::new(),
            clients: NetworkClients::attach(self.architecture, &networks)?,
            networks,
            accelerator: self.accelerator.clone(),
            boot_seconds: self.boot_seconds,
            // Restored before anything is done with it.
            is_touched: true,
            baseline: self.baseline.clone(),
            baseline_folder: Arc::clone(&self.baseline_folder),
            _folder: folder,
        };
        for server in self.architecture.servers.values() {
            let config = copy.config_of(server)?;
            let own = copy.baseline.iter_mut().find(|kept| kept.config.name == server.name);
            if let Some(kept) = own {
                (kept.config.nics, kept.config.logs) = (config.nics, config.logs);
            }
        }
        Ok(copy)
    }

    /// Passwords of which the machines know only hashes.
    pub fn passwords(&self) -> &[Shown] {
        &self.credentials.shown
    }

    /// First the machines without a heartbeat: how fast they boot gives the time scale of the
    /// others. Where all have one, as many as boot at a time are started for that alone: a
    /// machine cannot be told another time scale than it was started with, and bounds must
    /// never have another one than the guests.
    pub(super) fn boot_all(&mut self) -> Result<()> {
        let architecture = self.architecture;
        let is_timed = |server: &&Server| server.has_role(TIMED);
        let (timed, others): (Vec<&Server>, Vec<&Server>) =
            architecture.servers.values().partition(is_timed);
        // As many at a time as there are processors: more would only be slower.
        let at_a_time = host_processors().max(2);
        if others.is_empty() {
            self.measure_with(&timed[..timed.len().min(at_a_time)])?;
        }
        for batch in [others, timed] {
            for some in batch.chunks(at_a_time) {
                for server in some {
                    self.start_machine(server)?;
                }
                for server in some {
                    self.await_shell(&server.name)?;
                }
            }
            let is_measured =
                self.config.time_scale.is_none() && accelerator()? == Accelerator::Tcg;
            let others = batch.first().filter(|first| is_measured && !first.has_role(TIMED));
            if let Some(machine) = others.and_then(|first| self.machines.get(&first.name)) {
                self.time_scale = time_scale(machine.speed().slowdown());
            }
        }
        Ok(())
    }

    /// Starts machines, measures how fast they get to their shells, and throws them away. All
    /// together: one alone on two processors is much faster than it will ever be again.
    fn measure_with(&mut self, servers: &[&Server]) -> Result<()> {
        if self.config.time_scale.is_some() || accelerator()? != Accelerator::Tcg {
            return Ok(());
        }
        for server in servers {
            self.start_machine(server)?;
        }
        for server in servers {
            self.await_shell(&server.name)?;
        }
        let mut slowest = 1;
        for (_, mut machine) in std::mem::take(&mut self.machines) {
            slowest = slowest.max(time_scale(machine.speed().slowdown()));
            machine.kill()?;
        }
        self.time_scale = slowest;
        empty_of_consoles(&self.config.logs)
    }

    /// A machine with a fresh overlay of its image.
    fn start_machine(&mut self, server: &Server) -> Result<()> {
        let config = self.config_of(server)?;
        let machine = Machine::launch(&self.config.emulator, config)?;
        progress::step("Starting", format!("{} (timers x {})", server.name, self.time_scale));
        self.machines.insert(server.name.clone(), machine);
        Ok(())
    }

    fn config_of(&self, server: &Server) -> Result<MachineConfig> {
        let image = self
            .config
            .images
            .get(&server.name)
            .ok_or_else(|| Error::build(format!("there is no image of {}", server.name)))?;
        let config = MachineConfig::new(&server.name, DiskConfig::of_image(image));
        let processors = processors_of_each(self.architecture.servers.len());
        let mut config = config.logs(&self.config.logs).processors(processors);
        // The kernel numbers interfaces in their order, and each network has its number.
        for network in interfaces(self.architecture) {
            let is_on = server.addresses.contains_key(network);
            let segment = self.networks.get(network).filter(|_| is_on);
            config = config.nic(match segment {
                Some(segment) => segment.plug(&server.name)?,
                None => Cable::Loose,
            });
        }
        Ok(self.credentials.give(self.spec, server, self.time_scale, config))
    }

    /// The number of the interface that a machine has on a network.
    pub(super) fn interface(&self, network: &str) -> Result<usize> {
        let interfaces = interfaces(self.architecture);
        interfaces.iter().position(|name| *name == network).ok_or_else(|| {
            Error::input(format!("there is no network {network}"))
                .hint(names::suggest(network, interfaces.iter().copied()))
        })
    }

    fn await_shell(&mut self, name: &str) -> Result<()> {
        let machine = self.machine(name)?;
        let uptime = machine.wait_for_shell()?;
        let speed = machine.speed().slowdown();
        progress::step(
            "Up",
            format!("{name}: shell after {:.1} s, {speed:.1} times slower", uptime.as_secs_f64()),
        );
        Ok(())
    }

    /// A machine.
    pub(super) fn machine(&mut self, name: &str) -> Result<&mut Machine> {
        let known = || self.architecture.servers.keys().map(String::as_str);
        if !self.machines.contains_key(name) {
            let hint = names::suggest(name, known().collect::<Vec<_>>());
            return Err(Error::input(format!("there is no machine {name}")).hint(hint));
        }
        self.machines.get_mut(name).ok_or_else(|| Error::build(format!("{name} is gone")))
    }

    /// Hands a machine over, for what no scenario asks. Whatever is done to it, the machines
    /// are restored before the next scenario.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn take(&mut self, name: &str) -> Result<Machine> {
        self.machine(name)?;
        self.is_touched = true;
        self.machines.remove(name).ok_or_else(|| Error::build(format!("{name} is gone")))
    }

    /// Takes a machine back.
    pub fn give_back(&mut self, machine: Machine) {
        self.machines.insert(machine.config().name.clone(), machine);
    }

    /// Writes a comment into the captures.
    pub(super) fn mark(&self, text: &str) {
        self.networks.values().for_each(|segment| segment.mark(text));
    }

    /// A segment.
    pub(super) fn segment(&self, network: &str) -> Result<&Segment> {
        self.networks
            .get(network)
            .ok_or_else(|| Error::input(format!("there is no network {network}")))
    }

    /// Seconds between two VRRP adverts.
    pub(super) fn advert(&self) -> f64 {
        f64::from(self.architecture.timers.vrrp_advert_ms) / 1000.0 * f64::from(self.time_scale)
    }

    /// What is known of the machines; no scenario has been run.
    pub fn facts(&self) -> Run {
        let of = |machine: &Machine| MachineFacts {
            slowdown: machine.speed().slowdown(),
            forgiven_panics: machine.forgiven_panics(),
        };
        Run {
            architecture: self.architecture.name.clone(),
            title: self.architecture.title.clone(),
            accelerator: self.accelerator.clone(),
            time_scale: f64::from(self.time_scale),
            advert_seconds: self.advert(),
            machines: self.machines.iter().map(|(name, one)| (name.clone(), of(one))).collect(),
            seeds: self.networks.iter().map(|(name, one)| (name.clone(), one.seed())).collect(),
            boot_seconds: self.boot_seconds,
            outcomes: Vec::new(),
            logs: self.config.logs.display().to_string(),
            cut_short: None,
        }
    }

    /// Ends all machines in an orderly way, and completes the captures.
    ///
    /// # Errors
    /// When a QEMU does not end, or a capture is not whole.
    pub fn shut_down(mut self) -> Result<()> {
        // Those whose power is cut have nothing left to end; what they said was judged at the
        // end of each scenario.
        let on = self.machines.values_mut().filter(|machine| machine.is_on());
        let mut ends: Vec<Result<()>> = on.map(Machine::kill).collect();
        ends.extend(self.networks.values().map(Segment::end_capture));
        ends.into_iter().collect()
    }
}

/// The networks of `architecture`, recorded into the folder for logs.
fn segments(
    architecture: &Architecture,
    new: impl Fn(&str) -> Result<Segment>,
    config: &ClusterConfig,
) -> Result<BTreeMap<String, Segment>> {
    let mut all = BTreeMap::new();
    for network in architecture.networks.values() {
        let segment = new(&network.name)?;
        segment.capture(&config.logs.join(format!("{}.pcapng", network.name)))?;
        if let Some(leases) = leases(architecture, network) {
            segment.leases(leases);
        }
        if network.routed {
            segment.route(router(architecture, network, &segment)?)?;
        }
        all.insert(network.name.clone(), segment);
    }
    Ok(all)
}

/// The router of a routed network: it knows the servers' addresses, and those of the clients.
fn router(architecture: &Architecture, network: &Network, segment: &Segment) -> Result<Router> {
    let gateways = network.gateway_v4.map(IpAddr::from).into_iter();
    let mut router = Router::new(gateways.chain(network.gateway_v6.map(IpAddr::from)));
    for server in architecture.servers.values() {
        if let Some(own) = server.addresses.get(&network.name) {
            segment.plug(&server.name)?;
            router = router.host(&server.name, own.all());
        }
    }
    for (port, clients) in clients::of_routed(network)? {
        segment.plug(port)?;
        router = router.host(port, clients.iter().map(|client| client.address));
    }
    // As the provider's route for all else, which its user makes for the way out.
    let nat = architecture.nat.as_ref().filter(|nat| nat.enabled && network.name != "public");
    Ok(match nat {
        Some(nat) => router.way_out(&nat.through),
        None => router,
    })
}

/// Makes the folder; consoles of an earlier run go, as machines add to their own, and so do
/// the folders of its copies.
fn empty_of_consoles(logs: &Path) -> Result<()> {
    crate::fs::create_dir_all(logs)?;
    let entries = std::fs::read_dir(logs).map_err(|e| Error::io("list", logs, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("list", logs, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(COPY).map(str::parse::<usize>);
        let removed = if path.is_dir() && matches!(number, Some(Ok(_))) {
            std::fs::remove_dir_all(&path)
        } else if path.extension().is_some_and(|extension| extension == "console") {
            std::fs::remove_file(&path)
        } else {
            Ok(())
        };
        removed.map_err(|e| Error::io("remove", &path, &e))?;
    }
    Ok(())
}

/// Processors of each of so many machines: two, if the host has as many for every one.
/// Emulated processors that wait for each other's turn cost more than they bring.
pub(super) fn processors_of_each(machines: usize) -> u32 {
    if host_processors() >= 2 * machines { 2 } else { 1 }
}

pub(super) fn host_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Timers' time scale for a machine of such a speed: a whole number, as the machines read it.
/// Booting keeps a processor busy all the time; timers only need their turn now and then.
fn time_scale(speed: f64) -> u32 {
    // More than a hundred would be a host on which nothing can be measured.
    (speed * TIMERS_SHARE).ceil().clamp(1.0, 100.0) as u32
}

/// See [`time_scale`]. An estimate on the safe side: what was tried is a time scale of 8 for
/// machines that were 20 to 30 times slower, three of them on two busy cores.
const TIMERS_SHARE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::time_scale;

    #[test]
    fn timers_are_scaled_by_whole_numbers() {
        assert_eq!([0.2, 1.0, 9.1, 500.0].map(time_scale), [1, 1, 7, 100]);
    }
}
