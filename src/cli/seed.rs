//! `imagebuild seed`: makes secrets once, and writes each server's seed.

use super::Common;
use crate::build::Build;
use crate::error::{Error, Result};
use crate::fs;
use crate::plan::server::{Plan, TOOLS};
use crate::progress;
use crate::project::{Project, servers};
use crate::seed::{Maker, Secrets, Shown};
use crate::spec::{Architecture, Kind, Scope, Server, Spec};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// Write the seed of this server only, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// The file with the secrets, made if it is missing
    /// (default: secrets/<ARCHITECTURE>.toml in the project)
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Also give root a password on the console, for emergencies; it is shown once
    #[arg(long)]
    console_password: bool,
    /// Folder for the seeds
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let mut project = Project::open(&common.options())?;
    let spec = project.spec.clone();
    if arguments.architecture == "all" {
        return Err(Error::input("secrets belong to one architecture, not to `all`")
            .hint("name the one that you run: `imagebuild seed arch4`"));
    }
    let architecture = spec.architecture(&arguments.architecture)?;
    let chosen = servers(&spec, &arguments.architecture, arguments.server.as_deref())?;
    let path = secrets_path(arguments.secrets.as_deref(), common, architecture);
    let mut secrets = Secrets::read(&path, &spec, architecture)?;
    project.complete_lock()?;
    let before = secrets.clone();
    let shown = complete(&mut project, &spec, architecture, (arguments, &chosen), &mut secrets)?;
    let missing = missing(&spec, architecture, &secrets);
    if secrets == before && missing.is_empty() {
        progress::step("Unchanged", format!("{} has all secrets", path.display()));
    } else if secrets != before {
        secrets.write(&path)?;
        progress::step("Wrote", format!("{} (keep it secret, keep a backup)", path.display()));
    }
    for text in missing {
        progress::warn(format!("{text} in {}", path.display()));
    }
    if spec.site.admin_keys.is_empty()
        && architecture.servers.values().any(|server| offers_ssh(&spec, server))
    {
        progress::warn(
            "nobody can log in over SSH: site.toml has no `keys` under `[admin]`, and passwords are not taken",
        );
    }
    // Before anything else can fail: the file has only their hashes.
    for Shown { purpose, password } in shown {
        super::print(format_args!("{password}  {purpose} (shown only now)\n"))?;
    }
    write_seeds(&spec, &chosen, &secrets, &arguments.out)
}

/// Where an architecture's secrets are.
pub(super) fn secrets_path(
    said: Option<&Path>,
    common: &Common,
    architecture: &Architecture,
) -> PathBuf {
    said.map_or_else(
        || {
            let folder = common.project.clone().unwrap_or_default();
            folder.join("secrets").join(format!("{}.toml", architecture.name))
        },
        Path::to_owned,
    )
}

/// Makes what is missing, for all servers of the architecture; passwords of consoles for the
/// chosen ones, as whoever sees one uses it.
fn complete(
    project: &mut Project,
    spec: &Spec,
    architecture: &Architecture,
    (arguments, chosen): (&Arguments, &[(&Architecture, &Server)]),
    secrets: &mut Secrets,
) -> Result<Vec<Shown>> {
    let mut missing = Vec::new();
    for server in architecture.servers.values() {
        let is_chosen = chosen.iter().any(|(_, one)| one.name == server.name);
        let console_password = arguments.console_password && is_chosen;
        for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
            let wanted =
                !credential.optional || (console_password && credential.kind == Kind::PasswordHash);
            if wanted && secrets.get(server, &credential.name).is_none() {
                missing.push((server, credential));
            }
        }
    }
    let Some((first, _)) = missing.first() else { return Ok(Vec::new()) };
    project.fetch(&[TOOLS.to_owned()])?;
    let plan = Plan::new(spec, &project.lock, architecture, first)?;
    let tools = Build::new(&project.store, &plan).tools()?;
    let maker = Maker { tools: &tools, site: &spec.site };
    let mut all_shown = Vec::new();
    for (server, credential) in missing {
        // One of the architecture's may have been made for the server before.
        if secrets.get(server, &credential.name).is_some() {
            continue;
        }
        if let Some((value, shown)) = maker.make(server, credential)? {
            progress::step("Made", format!("{} for {}", credential.name, server.name));
            secrets.set(server, credential, value);
            all_shown.extend(shown);
        }
    }
    Ok(all_shown)
}

fn write_seeds(
    spec: &Spec,
    chosen: &[(&Architecture, &Server)],
    secrets: &Secrets,
    out: &Path,
) -> Result<()> {
    fs::create_dir_all(out)?;
    for (_, server) in chosen {
        let seed = seed_of(spec, server, secrets)?;
        let path = out.join(format!("{}.seed", server.image_id));
        fs::write_secret(&path, &seed)?;
        super::print(format_args!("{}\n", path.display()))?;
    }
    Ok(())
}

/// A server's seed, which fits its partition.
pub(super) fn seed_of(spec: &Spec, server: &Server, secrets: &Secrets) -> Result<Vec<u8>> {
    let seed = crate::seed::write(&secrets.of_server(spec, server))?;
    let room = server.disk.seed.bytes();
    if seed.len() as u64 <= room {
        return Ok(seed);
    }
    Err(Error::input(format!(
        "the seed of {} has {}, its partition {}",
        server.name,
        progress::bytes(seed.len() as u64),
        progress::bytes(room)
    ))
    .hint("shorten the values, or raise `seed` under `[disk]` before flashing"))
}

/// What servers need, and only the user knows: a line each.
fn missing(spec: &Spec, architecture: &Architecture, secrets: &Secrets) -> Vec<String> {
    let mut lines = Vec::new();
    for server in architecture.servers.values() {
        for credential in spec.roles_of(server).flat_map(|role| &role.credentials) {
            let name = &credential.name;
            if credential.optional || secrets.get(server, name).is_some() {
                continue;
            }
            let (who, table) = match credential.scope {
                Scope::Server => (&server.name, format!("servers.{}", server.name)),
                Scope::Architecture => (&architecture.name, "architecture".to_owned()),
            };
            let line = format!(
                "{who} lacks `{name}` ({}), and what needs it will not start: write it under [{table}]",
                credential.purpose
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

fn offers_ssh(spec: &Spec, server: &Server) -> bool {
    spec.roles_of(server).flat_map(|role| &role.ports).any(|port| port.name == "ssh")
}
