//! `imagebuild flash arch4 --server web1 --to ssh://...`: an image and its seed onto a disk.

use super::Common;
use super::seed::{secrets_path, seed_of};
use crate::build::{self, Build};
use crate::error::{Error, Result};
use crate::flash::{self, Arrival, Options, Target, Work};
use crate::progress;
use crate::project::{Project, servers};
use crate::remote::Login;
use crate::seed::{HOST_KEY, Secrets, public_host_key};
use crate::spec::{Architecture, Server, Size, Spec, wrong_ssh_key};
use clap::Args;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// The server of it whose disk this is, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// Where the image goes:
    /// ssh://[USER@]HOST[:PORT]/dev/disk/by-id/NAME
    ///     a disk of a machine that runs a rescue system; or
    ///     a file that is there: a VM's raw disk
    /// dev:/dev/disk/by-id/NAME
    ///     the same on this machine
    /// file:PATH
    ///     a new file: a raw disk
    #[arg(long, value_name = "TARGET", verbatim_doc_comment)]
    to: String,
    /// The disk's serial number (without one, its size in
    /// bytes; of a file its name): it is overwritten. Without
    /// this option nothing is, and the disk is shown
    #[arg(long, value_name = "SERIAL", verbatim_doc_comment)]
    confirm: Option<String>,
    /// Only show the disk and every write
    #[arg(long)]
    plan: bool,
    /// The SSH host key that the machine must have, as its
    /// provider shows it; may be repeated [default: those
    /// that your ssh knows]
    #[arg(long, value_name = "KEY", verbatim_doc_comment)]
    host_key: Vec<String>,
    /// The size of a new file, such as 20G [default: the
    /// image's]
    #[arg(long, value_name = "SIZE", verbatim_doc_comment)]
    size: Option<String>,
    /// Restart the machine when its disk is written, and wait
    /// until it answers SSH with its seed's host key
    #[arg(long, verbatim_doc_comment)]
    restart: bool,
    /// With --restart: where the server answers SSH [default:
    /// the host of --to, if that is an address of the server
    /// over which site.toml offers SSH]
    #[arg(long, value_name = "HOST[:PORT]", requires = "restart", verbatim_doc_comment)]
    ssh: Option<String>,
    /// Leave the seed's partition empty: the machine has no
    /// secrets then
    #[arg(long, conflicts_with = "secrets", verbatim_doc_comment)]
    no_seed: bool,
    /// The file with the secrets (default:
    /// secrets/<ARCHITECTURE>.toml in the project)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    secrets: Option<PathBuf>,
    /// How many steps of a build run at a time [default: one
    /// per processor]
    #[arg(short, long, value_name = "N", verbatim_doc_comment)]
    jobs: Option<NonZeroUsize>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    // What is wrong with the command line is told before anything is built.
    let target = Target::parse(&arguments.to)?;
    let mut options = options(arguments, &target)?;
    let mut project = Project::open(&common.options())?;
    let spec = project.spec.clone();
    let (architecture, server) = one_server(&spec, arguments)?;
    let secrets = secrets(arguments, common, &spec, (architecture, server))?;
    let seed = secrets.as_ref().map(|secrets| seed_of(&spec, server, secrets)).transpose()?;
    if arguments.restart {
        options.arrival = arrival(arguments, &target, (architecture, server), secrets.as_ref())?;
    }
    project.complete_lock()?;
    let chosen = [(architecture, server)];
    project.fetch(&Project::sets(&chosen))?;
    let plans = project.plans(&chosen)?;
    let builds: Vec<Build<'_>> = plans.iter().map(|p| Build::new(&project.store, p)).collect();
    build::make_all(&builds, arguments.jobs.map_or_else(build::default_jobs, NonZeroUsize::get))?;
    let [build] = &builds[..] else { return Err(Error::bug("one server has one plan")) };
    let work = Work::new(build.disk()?, &build.manifest()?, seed)?;
    if arguments.plan {
        return super::print(flash::plan(&work, &target, &options)?);
    }
    flash::write(&work, &target, &options, project.store.root())?;
    super::print(format_args!("{target}\n"))
}

