//! The command line: a file for each command.

mod build;
mod completions;
mod diff;
mod explain;
mod fetch;
mod flash;
mod gc;
mod graph;
mod init;
mod lock;
mod plan;
mod seed;
mod status;
mod test;
mod verify;

use crate::error::{Error, Result};
use crate::names;
use crate::progress::{self, Verbosity};
use crate::project::Options;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

const USAGE: &str = "\
imagebuild [OPTIONS] <COMMAND>
       imagebuild [OPTIONS] <ARCHITECTURE> [--role <SERVER>]   (short for `build`)";

const EXAMPLES: &str = "\
Examples:
  imagebuild arch4 --role web1        build one server's image: out/arch4-web1.qcow2
  imagebuild arch4                    build all servers of architecture 4
  imagebuild all                      build all servers of all architectures
  imagebuild plan arch4 --role web1   show what would be done, and the disk map
  imagebuild init                     write a commented site.toml
  imagebuild explain arch4            which steps would be rebuilt, and why
  imagebuild diff HEAD~1 HEAD arch4   what a commit changes in its images
  imagebuild verify arch4             build twice in different environments, compare every byte
  imagebuild seed arch4               make the servers' secrets and their seeds
  imagebuild flash arch4 --server web1 --to ssh://root@RESCUE/dev/disk/by-id/NAME
                                      write the image and its seed to that server's disk
  imagebuild status arch4             ask the servers what they run, and how they are
  imagebuild test arch4               boot the servers together and inject faults
  imagebuild lock --update            move to the archive's newest packages

Results (paths of images, plans) go to standard output, all else to standard error.

Exit codes:
    0  done
    1  the work failed: a program, a full disk, a damaged store
    2  the command line or a file of the project is wrong
    3  the archive failed: no network, a missing file, a bad signature or digest
    4  a check or an expectation did not hold
   70  a bug of imagebuild: please report it
  130  interrupted by a signal; finished steps are kept";

/// Compiles the servers of small web architectures into bootable, immutable,
/// reproducible Debian images.
#[derive(Debug, Parser)]
#[command(name = "imagebuild", version, after_help = EXAMPLES, override_usage = USAGE, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the images of an architecture, or of one server of it
    Build(build::Arguments),
    /// Choose the packages: resolve, verify signatures, write imagebuild.lock
    Lock(lock::Arguments),
    /// Fetch the locked packages into the store: builds need no network then
    Fetch(fetch::Arguments),
    /// Show every step of a build and the disk map, without building
    Plan(plan::Arguments),
    /// Explain what would be rebuilt, and why; what brought a package or a file
    Explain(explain::Arguments),
    /// Compare two images, or what two revisions of the project would make
    Diff(diff::Arguments),
    /// Draw an architecture: servers, roles, addresses, ports; text or SVG
    Graph(graph::Arguments),
    /// Free space in the store: what this project does not need and no project used lately
    Gc(gc::Arguments),
    /// Write a commented site.toml: your names, addresses, keys, website
    Init(init::Arguments),
    /// Print the JSON schema of site.toml, or of another file, for editors
    Schema(init::SchemaArguments),
    /// Rebuild in a varied environment and compare byte for byte
    Verify(verify::Arguments),
    /// Make the secrets of an architecture's servers once, and write their seeds
    Seed(seed::Arguments),
    /// Write a server's image and its seed to a disk: of this machine, or over SSH
    Flash(flash::Arguments),
    /// Ask the servers of an architecture over SSH what they run, and how they are
    Status(status::Arguments),
    /// Boot all servers of an architecture and run its failure scenarios
    Test(test::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Print the manual page
    Man(completions::Man),
}

/// How progress is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProgressForm {
    Text,
    Json,
}

/// May stand before or after the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
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
    /// debian-security next to --mirror's debian]
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment)]
    security_mirror: Option<String>,
    /// Fallback archive for locked versions that the mirror
    /// no longer has, or `none` [default: snapshot.debian.org]
    #[arg(long, global = true, value_name = "URL", verbatim_doc_comment)]
    snapshot_mirror: Option<String>,
    /// OpenPGP keys that may sign the archive [default:
    /// those of Debian 13, built in]
    #[arg(long, global = true, value_name = "FILE", verbatim_doc_comment)]
    keyring: Option<PathBuf>,
    /// Fail where imagebuild.lock would have to change
    #[arg(long, global = true)]
    locked: bool,
    /// How progress is reported on standard error: text
    /// for people, or json for programs, one event per
    /// line (docs/progress.md) [default: text]
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        value_enum,
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    progress: Option<ProgressForm>,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show every external command, as a shell takes it
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Common {
    fn options(&self) -> Options {
        Options {
            project: self.project.clone(),
            store: self.store.clone(),
            mirror: self.mirror.clone(),
            security_mirror: self.security_mirror.clone(),
            snapshot_mirror: self.snapshot_mirror.clone(),
            keyring: self.keyring.clone(),
            locked: self.locked,
        }
    }
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
    let verbs = Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    // clap adds it when it parses.
    [verbs, vec!["help".to_owned()]].concat()
}

