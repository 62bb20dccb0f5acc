//! The plan of one server: a pure function of the spec and the lock.

use super::agent;
use super::common;
use super::layout::{Growth, Label, Layout, Sizes};
use super::render::{self, ConfigFile, Content};
use super::step::{DummyCredential, ImageStep, Link, PackageRef, Planned, Step};
use crate::error::{Error, Result};
use crate::lock::builtin;
use crate::lock::file::Lock;
use crate::lock::ids::Ids;
use crate::lock::mirror;
use crate::spec::{Architecture, Role, Server, Spec, Validator};
use serde::Serialize;

/// The set of the lock with the programs that make images.
pub const TOOLS: &str = "tools/build";

/// The lock's set with QEMU and its firmware.
pub const VM_TOOLS: &str = "tools/vm";

/// The lock's set with a Rust compiler; only where a server has an agent.
pub const COMPILER: &str = "tools/compiler";

/// The kernel's command line beside what GRUB adds: consoles on screen and serial
/// line, the book's interface names, a panic reboots after half a minute. Of the security
/// modules those that have something to enforce here, as for `bpf` systemd would load a
/// program that no unit uses. The kernel does not compare its ciphers with known answers
/// at every boot, a tenth of all that an emulated processor does until a server is up:
/// dm-verity, the only one to use them, would not find the root with a wrong one.
const KERNEL_ARGUMENTS: &str = "console=tty0 console=ttyS0,115200 quiet net.ifnames=0 panic=30 lsm=lockdown,capability,landlock,yama,apparmor cryptomgr.notests";

/// Where GRUB, and the programs of the initramfs, come from.
const BOOT_PACKAGES: [&str; 5] =
    ["busybox-static", "dmsetup", "grub-efi-amd64-bin", "grub-pc-bin", "util-linux"];

/// Everything that a build of one image will do, in an order that works.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// `arch4-web1`.
    pub image: String,
    /// The disk map.
    pub layout: Layout,
    /// The steps, each after those that it reads; the last one is the image.
    #[serde(serialize_with = "Planned::serialize_whole")]
    pub steps: Vec<Planned>,
    /// The step that unpacks the programs that make the image.
    #[serde(skip)]
    pub tools: Planned,
    /// The step that installs its packages.
    #[serde(skip)]
    pub packages: Planned,
    /// The last step: the disk map.
    #[serde(skip)]
    pub last: Planned,
    /// What the last step reads.
    #[serde(skip)]
    pub disk: ImageStep,
}

/// What a build of a set of tools does: one step.
#[derive(Debug, Clone)]
pub struct ToolsPlan(pub Planned);

impl ToolsPlan {
    /// The plan of a set of the lock.
    ///
    /// # Errors
    /// When the lock lacks the set.
    pub fn new(lock: &Lock, set: &str) -> Result<ToolsPlan> {
        Planned::new(Step::Tools { packages: refs(lock, set)? }).map(ToolsPlan)
    }
}

/// The steps of a plan while it is made.
#[derive(Debug, Default)]
struct Steps(Vec<Planned>);

impl Plan {
    /// The plan for `server` of `architecture`.
    ///
    /// # Errors
    /// When a template is wrong, or the lock lacks something (it is stale).
    pub fn new(
        spec: &Spec,
        lock: &Lock,
        architecture: &Architecture,
        server: &Server,
    ) -> Result<Plan> {
        let (image, layout) = (server.image_id.clone(), layout(server)?);
        let mut steps = Steps::default();
        let epoch = epoch(lock)?;
        let packages = refs(lock, &set_name(architecture, server))?;
        let tools = steps.add(Step::Tools { packages: refs(lock, TOOLS)? })?;
        let with_tools = || tools.clone();
        let (package, kernel_release) = kernel(&packages)?;
        let kernel = steps.add(Step::Kernel {
            tools: with_tools(),
            package,
            release: kernel_release.clone(),
            init: text(spec, "overlays/initramfs/init")?,
            epoch,
        })?;
        let bootloader = steps.add(Step::Bootloader { tools: with_tools(), epoch })?;
        let tree = steps.add_packages(spec, lock, server, &tools, &packages)?;
        let packages_layer =
            steps.add(Step::PackagesLayer { tools: with_tools(), tree: tree.clone(), epoch })?;
        let files = render::config_files(spec, architecture, server)?;
        // The layer is not compressed: less than its files it cannot be.
        let size = files.iter().map(|file| file.content.length()).sum();
        layout.partition(Label::AConfig).check_fits(size)?;
        let agent = server.has_agent().then(|| steps.add_agent(lock)).transpose()?;
        let shown = Shown { tree: &tree, agent: agent.as_ref(), epoch };
        let validate = steps.add_validators(spec, architecture, server, &files, shown)?;
        let config =
            Step::ConfigLayer { tools: with_tools(), tree: tree.clone(), files, agent, epoch };
        let config = steps.add(config)?;
        let size = server.disk.state.bytes();
        let state = Step::State { tools: with_tools(), image: image.clone(), size, epoch };
        let state = steps.add(state)?;
        let esp = steps.add(Step::Esp {
            tools: with_tools(),
            bootloader: bootloader.clone(),
            kernel,
            packages: packages_layer.clone(),
            config: config.clone(),
            image: image.clone(),
            grub_cfg: text(spec, "overlays/grub/grub.cfg")?,
            arguments: format!("{KERNEL_ARGUMENTS} {}", architecture.boot.argument()),
            size: server.disk.esp.bytes(),
            epoch,
        })?;
        let inventory =
            steps.add(Step::Inventory { tree: tree.clone(), packages: packages.clone() })?;
        let disk = ImageStep {
            layout: layout.clone(),
            bootloader,
            esp,
            packages_layer,
            config,
            state,
            validate,
            version: server.image_version.clone(),
            lock: lock.digest(),
            kernel_release,
            boot: boot(&refs(lock, TOOLS)?),
            requested: spec.packages(server).into_iter().map(str::to_owned).collect(),
            own: own(lock, &packages),
            packages,
            inventory,
            epoch,
        };
        let last = steps.add(Step::Image(Box::new(disk.clone())))?;
        Ok(Plan { image, layout, steps: steps.0, tools, packages: tree, last, disk })
    }

