//! Programs of the lock's own sets, run in the sandbox as a build runs its own: what a
//! test asks of other people's validators is asked of the locked ones, on every machine.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::project::Project;
use imagebuild::sandbox::{Outcome, Root, Sandbox};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The set that images are made with.
pub(crate) use imagebuild::plan::server::TOOLS as BUILD;
/// The set with QEMU's programs.
pub(crate) use imagebuild::plan::server::VM_TOOLS as VM;
/// The set with the validators of what this program writes itself.
pub(crate) use imagebuild::project::TEST_TOOLS as TEST;

/// Where the folder of a run is seen inside.
pub(crate) const WORK: &str = "/work";

/// An unpacked set.
#[derive(Debug, Clone)]
pub(crate) struct Tools(PathBuf);

impl Tools {
    /// From the user's own store; its packages are fetched if they must be.
    pub(crate) fn of(set: &str) -> Tools {
        Tools(Project::open().tools(set))
    }

    /// The set [`TEST`], looked for once a process.
    pub(crate) fn test() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(TEST))
    }

    /// The set [`VM`].
    pub(crate) fn vm() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(VM))
    }

    /// The set [`BUILD`].
    pub(crate) fn build() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(BUILD))
    }

    /// The tree.
    pub(crate) fn tree(&self) -> &Path {
        &self.0
    }

    /// A job that sees nothing but the set.
    pub(crate) fn empty_sandbox(&self) -> Sandbox {
        Sandbox::new(Root::ReadOnly(self.0.clone()), 0)
    }

    /// A job that sees `folder`, writable, at [`WORK`].
    pub(crate) fn sandbox(&self, folder: &Path) -> Sandbox {
        self.empty_sandbox().bind_writable(folder, WORK)
    }

    /// How a program ends, and what it says; `{}` in its arguments is the folder.
    pub(crate) fn ask(&self, folder: &Path, argv: &[&str]) -> Outcome {
        let argv = argv.iter().map(|word| word.replace("{}", WORK));
        let outcomes = self.sandbox(folder).program(argv, &[], false).execute();
        outcomes.unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    /// What a program says that must succeed.
    #[track_caller]
    pub(crate) fn run(&self, folder: &Path, argv: &[&str]) -> String {
        let Outcome { code, output } = self.ask(folder, argv);
        assert_eq!(code, 0, "{argv:?}:\n{output}");
        output
    }

    /// What a program says of a planted defect, which it must not accept.
    #[track_caller]
    pub(crate) fn refuses(&self, folder: &Path, argv: &[&str]) -> String {
        let Outcome { code, output } = self.ask(folder, argv);
        assert_ne!(code, 0, "{argv:?} sees no defect:\n{output}");
        output
    }
}

/// Flips all bits of the byte at `place` of a file.
pub(crate) fn flip(path: &Path, place: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[!byte[0]], place).unwrap();
}