/// The command line with its verb: `imagebuild arch4 --role web1` is short for
/// `imagebuild build arch4 --role web1`.
fn with_verb(words: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let is_short = match first_operand(&command, &words) {
        Some(word) => !verbs().iter().any(|verb| word == verb.as_str()),
        None => words.iter().any(|word| is_of_build(&command, word)),
    };
    let verb = is_short.then(|| OsString::from("build"));
    verb.into_iter().chain(words).collect()
}

/// The first word that is neither an option nor the value of one.
fn first_operand<'w>(command: &Command, words: &'w [OsString]) -> Option<&'w OsString> {
    let build = command.find_subcommand("build");
    let all =
        || command.get_arguments().chain(build.iter().flat_map(|build| build.get_arguments()));
    let takes_value = |word: &str| {
        let is_named = |one: &&Arg| {
            let short = |name: char| word.strip_prefix('-') == Some(name.to_string().as_str());
            word.strip_prefix("--").is_some_and(|name| is_called(one, name))
                || one.get_short().is_some_and(short)
        };
        all().find(is_named).is_some_and(|one| one.get_action().takes_values())
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if !word.as_encoded_bytes().starts_with(b"-") {
            return Some(word);
        }
        match word.to_str() {
            Some("--") => return None,
            Some(option) if takes_value(option) => drop(rest.next()),
            Some(_) | None => {}
        }
    }
    None
}

/// Whether this is an option's long name, or one that it had.
fn is_called(option: &Arg, name: &str) -> bool {
    let aliases = option.get_all_aliases().unwrap_or_default();
    option.get_long() == Some(name) || aliases.contains(&name)
}

/// Whether a word is an option of `build` and of no other level.
fn is_of_build(command: &Command, word: &OsString) -> bool {
    let Some(word) = word.to_str() else { return false };
    let own = || command.find_subcommand("build").into_iter().flat_map(|one| one.get_arguments());
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        return own().any(|one| is_called(one, name));
    }
    let short = word.strip_prefix('-').and_then(|letters| letters.chars().next());
    short.is_some_and(|short| own().any(|one| one.get_short() == Some(short)))
}

/// clap takes a misspelled verb for an architecture, and then speaks of the option.
fn misspelled_verb(rejected: ErrorKind, words: &[OsString]) -> Option<String> {
    if rejected != ErrorKind::UnknownArgument {
        return None;
    }
    let (first, verbs) = (first_operand(&Cli::command(), words)?.to_str()?, verbs());
    if verbs.iter().any(|verb| verb == first) {
        return None;
    }
    let near = names::nearest(first, verbs.iter().map(String::as_str));
    let tip = format!("tip: a similar one exists: `{}`", near.first()?);
    Some(format!("there is no command `{first}`\n\n  {tip}"))
}

impl Cli {
    /// Reads the process's arguments; what clap rejects ends the process with 2.
    pub fn read() -> Cli {
        let mut words = std::env::args_os();
        let program = words.next().unwrap_or_default();
        let words: Vec<OsString> = words.collect();
        let all = std::iter::once(program).chain(with_verb(words.clone()));
        Cli::try_parse_from(all).unwrap_or_else(|rejected| {
            if let Some(message) = misspelled_verb(rejected.kind(), &words) {
                Cli::command().error(ErrorKind::InvalidSubcommand, message).exit();
            }
            rejected.exit()
        })
    }

    /// Does what the command line asks for.
    ///
    /// # Errors
    /// Whatever goes wrong, for `main` to print.
    pub fn run(self) -> Result<()> {
        if self.common.progress == Some(ProgressForm::Json) {
            progress::set_json();
        }
        // clap sees no conflict between one before the command and one after it.
        if self.common.quiet && self.common.verbose {
            return Err(Error::input("`--quiet` and `--verbose` contradict each other")
                .hint("keep one of the two"));
        }
        progress::set_verbosity(match (self.common.quiet, self.common.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        });
        match self.verb {
            Verb::Build(arguments) => build::run(&arguments, &self.common),
            Verb::Lock(arguments) => lock::run(&arguments, &self.common),
            Verb::Fetch(arguments) => fetch::run(&arguments, &self.common),
            Verb::Plan(arguments) => plan::run(&arguments, &self.common),
            Verb::Explain(arguments) => explain::run(&arguments, &self.common),
            Verb::Diff(arguments) => diff::run(&arguments, &self.common),
            Verb::Graph(arguments) => graph::run(&arguments, &self.common),
            Verb::Gc(arguments) => gc::run(&arguments, &self.common),
            Verb::Init(arguments) => init::run(&arguments, &self.common),
            Verb::Schema(arguments) => init::schema(&arguments),
            Verb::Verify(arguments) => verify::run(&arguments, &self.common),
            Verb::Seed(arguments) => seed::run(&arguments, &self.common),
            Verb::Flash(arguments) => flash::run(&arguments, &self.common),
            Verb::Status(arguments) => status::run(&arguments, &self.common),
            Verb::Test(arguments) => test::run(&arguments, &self.common),
            Verb::Completions(arguments) => completions::completions(&arguments),
            Verb::Man(arguments) => completions::man(&arguments),
        }
    }
}
