//! The command line: one file a verb, and what they share in `project.rs`.

mod build;
mod diff;
mod explain;
mod gc;
mod graph;
mod init;
mod lock;
mod plan;
mod project;
mod seed;
mod test;
mod verify;

use crate::error::{Error, Result};
use crate::exec;
use crate::names;
use crate::progress::{self, Verbosity};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  imagebuild arch4 --role web1        build one server's image: out/arch4-web1.qcow2
  imagebuild arch4                    build all servers of architecture 4
  imagebuild all                      build all servers of all architectures
  imagebuild plan arch4 --role web1   show what would be done, and the disk map
  imagebuild init                     write a commented site.toml
  imagebuild explain arch4            which steps would be made again, and why
  imagebuild diff HEAD~1 HEAD arch4   what a commit changes in its images
  imagebuild verify arch4             build twice, differently, and compare every byte
  imagebuild seed arch4               make the servers' secrets and their seeds
  imagebuild test arch4               boot them together and let things fail
  imagebuild lock --update            move to the archive's newest packages

Results (paths of images, plans) go to standard output, all else to standard error.

Exit codes:
    0  done
    1  the work failed: a program, a full disk, a damaged store
    2  the command line or a file of the project is wrong
    3  the archive failed: no network, a missing file, a bad signature or digest
    4  a check or an expectation did not hold
  130  interrupted by a signal; finished steps are kept";

/// Compiles the servers of small web architectures into bootable, immutable,
/// reproducible Debian images.
#[derive(Debug, Parser)]
#[command(name = "imagebuild", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    build: build::Arguments,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Choose the packages: resolve, verify signatures, write imagebuild.lock
    Lock(lock::Arguments),
    /// Show every step of a build and the disk map, without building
    Plan(plan::Arguments),
    /// Say why: what a build would make again, what brought a package or a file
    Explain(explain::Arguments),
    /// Compare two images, or what two revisions of the project would make
    Diff(diff::Arguments),
    /// Draw an architecture: servers, roles, addresses, ports; text or SVG
    Graph(graph::Arguments),
    /// Free space in the store: what this project does not need and nobody used lately
    Gc(gc::Arguments),
    /// Write a commented site.toml: your names, addresses, keys, website
    Init(init::Arguments),
    /// Print the JSON schema of site.toml, for editors
    Schema,
    /// Build again in other surroundings and compare every byte
    Verify(verify::Arguments),
    /// Make the secrets of an architecture's servers once, and write their seeds
    Seed(seed::Arguments),
    /// Boot an architecture's images together and tell them scenarios: what fails, what holds
    Test(test::Arguments),
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
struct Common {
    /// Folder of your site.toml, roles/, images/, overlays/
    /// and of imagebuild.lock. They are laid over the
    /// built-in project, unless roles/base.toml is among
    /// them: then they stand alone [default: .]
    #[arg(long, global = true, value_name = "DIR", verbatim_doc_comment)]
    project: Option<PathBuf>,
    /// Folder for downloaded packages and results of steps
    /// [default: $IMAGEBUILD_STORE, else
    /// ~/.cache/imagebuild]
    #[arg(long, global = true, value_name = "DIR", verbatim_doc_comment)]
    store: Option<PathBuf>,
    /// Debian mirror; file:///... is one, too [default:
    /// site.toml's, else this machine's, else a public one]
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment)]
    mirror: Option<String>,
    /// Mirror of the security archive [default:
    /// debian-security beside --mirror's debian]
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment)]
    security_mirror: Option<String>,
    /// Where locked versions are looked for that left the
    /// mirror, or `none` [default: snapshot.debian.org]
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment)]
    snapshot_mirror: Option<String>,
    /// OpenPGP keys that may sign the archive [default:
    /// those of Debian 13, built in]
    #[arg(long, global = true, value_name = "FILE", verbatim_doc_comment)]
    keyring: Option<PathBuf>,
    /// Fail where imagebuild.lock would have to change
    #[arg(long, global = true)]
    locked: bool,
    /// Say only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show every external command, as a shell takes it
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// Prints a result. A reader that has seen enough, such as `head`, changes nothing of the
/// work, nor of how it ends.
///
/// # Errors
/// When standard output cannot be written, as on a full disk.
fn print(result: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{result}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| Error::build(format!("cannot write the result: {e}"))),
    }
}

/// The verbs, as they are typed.
fn verbs() -> Vec<String> {
    Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

/// What clap says of some slips is beside the point: what to say of them.
fn in_other_words(rejected: ErrorKind, mut words: Vec<String>) -> Option<(ErrorKind, String)> {
    let (first, verbs) = (words.first()?.clone(), verbs());
    // `imagebuild lokc --update`: clap takes the word for an architecture, and then
    // speaks of the option.
    if rejected == ErrorKind::UnknownArgument && !verbs.contains(&first) {
        let near = names::nearest(&first, verbs.iter().map(String::as_str));
        let tip = format!("tip: a similar one exists: `{}`", near.first()?);
        let message = format!("there is no verb `{first}`\n\n  {tip}");
        return Some((ErrorKind::InvalidSubcommand, message));
    }
    // `imagebuild --quiet plan arch4`: clap takes the verb for an architecture.
    if rejected == ErrorKind::ArgumentConflict && first.starts_with('-') {
        let verb = words.remove(words.iter().position(|word| verbs.contains(word))?);
        let rest: Vec<String> = words.iter().map(|word| exec::quote(word)).collect();
        let tip = format!("tip: `imagebuild {verb} {}`", rest.join(" "));
        return Some((rejected, format!("options stand behind the verb\n\n  {tip}")));
    }
    None
}

impl Cli {
    /// Reads the process's arguments; what clap rejects ends the process with 2.
    pub fn read() -> Cli {
        Cli::try_parse().unwrap_or_else(|rejected| {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            if let Some((kind, message)) = in_other_words(rejected.kind(), words.collect()) {
                Cli::command().error(kind, message).exit();
            }
            rejected.exit()
        })
    }

    /// Does what the command line asks for.
    ///
    /// # Errors
    /// Whatever goes wrong, for `main` to print.
    pub fn run(self) -> Result<()> {
        progress::set_verbosity(match (self.common.quiet, self.common.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        });
        match self.verb {
            None => build::run(&self.build, &self.common),
            Some(Verb::Lock(arguments)) => lock::run(&arguments, &self.common),
            Some(Verb::Plan(arguments)) => plan::run(&arguments, &self.common),
            Some(Verb::Explain(arguments)) => explain::run(&arguments, &self.common),
            Some(Verb::Diff(arguments)) => diff::run(&arguments, &self.common),
            Some(Verb::Graph(arguments)) => graph::run(&arguments, &self.common),
            Some(Verb::Gc(arguments)) => gc::run(&arguments, &self.common),
            Some(Verb::Init(arguments)) => init::run(&arguments, &self.common),
            Some(Verb::Schema) => init::schema(),
            Some(Verb::Verify(arguments)) => verify::run(&arguments, &self.common),
            Some(Verb::Seed(arguments)) => seed::run(&arguments, &self.common),
            Some(Verb::Test(arguments)) => test::run(&arguments, &self.common),
        }
    }
}
