//! What the boot tests share: the images, built once by the program itself, QEMU of the
//! lock, and at most two machines at a time.

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::lock::fetch::{Fetcher, Patience};
use imagebuild::lock::file::Lock;
use imagebuild::lock::mirror::Mirrors;
use imagebuild::lock::pool::{Outcome, Pool};
use imagebuild::plan::server::{Plan, TOOLS, VM_TOOLS};
use imagebuild::sandbox::{self, Root, Sandbox};
use imagebuild::store::Store;
use imagebuild::vm::{Cable, DiskConfig, Emulator, Machine, MachineConfig};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::Duration;

/// The application's password; with what SQL and shells stumble over.
pub const PASSWORD: &str = "it's \\ a \"password\", 100 %";

const GIB: u64 = 1 << 30;

/// Seconds of a machine with KVM.
pub const fn native(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All that is made once.
pub struct World {
    pub emulator: Emulator,
    /// Folder with the images.
    pub out: PathBuf,
    /// Folder for consoles' logs.
    pub logs: PathBuf,
    /// The tree of the closure that builds images.
    pub tools: PathBuf,
    /// An SSH host key.
    pub host_key: Vec<u8>,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let program = env!("CARGO_BIN_EXE_imagebuild");
        sandbox::use_helper(program);
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot");
        std::fs::create_dir_all(&out).unwrap();
        Program::new(program)
            .args(["arch4", "--out"])
            .arg(&out)
            .envs(std::env::vars_os())
            .dir(env!("CARGO_MANIFEST_DIR"))
            .run()
            .unwrap_or_else(|e| panic!("{e}"));
        let logs = out.join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        let store = Store::open(&Store::default_root()).unwrap();
        let lock =
            Lock::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("imagebuild.lock")).unwrap();
        fetch(&store, &lock);
        let plan = Plan::of_tools(&lock, TOOLS).unwrap();
        let tools = Build::new(&store, &plan).provide(plan.steps[0].key).unwrap().path("tree");
        let emulator = Emulator::provide(&store, &lock).unwrap();
        let host_key = host_key(&tools);
        World { emulator, out, logs, tools, host_key }
    })
}

fn fetch(store: &Store, lock: &Lock) {
    let mirrors = Mirrors::choose(None, None, Path::new("/")).unwrap();
    let fetcher = Fetcher::new(Patience::default());
    let pool = Pool::new(store.root(), mirrors, fetcher, lock).unwrap();
    let outcome = pool.ensure(&lock.set(VM_TOOLS).unwrap()).unwrap();
    assert!(matches!(outcome, Outcome::Complete { .. }), "{outcome:?}");
}

fn host_key(tools: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    Sandbox::new(Root::ReadOnly(tools.to_owned()), 0)
        .bind_writable(folder.path(), "/out")
        .run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "/out/key"])
        .execute()
        .unwrap();
    std::fs::read(folder.path().join("key")).unwrap()
}

impl World {
    pub fn image(&self, server: &str) -> PathBuf {
        self.out.join(format!("arch4-{server}.qcow2"))
    }

    /// First byte and bytes of a partition.
    pub fn partition(&self, server: &str, label: &str) -> (u64, u64) {
        let json = std::fs::read(self.out.join(format!("arch4-{server}.json"))).unwrap();
        let manifest: Value = serde_json::from_slice(&json).unwrap();
        let partitions = manifest["map"]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["label"] == label).unwrap();
        (one["offset"].as_u64().unwrap(), one["size"].as_u64().unwrap())
    }

    /// A server without a seed; `test` names the log.
    pub fn bare(&self, server: &str, test: &str) -> MachineConfig {
        let disk = DiskConfig::of_image(self.image(server));
        let config = MachineConfig::new(&format!("{test}-{server}"), disk).logs(&self.logs);
        match server {
            // Only the private network: its card is eth1 in the book, so eth0 is there, too.
            _ => config.nic(Cable::Loose).nic(Cable::Loose),
        }
    }

    /// A server with all its credentials in SMBIOS.
    pub fn seeded(&self, server: &str, test: &str) -> MachineConfig {
        self.bare(server, test)
            .credential("ssh.host-key-ed25519", self.host_key.clone())
            .credential("database.app-password", PASSWORD)
            .credential("timers.factor", "20")
    }
}

/// A size that every image can grow to.
pub const LARGER: u64 = 8 * GIB;

/// One of the two machines that may run at a time.
pub struct Place;

static TAKEN: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

impl Place {
    pub fn take() -> Place {
        let taken = TAKEN.0.lock().unwrap();
        let mut taken = TAKEN.1.wait_while(taken, |taken| *taken >= 2).unwrap();
        *taken += 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.0.lock().unwrap() -= 1;
        TAKEN.1.notify_one();
    }
}

/// What tests ask of machines; a failure shows the console's tail.
pub trait Ask {
    /// What a command prints; it must end with 0.
    fn ask(&mut self, command: &str) -> String;
    /// Whether a command ends with 0.
    fn holds(&mut self, command: &str) -> bool;
    /// Boots up to the shell.
    fn boot(&mut self);
}

impl Ask for Machine {
    fn ask(&mut self, command: &str) -> String {
        self.succeed(command, native(5)).unwrap_or_else(|e| panic!("{e}"))
    }

    fn holds(&mut self, command: &str) -> bool {
        self.run(command, native(5)).unwrap_or_else(|e| panic!("{e}")).code == 0
    }

    fn boot(&mut self) {
        let uptime = self.wait_for_shell().unwrap_or_else(|e| panic!("{e}"));
        let (name, factor) = (&self.config().name, self.speed().factor());
        eprintln!(
            "{name}: shell at {:.1} s of uptime, speed factor {factor:.1}",
            uptime.as_secs_f64()
        );
    }
}

/// Switches a machine on.
pub fn start(config: MachineConfig) -> Machine {
    Machine::start(&world().emulator, config).unwrap_or_else(|e| panic!("{e}"))
}