    /// The plan as a table: one line a step, then the disk map.
    pub fn to_text(&self) -> String {
        let mut text = format!("plan for {}\n", self.image);
        for planned in &self.steps {
            let (key, step) = (planned.key().short(), planned.step());
            text += &format!("  {key}  {:<14}  {}\n", step.name(), step.summary());
        }
        text + "\n" + &self.layout.to_string()
    }
}

impl Steps {
    /// The steps that install packages: what all servers have in common, then the rest.
    fn add_packages(
        &mut self,
        spec: &Spec,
        lock: &Lock,
        server: &Server,
        tools: &Planned,
        packages: &[PackageRef],
    ) -> Result<Planned> {
        let epoch = epoch(lock)?;
        let shared = common::packages(spec, lock, packages);
        let everywhere = common::roles(spec);
        let ids_of_all = ids(lock, spec.roles.values().filter(|r| everywhere.contains(&*r.name)));
        let base = Step::Base { tools: tools.clone(), packages: shared, ids: ids_of_all, epoch };
        let base = self.add(base)?;
        let ids = ids(lock, spec.roles_of(server));
        // Ours has one script, and none of its files is a program with rights.
        let own = own(lock, packages).into_iter().filter(|name| !builtin::has(name)).collect();
        let (tools, packages) = (tools.clone(), packages.to_vec());
        self.add(Step::Packages { tools, base, packages, own, ids, epoch })
    }

    /// A step for each program that validates the configuration: it runs again when what it
    /// reads has changed.
    fn add_validators(
        &mut self,
        spec: &Spec,
        architecture: &Architecture,
        server: &Server,
        files: &[render::ConfigFile],
        Shown { tree, agent, epoch }: Shown<'_>,
    ) -> Result<Vec<Planned>> {
        let (links, credentials) = (links(architecture, server), dummy_credentials(spec, server));
        let step = |validator: &Validator| {
            let files = files.iter().filter(|file| validator.is_shown(&file.path));
            // An address that it does not look at must not have it run again.
            let links = if validator.has_network() { &links[..] } else { &[] };
            let credentials = if validator.has_secrets() { &credentials[..] } else { &[] };
            let files: Vec<ConfigFile> = files.cloned().collect();
            let has_agent = files.iter().any(|file| file.content == Content::Agent);
            Step::Validate {
                tree: tree.clone(),
                validator: validator.clone(),
                agent: agent.filter(|_| has_agent).cloned(),
                files,
                links: links.to_vec(),
                credentials: credentials.to_vec(),
                epoch,
            }
        };
        let validators = spec.roles_of(server).flat_map(|role| &role.validators);
        validators.map(|validator| self.add(step(validator))).collect()
    }

    /// The agent of a pair of databases, the same for all servers that have it.
    fn add_agent(&mut self, lock: &Lock) -> Result<Planned> {
        let compiler = self.add(Step::Tools { packages: refs(lock, COMPILER)? })?;
        self.add(Step::Agent { compiler, files: agent::files(), epoch: epoch(lock)? })
    }

    fn add(&mut self, step: Step) -> Result<Planned> {
        let planned = Planned::new(step)?;
        self.0.push(planned.clone());
        Ok(planned)
    }
}

/// What validators are shown besides the configuration.
#[derive(Clone, Copy)]
struct Shown<'a> {
    tree: &'a Planned,
    agent: Option<&'a Planned>,
    epoch: u64,
}

/// The lock's name for a server's set of packages.
pub fn set_name(architecture: &Architecture, server: &Server) -> String {
    format!("{}/{}", architecture.name, server.name)
}

/// The time of all files.
fn epoch(lock: &Lock) -> Result<u64> {
    let no_archive = || Error::input("the lock names no archive").hint("run `imagebuild lock`");
    Some(lock.epoch).filter(|epoch| *epoch > 0).ok_or_else(no_archive)
}

