//! What the tests of machines share: the images, each built once by the program itself, and
//! QEMU of the lock. An image is named as its file is: `arch4-web1`.

use crate::project::{self, Project};
use imagebuild::plan::server::{TOOLS, VM_TOOLS};
use imagebuild::qemu::{Cable, DiskConfig, Emulator, MachineConfig};
use imagebuild::seed::Maker;
use imagebuild::spec::{Architecture, Server, Spec};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The application's password; with what SQL and shells stumble over.
pub(crate) const PASSWORD: &str = r#"it's \ a "password", 100 %"#;

/// munin's password, and `openssl passwd -apr1 -salt imagebld` of it.
pub(crate) const MUNIN_PASSWORD: &str = "graphs for all";
const MUNIN_HASH: &str = "munin:$apr1$imagebld$qXiv9IhMfnxud4xrmYT/z1\n";

/// A size that every image can grow to.
pub(crate) const LARGER: u64 = 8 << 30;

/// All that is made once.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    /// Folder with the images.
    pub(crate) out: PathBuf,
    /// The closure that builds images.
    pub(crate) tools: PathBuf,
    /// What the images are made from.
    pub(crate) project: Project,
    built: Mutex<BTreeMap<String, Arc<OnceLock<()>>>>,
}

pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
        std::fs::create_dir_all(logs()).unwrap();
        let project = Project::open();
        project.fetch(&[TOOLS, VM_TOOLS]);
        let tools = project.tools(TOOLS);
        let emulator = Emulator::provide(&project.store, &project.lock).unwrap();
        World { emulator, out, tools, project, built: Mutex::default() }
    })
}

/// Folder with the consoles of all machines.
pub(crate) fn logs() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot")
}

/// Builds a server, as a user would.
pub(crate) fn build(image: &str, format: &str, out: &Path) {
    let (architecture, server) = image.split_once('-').unwrap();
    project::build(&[architecture, "--role", server, "--format", format], out);
}

impl World {
    pub(crate) fn spec(&self) -> &Spec {
        &self.project.spec
    }

    /// All servers of an architecture, built in one run.
    pub(crate) fn images(&self, architecture: &Architecture) -> BTreeMap<String, PathBuf> {
        project::build(&[&architecture.name], &self.out);
        let file = |server: &Server| self.out.join(format!("{}.qcow2", server.image_id));
        let servers = architecture.servers.values();
        servers.map(|server| (server.name.clone(), file(server))).collect()
    }

    /// The shipped file.
    pub(crate) fn image(&self, image: &str) -> PathBuf {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let once = Arc::clone(built.entry(image.to_owned()).or_default());
        drop(built);
        once.get_or_init(|| build(image, "qcow2", &self.out));
        self.out.join(format!("{image}.qcow2"))
    }

    /// What the spec says of it.
    pub(crate) fn server(&self, image: &str) -> (&Architecture, &Server) {
        let (architecture, server) = image.split_once('-').unwrap();
        let architecture = self.project.spec.architecture(architecture).unwrap();
        (architecture, architecture.server(server).unwrap())
    }

    /// First byte and bytes of a partition.
    pub(crate) fn partition(&self, image: &str, label: &str) -> (u64, u64) {
        let json = std::fs::read(self.image(image).with_extension("json")).unwrap();
        let manifest: Value = serde_json::from_slice(&json).unwrap();
        let partitions = manifest["map"]["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|one| one["label"] == label).unwrap();
        (one["offset"].as_u64().unwrap(), one["size"].as_u64().unwrap())
    }

    /// A server without a seed; `test` names its console's log. Both cards are there on
    /// database servers, too: their only network is on eth1. One processor each, as there
    /// are more machines at a time than this host has.
    pub(crate) fn bare(&self, image: &str, test: &str) -> MachineConfig {
        let disk = DiskConfig::of_image(self.image(image));
        let config = MachineConfig::new(&format!("{image}-{test}"), disk);
        config.logs(logs()).processors(1).nic(Cable::Loose).nic(Cable::Loose)
    }

    /// A server with all its credentials in SMBIOS.
    pub(crate) fn seeded(&self, image: &str, test: &str) -> MachineConfig {
        let with = |config: MachineConfig, (name, content): (String, Vec<u8>)| {
            config.credential(&name, content)
        };
        self.credentials(image).into_iter().fold(self.bare(image, test), with)
    }

    /// What a seed holds: made as `imagebuild seed` makes it, but for passwords that the
    /// tests must know.
    pub(crate) fn credentials(&self, image: &str) -> Vec<(String, Vec<u8>)> {
        let (_, server) = self.server(image);
        let maker = Maker { tools: &self.tools, site: &self.project.spec.site };
        let mut made = BTreeMap::new();
        for credential in self.project.spec.roles_of(server).flat_map(|role| &role.credentials) {
            if !credential.optional && !made.contains_key(&credential.name) {
                let (value, _) = maker.make(server, credential).unwrap().unwrap();
                made.insert(credential.name.clone(), value.into_bytes());
            }
        }
        made.insert("database.app-password".to_owned(), PASSWORD.into());
        made.insert("time-scale".to_owned(), b"20".to_vec());
        if let Some(hash) = made.get_mut("monitor.htpasswd") {
            *hash = MUNIN_HASH.into();
        }
        made.into_iter().collect()
    }
}
