//! `imagebuild status arch4`: asks the servers over SSH what they run and how they are.

use super::Common;
use super::seed::secrets_path;
use crate::error::{Error, Result};
use crate::names;
use crate::project::{Project, servers};
use crate::remote::Login;
use crate::seed::{HOST_KEY, Secrets, public_host_key};
use crate::spec::{Architecture, Server};
use crate::status::{self, Question};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// Only this server of it, such as web1
    #[arg(long, alias = "role", value_name = "SERVER")]
    server: Option<String>,
    /// Where a server answers SSH; may be repeated [default:
    /// its first address in a network over which site.toml
    /// offers SSH]
    #[arg(long, value_name = "SERVER=HOST[:PORT]", verbatim_doc_comment)]
    ssh: Vec<String>,
    /// The file with the secrets, which has the host keys
    /// (default: secrets/<ARCHITECTURE>.toml in the project;
    /// without it, your ssh must know them)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    secrets: Option<PathBuf>,
    /// Print all that the servers said, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let project = Project::open_to_look(&common.options())?;
    let spec = &project.spec;
    if arguments.architecture == "all" {
        return Err(Error::input("servers of one architecture are asked, not of `all`")
            .hint("name it: `imagebuild status arch4`"));
    }
    let architecture = spec.architecture(&arguments.architecture)?;
    let chosen = servers(spec, &architecture.name, arguments.server.as_deref())?;
    let path = secrets_path(arguments.secrets.as_deref(), common, architecture);
    if arguments.secrets.is_some() && !path.exists() {
        return Err(Error::input(format!("there is no file {}", path.display())));
    }
    let secrets = Secrets::read(&path, spec, architecture)?;
    let places = places(arguments, architecture)?;
    let question = |server: &Server| -> Result<Question> {
        let mut login = place(server, &places)?;
        login.user.get_or_insert_with(|| architecture.admin.clone());
        let private = secrets.get(server, HOST_KEY);
        Ok(Question {
            server: server.name.clone(),
            login,
            host_key: private.and_then(|private| public_host_key(private)),
            image: server.image_id.clone(),
            version: server.image_version.clone(),
        })
    };
    let questions: Vec<Question> =
        chosen.iter().map(|(_, server)| question(server)).collect::<Result<_>>()?;
    let answers = status::ask(&questions)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&answers).map_err(|e| Error::bug(e.to_string()))?;
        super::print(format_args!("{json}\n"))?;
    } else {
        super::print(status::text(architecture, &answers))?;
    }
    status::verdict(&answers)
}

/// What `--ssh` says, by server.
fn places(arguments: &Arguments, architecture: &Architecture) -> Result<BTreeMap<String, Login>> {
    let known = || architecture.servers.keys().map(String::as_str);
    let mut places = BTreeMap::new();
    for text in &arguments.ssh {
        let Some((server, place)) = text.split_once('=') else {
            return Err(Error::input(format!("--ssh: `{text}` is not SERVER=HOST"))
                .hint("write it as web1=203.0.113.7 or web1=jump.example.org:2222"));
        };
        if !architecture.servers.contains_key(server) {
            let message = format!("--ssh: {} has no server `{server}`", architecture.name);
            return Err(Error::input(message).hint(names::suggest(server, known())));
        }
        let login = place.parse::<Login>().map_err(|why| Error::input(format!("--ssh: {why}")))?;
        places.insert(server.to_owned(), login);
    }
    Ok(places)
}

fn place(server: &Server, places: &BTreeMap<String, Login>) -> Result<Login> {
    if let Some(login) = places.get(&server.name) {
        return Ok(login.clone());
    }
    match status::address(server) {
        Some(address) => Ok(Login { user: None, host: address.to_string(), port: None }),
        None => Err(Error::input(format!("{} offers no SSH", server.name)).hint(format!(
            "`--ssh {}=HOST` says where it can be reached; `[admin] ssh` in site.toml offers it",
            server.name
        ))),
    }
}
