//! What the boot tests share: the images, built once by the program itself, QEMU of the
//! lock, and at most two machines at a time.

pub(crate) mod ask;
pub(crate) mod seed;

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::lock::fetch::{Fetcher, Patience};
use imagebuild::lock::file::Lock;
use imagebuild::lock::mirror::Mirrors;
use imagebuild::lock::pool::{Outcome, Pool};
use imagebuild::plan::server::{Plan, TOOLS, VM_TOOLS};
use imagebuild::sandbox::{self, Root, Sandbox};
use imagebuild::store::Store;
use imagebuild::vm::{Cable, DiskConfig, Emulator, MachineConfig};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// The application's password; with what SQL and shells stumble over.
pub(crate) const PASSWORD: &str = r#"it's \ a "password", 100 %"#;

/// A size that every image can grow to.
pub(crate) const LARGER: u64 = 8 << 30;

/// All that is made once.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    /// Folder with the images.
    pub(crate) out: PathBuf,
    /// The closure that builds images.
    pub(crate) tools: PathBuf,
    /// An SSH host key.
    pub(crate) host_key: Vec<u8>,
}

pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        sandbox::use_helper(env!("CARGO_BIN_EXE_imagebuild"));
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot");
        std::fs::create_dir_all(out.join("logs")).unwrap();
        build("web1", "qcow2", &out);
        build("database1", "qcow2", &out);
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let store = Store::open(&Store::default_root()).unwrap();
        let lock = Lock::read(&project.join("imagebuild.lock")).unwrap();
        fetch(&store, &lock);
        let plan = Plan::of_tools(&lock, TOOLS).unwrap();
        let tools = Build::new(&store, &plan).provide(plan.steps[0].key).unwrap().path("tree");
        let emulator = Emulator::provide(&store, &lock).unwrap();
        let host_key = host_key(&tools);
        World { emulator, out, tools, host_key }
    })
}

/// Builds a server, as a user would.
pub(crate) fn build(server: &str, format: &str, out: &Path) {
    Program::new(env!("CARGO_BIN_EXE_imagebuild"))
        .args(["arch4", "--role", server, "--format", format, "--out"])
        .arg(out)
        .envs(std::env::vars_os())
        .dir(env!("CARGO_MANIFEST_DIR"))
        .run()
        .unwrap_or_else(|e| panic!("{e}"));
}

fn fetch(store: &Store, lock: &Lock) {
    let mirrors = Mirrors::choose(None, None, Path::new("/")).unwrap();
    let pool = Pool::new(store.root(), mirrors, Fetcher::new(Patience::default()), lock).unwrap();
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
    /// The shipped file.
    pub(crate) fn image(&self, server: &str) -> PathBuf {
        self.out.join(format!("arch4-{server}.qcow2"))
    }

    /// First byte and bytes of a partition.
    pub(crate) fn partition(&self, server: &str, label: &str) -> (u64, u64) {
        let json = std::fs::read(self.out.join(format!("arch4-{server}.json"))).unwrap();
        let manifest: Value = serde_json::from_slice(&json).unwrap();
        let partitions = manifest["map"]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["label"] == label).unwrap();
        (one["offset"].as_u64().unwrap(), one["size"].as_u64().unwrap())
    }

    /// A server without a seed; `test` names its console's log. Both cards are there on
    /// database1, too: its only network is on eth1.
    pub(crate) fn bare(&self, server: &str, test: &str) -> MachineConfig {
        let disk = DiskConfig::of_image(self.image(server));
        let config = MachineConfig::new(&format!("{server}-{test}"), disk);
        config.logs(self.out.join("logs")).nic(Cable::Loose).nic(Cable::Loose)
    }

    /// A server with all its credentials in SMBIOS.
    pub(crate) fn seeded(&self, server: &str, test: &str) -> MachineConfig {
        let with = |config: MachineConfig, (name, content): (String, Vec<u8>)| {
            config.credential(&name, content)
        };
        self.credentials().into_iter().fold(self.bare(server, test), with)
    }

    /// What a seed holds.
    pub(crate) fn credentials(&self) -> Vec<(String, Vec<u8>)> {
        vec![
            ("ssh.host-key-ed25519".to_owned(), self.host_key.clone()),
            ("database.app-password".to_owned(), PASSWORD.into()),
            ("timers.factor".to_owned(), b"20".to_vec()),
        ]
    }
}

/// One of the two machines that may run at a time.
pub(crate) struct Place;

static TAKEN: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

impl Place {
    pub(crate) fn take() -> Place {
        let taken = TAKEN.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = TAKEN.1.wait_while(taken, |taken| *taken >= 2);
        *taken.unwrap_or_else(PoisonError::into_inner) += 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TAKEN.1.notify_one();
    }
}