fn options(arguments: &Arguments, target: &Target) -> Result<Options> {
    let only = |option: &str, of: &str| {
        Error::input(format!("`{option}` is for {of}, not for {target}"))
            .hint(format!("leave out `{option}`"))
    };
    let (is_file, is_ssh) =
        (matches!(target, Target::File(_)), matches!(target, Target::Ssh { .. }));
    if arguments.size.is_some() && !is_file {
        return Err(only("--size", "new files"));
    }
    if arguments.confirm.is_some() && is_file {
        return Err(only("--confirm", "disks"));
    }
    if !arguments.host_key.is_empty() && !is_ssh {
        return Err(only("--host-key", "machines that are reached by SSH"));
    }
    // This machine is the user's to restart.
    if arguments.restart && !is_ssh {
        return Err(only("--restart", "machines that are reached by SSH"));
    }
    for key in &arguments.host_key {
        if let Some((message, hint)) = wrong_ssh_key(key) {
            return Err(Error::input(format!("--host-key: {message}")).hint(hint));
        }
    }
    let size = |text: &String| {
        // The hint that a file of the project would get stands behind the message.
        Size::try_from(text.clone()).map_err(|e| {
            Error::input(format!("--size: {}", e.lines().next().unwrap_or_default()))
                .hint("write it as 20G or 4096M; the most is 64T")
        })
    };
    Ok(Options {
        confirm: arguments.confirm.clone(),
        host_keys: arguments.host_key.clone(),
        file_size: arguments.size.as_ref().map(size).transpose()?.map(Size::bytes),
        restart: arguments.restart,
        arrival: None,
    })
}

/// One disk is for one server.
fn one_server<'s>(spec: &'s Spec, arguments: &Arguments) -> Result<(&'s Architecture, &'s Server)> {
    let name = &arguments.architecture;
    if name == "all" {
        return Err(Error::input("a disk is for one server, not for `all`")
            .hint("name both: `imagebuild flash arch4 --server web1 --to ...`"));
    }
    match &servers(spec, name, arguments.server.as_deref())?[..] {
        [one] => Ok(*one),
        several => {
            let known: Vec<&str> = several.iter().map(|(_, server)| server.name.as_str()).collect();
            Err(Error::input(format!("{name} has several servers, a disk is for one"))
                .hint(format!("add `--server`, and one of them: {}", known.join(", "))))
        }
    }
}

/// The server that is waited for after a restart; nobody, if it cannot be reached or told.
fn arrival(
    arguments: &Arguments,
    target: &Target,
    (architecture, server): (&Architecture, &Server),
    secrets: Option<&Secrets>,
) -> Result<Option<Arrival>> {
    let said = arguments.ssh.as_ref().map(|text| {
        text.parse::<Login>().map_err(|why| {
            Error::input(format!("--ssh: {why}")).hint("write it as HOST or HOST:PORT")
        })
    });
    let mut login = match (said.transpose()?, target) {
        (Some(login), _) => login,
        (None, Target::Ssh { login, .. }) if offers_ssh(server, &login.host) => {
            Login { host: login.host.clone(), user: None, port: None }
        }
        (None, _) => {
            progress::warn(format!(
                "{} is not waited for: `--ssh HOST` says where it answers SSH",
                server.name
            ));
            return Ok(None);
        }
    };
    let private = secrets.and_then(|secrets| secrets.get(server, HOST_KEY));
    let Some(host_key) = private.and_then(|private| public_host_key(private)) else {
        progress::warn(format!("{} is not waited for: its host key is not known", server.name));
        return Ok(None);
    };
    login.user.get_or_insert_with(|| architecture.admin.clone());
    let (image, version) = (server.image_id.clone(), server.image_version.clone());
    Ok(Some(Arrival { login, host_key, image, version }))
}

/// Whether this is an address of the server at which SSH is offered.
fn offers_ssh(server: &Server, host: &str) -> bool {
    let host = host.parse::<IpAddr>().ok();
    let offered = server.ssh.iter().filter_map(|network| server.addresses.get(network));
    host.is_some_and(|host| offered.into_iter().any(|all| all.all().any(|one| one == host)))
}

/// The secrets with all that the server needs; none, if no seed is wanted.
fn secrets(
    arguments: &Arguments,
    common: &Common,
    spec: &Spec,
    (architecture, server): (&Architecture, &Server),
) -> Result<Option<Secrets>> {
    if arguments.no_seed {
        progress::warn(format!(
            "without a seed {} starts neither SSH nor what needs secrets",
            server.name
        ));
        return Ok(None);
    }
    let path = secrets_path(arguments.secrets.as_deref(), common, architecture);
    let secrets = Secrets::read(&path, spec, architecture)?;
    let needed = spec.roles_of(server).flat_map(|role| &role.credentials);
    let lacking: Vec<String> = needed
        .filter(|one| !one.optional && secrets.get(server, &one.name).is_none())
        .map(|one| format!("{}: {}", one.name, one.purpose))
        .collect();
    if lacking.is_empty() {
        return Ok(Some(secrets));
    }
    let error = Error::input(format!("{} lacks secrets of {}", path.display(), server.name));
    let error = lacking.iter().fold(error, |error, line| error.detail(line));
    Err(error.hint(format!(
        "`imagebuild seed {}` makes them; `--no-seed` writes the image without",
        architecture.name
    )))
}