/// The packages of a set of the lock.
pub fn refs(lock: &Lock, set: &str) -> Result<Vec<PackageRef>> {
    let packages = lock.set(set).ok_or_else(|| {
        Error::input(format!("imagebuild.lock has no set `{set}`")).hint("run `imagebuild lock`")
    })?;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let reference = |package: &&crate::lock::file::LockedPackage| PackageRef {
        name: package.name.clone(),
        version: package.version.to_string(),
        architecture: package.architecture.clone(),
        sha256: package.sha256,
        depends: package.depends.iter().filter(|d| names.contains(&d.as_str())).cloned().collect(),
    };
    Ok(packages.iter().map(reference).collect())
}

/// Those of the packages that are not of Debian's own archives.
fn own(lock: &Lock, packages: &[PackageRef]) -> Vec<String> {
    let is_debian = |id: &str| [mirror::DEBIAN, mirror::SECURITY].contains(&id);
    let is_own = |name: &&String| lock.packages.get(*name).is_some_and(|p| !is_debian(&p.archive));
    packages.iter().map(|package| &package.name).filter(is_own).cloned().collect()
}

/// The package that holds the kernel: `linux-image-<release>`.
fn kernel(packages: &[PackageRef]) -> Result<(PackageRef, String)> {
    let is_release = |release: &&str| release.starts_with(|c: char| c.is_ascii_digit());
    packages
        .iter()
        .find_map(|package| {
            let release = package.name.strip_prefix("linux-image-").filter(is_release)?;
            Some((package.clone(), release.to_owned()))
        })
        .ok_or_else(|| {
            Error::input("no package of this server is a kernel")
                .hint("a role must ask for `linux-image-cloud-amd64`; the role `base` does")
        })
}

/// The lock's numbers of the users that these roles name.
fn ids<'a>(lock: &Lock, roles: impl Iterator<Item = &'a Role>) -> Ids {
    let mut ids = Ids::default();
    for role in roles {
        for name in role.users.iter().chain(&role.groups) {
            if let Some(id) = lock.ids.users.get(name) {
                ids.users.insert(name.clone(), *id);
            }
            if let Some(id) = lock.ids.groups.get(name) {
                ids.groups.insert(name.clone(), *id);
            }
        }
    }
    ids
}

/// The packages of the tools closure whose files get into the boot chain: GRUB's, those
/// of the initramfs' programs, and of the libraries that these lead to.
fn boot(tools: &[PackageRef]) -> Vec<PackageRef> {
    let mut names: Vec<&str> = BOOT_PACKAGES.to_vec();
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        let package = tools.iter().find(|package| package.name == name);
        let depends = package.into_iter().flat_map(|package| &package.depends);
        for next in depends.filter(|next| next.starts_with("lib")) {
            if !names.contains(&next.as_str()) {
                names.push(next);
            }
        }
        at += 1;
    }
    let in_boot = |package: &&PackageRef| names.contains(&package.name.as_str());
    tools.iter().filter(in_boot).cloned().collect()
}

fn layout(server: &Server) -> Result<Layout> {
    let disk = &server.disk;
    let sizes = Sizes {
        esp: disk.esp.bytes(),
        packages: disk.packages.bytes(),
        config: disk.configuration.bytes(),
        seed: disk.seed.bytes(),
        state: disk.state.bytes(),
        state_growth: if server.data.is_some() { Growth::Fixed } else { Growth::ToEndOfDisk },
        disk: disk.smallest.bytes(),
    };
    Layout::new(&server.image_id, &sizes)
}

/// A file of the project that goes into an image as it is.
fn text(spec: &Spec, path: &str) -> Result<String> {
    let missing = || Error::input(format!("the project has no {path}"));
    let file = spec.tree.get(path).ok_or_else(missing)?;
    String::from_utf8(file.content.clone())
        .map_err(|_| Error::input(format!("{path} is not UTF-8")))
}

fn links(architecture: &Architecture, server: &Server) -> Vec<Link> {
    let of = |(name, own): (&String, &crate::spec::Addresses)| {
        let network = architecture.networks.get(name)?;
        let floating = architecture
            .floating
            .values()
            .filter(|f| f.network == *name && f.holders.contains(&server.name))
            .map(|f| f.addresses);
        let addresses = std::iter::once(*own)
            .chain(floating)
            .flat_map(|addresses| addresses.all())
            .filter_map(|address| Some(format!("{address}/{}", network.length(address)?)))
            .collect();
        Some(Link { interface: network.interface.clone(), addresses })
    };
    server.addresses.iter().filter_map(of).collect()
}

fn dummy_credentials(spec: &Spec, server: &Server) -> Vec<DummyCredential> {
    spec.roles_of(server)
        .flat_map(|role| &role.credentials)
        .filter_map(|credential| {
            let install = credential.install.as_ref()?;
            Some(DummyCredential {
                path: install.path.clone(),
                owner: format!("{}:{}", install.owner, install.group),
                mode: install.mode.0,
                kind: credential.kind,
            })
        })
        .collect()
}
