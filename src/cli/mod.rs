//! The command line: one file a verb, and what they share in `project.rs`.

mod build;
mod lock;
mod plan;
mod project;
mod seed;

use crate::error::Result;
use crate::progress::{self, Verbosity};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  imagebuild arch4 --role web1      build one server's image into out/
  imagebuild arch4                  build all servers of architecture 4
  imagebuild all                    build everything
  imagebuild plan arch4 --role web1 show what would be done
  imagebuild seed arch4             make the servers' secrets and their seeds
  imagebuild lock --update          move to the archive's newest packages

Exit codes:
  0 done   1 the work failed   2 wrong input   3 the archive failed
  4 a check did not hold   130 interrupted";

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
    /// Make the secrets of an architecture's servers once, and write their seeds
    Seed(seed::Arguments),
}

/// Options of every verb.
#[derive(Debug, Args)]
struct Common {
    /// Folder with images/, roles/, overlays/ and imagebuild.lock (default: the
    /// current folder if it has images/, else the built-in project)
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Folder for downloaded packages and results of steps (default:
    /// $IMAGEBUILD_STORE, else the user's cache folder)
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Debian mirror (default: this machine's own, else a public one)
    #[arg(long, global = true, value_name = "URL")]
    mirror: Option<String>,
    /// Mirror of the security archive (default: found beside the other)
    #[arg(long, global = true, value_name = "URL")]
    security_mirror: Option<String>,
    /// Archive of old versions, for locked packages that left the mirror (default:
    /// snapshot.debian.org; `none` asks nobody)
    #[arg(long, global = true, value_name = "URL")]
    snapshot_mirror: Option<String>,
    /// OpenPGP keys that may sign the archive (default: Debian's, built in)
    #[arg(long, global = true, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Refuse to change imagebuild.lock
    #[arg(long, global = true)]
    locked: bool,
    /// Say only errors and results
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show every external command, fit to be pasted into a shell
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Cli {
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
            Some(Verb::Seed(arguments)) => seed::run(&arguments, &self.common),
        }
    }
}
