//! Makes the packages tree of a server: what all servers have in common (bootstrap,
//! rounds of dpkg), then, on a copy of that, its own rounds, clean-up, listing.

use super::exceptions;
use super::ids;
use super::order::{self, Node, Order};
use crate::error::{Error, Result};
use crate::fs;
use crate::lock::ids::Ids;
use crate::sandbox::{FileKind, Op, Root, Sandbox, listing_from_json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the tree stands inside the sandbox.
const TARGET: &str = "/target";
/// Where the tree that is copied stands inside the sandbox.
const BASE: &str = "/base";
/// Where the `.deb`s stand inside the sandbox.
const DEBS: &str = "/debs";

/// A `.deb` at hand.
#[derive(Debug, Clone)]
pub struct Deb {
    /// What the order depends on.
    pub node: Node,
    /// Its file in the pool.
    pub file: PathBuf,
    /// Its files below usr/lib/sysusers.d: name and text.
    pub sysusers: Vec<(String, String)>,
}

/// What a packages tree is made with.
#[derive(Debug)]
pub struct Tree<'a> {
    /// The unpacked tools closure.
    pub tools: &'a Path,
    /// The packages.
    pub debs: &'a [Deb],
    /// The numbers of users and groups.
    pub ids: &'a Ids,
    /// SOURCE_DATE_EPOCH.
    pub epoch: u64,
}

impl Tree<'_> {
    /// Makes a tree of packages that many servers have in common, from nothing, in
    /// `temporary/tree`. It is not finished: [`Tree::make`] goes on from it.
    ///
    /// # Errors
    /// As [`Tree::make`].
    pub fn make_base(&self, temporary: &Path) -> Result<()> {
        let tree = temporary.join("tree");
        fs::create_dir_all(&tree)?;
        let order = self.order();
        let sandbox = lay_out(self.sandbox(&tree), &order.bootstrap);
        let sandbox = self.install(sandbox, &order);
        sandbox.op(Op::ReleaseChroot { tree: TARGET.into() }).execute().map_err(explain_failure)?;
        Ok(())
    }

    /// Makes the tree in `temporary/tree` from a copy of the `base` tree, its listing in
    /// `temporary/listing.json`, and the modes of its folders in `temporary/folders.json`.
    ///
    /// # Errors
    /// When a maintainer script fails (with its output), or a user has no number.
    pub fn make(&self, base: &Path, temporary: &Path) -> Result<()> {
        let tree = temporary.join("tree");
        fs::create_dir_all(&tree)?;
        let sandbox = self.sandbox(&tree).bind(base, BASE);
        let sandbox = sandbox.op(Op::Copy { from: BASE.into(), into: TARGET.into() });
        let sandbox = self.install(sandbox, &self.order());
        finish(sandbox, temporary)?.execute().map_err(explain_failure)?;
        write_folders(temporary)?;
        check_ids(&tree, self.ids)
    }

    /// The order in which dpkg gets the packages.
    pub fn order(&self) -> Order {
        let nodes: Vec<Node> = self.debs.iter().map(|deb| deb.node.clone()).collect();
        order::order(&nodes)
    }

    fn sandbox(&self, tree: &Path) -> Sandbox {
        let sandbox = Sandbox::new(Root::ReadOnly(self.tools.to_owned()), self.epoch);
        let sandbox = sandbox.bind_writable(tree, TARGET);
        self.debs
            .iter()
            .fold(sandbox, |sandbox, deb| sandbox.bind(&deb.file, inside(&deb.node.name)))
    }

    /// Installs the packages into the tree that is there.
    fn install(&self, sandbox: Sandbox, order: &Order) -> Sandbox {
        let sandbox = sandbox.op(Op::PrepareChroot { tree: TARGET.into() });
        let sandbox = self.hide_sysusers(sandbox);
        let sandbox = shims(database_into_memory(sandbox));
        let sandbox = dpkg_bootstrap(sandbox, order);
        let sandbox = use_locked_ids(sandbox, self.ids);
        database_onto_disk(dpkg_rounds(sandbox, order))
    }

    /// Files that hide the packages' own below /usr/lib: with the lock's numbers.
    fn hide_sysusers(&self, sandbox: Sandbox) -> Sandbox {
        self.debs.iter().flat_map(|deb| &deb.sysusers).fold(sandbox, |sandbox, (name, text)| {
            let text = ids::with_numbers(text, self.ids);
            sandbox.op(file(&format!("etc/sysusers.d/{name}"), &text, 0o644))
        })
    }
}

fn dpkg_bootstrap(sandbox: Sandbox, order: &Order) -> Sandbox {
    if order.bootstrap.is_empty() {
        return sandbox;
    }
    // The bootstrap set's scripts may rely on each other being unpacked only,
    // hence --force-depends: what debootstrap does since 2001.
    let unpack = dpkg(&["--force-depends", "--unpack"], order.bootstrap.iter());
    run(run(sandbox, &unpack), &dpkg(&["--configure", "--pending"], [].iter()))
}

fn dpkg_rounds(mut sandbox: Sandbox, order: &Order) -> Sandbox {
    for round in &order.rounds {
        if !round.configure.is_empty() {
            let mut configure = dpkg(&["--configure"], [].iter());
            configure.extend(round.configure.iter().cloned());
            sandbox = run(sandbox, &configure);
        }
        sandbox = run(sandbox, &dpkg(&["--unpack"], round.unpack.iter()));
    }
    run(sandbox, &dpkg(&["--configure", "--pending"], [].iter()))
}

/// Runs dpkg, whose scripts find the shims first.
fn run(sandbox: Sandbox, argv: &[String]) -> Sandbox {
    let path = format!("{SHIMS}:{}", crate::sandbox::PATH);
    sandbox.program(argv, &[("PATH", &path)], true)
}

/// dpkg's command line; packages are named by their files. dpkg need not sync each file:
/// the store notices a tree that did not get to the disk whole.
fn dpkg<'a>(args: &[&str], debs: impl Iterator<Item = &'a String>) -> Vec<String> {
    // At the first error, so that its words are the last ones.
    let fixed = ["dpkg", "--root", TARGET, "--force-unsafe-io", "--abort-after=1"];
    let args = fixed.iter().chain(args).map(|arg| (*arg).to_owned());
    args.chain(debs.map(|name| inside(name).display().to_string())).collect()
}

fn inside(name: &str) -> PathBuf {
    Path::new(DEBS).join(format!("{name}.deb"))
}

/// Lays out an empty root: the bootstrap packages' files, so that scripts have a
/// shell, dpkg's empty database, and a policy that starts no service.
fn lay_out(mut sandbox: Sandbox, bootstrap: &[String]) -> Sandbox {
    // base-files first: it has the links /bin -> usr/bin that the others go through.
    let (first, rest): (Vec<&String>, Vec<&String>) =
        bootstrap.iter().partition(|name| name.as_str() == "base-files");
    for name in first {
        let deb = inside(name).display().to_string();
        sandbox = sandbox.run(["dpkg-deb", "--extract", &deb, TARGET]);
    }
    // dpkg unpacks them all again, so their order is of no matter: two at a time.
    let extract = |debs: &[&String]| {
        let debs: Vec<String> =
            debs.iter().map(|name| inside(name).display().to_string()).collect();
        format!("for deb in {}; do dpkg-deb --extract $deb {TARGET} || exit; done", debs.join(" "))
    };
    let (one, other) = rest.split_at(rest.len() / 2);
    let script = format!("({}) & ({}) && wait $!", extract(one), extract(other));
    sandbox = sandbox.run(["sh", "-c", &script]);
    sandbox.op(file("var/lib/dpkg/status", "", 0o644)).op(file(
        "usr/sbin/policy-rc.d",
        "#!/bin/sh\nexit 101\n",
        0o755,
    ))
}

/// A file to write in the tree.
fn file(path: &str, text: &str, mode: u32) -> Op {
    Op::Write { path: Path::new(TARGET).join(path), text: text.to_owned(), mode }
}

/// Where scripts find programs before the real ones; gone with /run.
const SHIMS: &str = "/run/imagebuild/bin";

/// Programs that maintainer scripts call often and that do little, slowly: these do the
/// same for the plain cases, and leave all others to the real ones. And those that make users
/// and groups: with the lock's numbers. That the tree is the
/// same, the comparison with apt's trees proves (tests/images/equality.rs).
const PROGRAMS: [(&str, &str); 8] = [
    ("groupadd", include_str!("shims/groupadd")),
    ("munin-node-configure", include_str!("shims/munin-node-configure")),
    ("phpenmod", include_str!("shims/phpenmod")),
    ("phpquery", include_str!("shims/phpquery")),
    ("ucf", include_str!("shims/ucf")),
    ("ucfr", include_str!("shims/ucfr")),
    ("update-ca-certificates", include_str!("shims/update-ca-certificates")),
    ("useradd", include_str!("shims/useradd")),
];

fn shims(sandbox: Sandbox) -> Sandbox {
    let folder = SHIMS.trim_start_matches('/');
    PROGRAMS.iter().fold(sandbox, |sandbox, (name, text)| {
        sandbox.op(file(&format!("{folder}/{name}"), text, 0o755))
    })
}

/// dpkg syncs its database some twenty times a package, whatever it is told; in memory
/// that costs nothing, and a build that is cut off starts anew anyway.
fn database_into_memory(sandbox: Sandbox) -> Sandbox {
    let database = format!("{TARGET}/var/lib/dpkg");
    sandbox
        .run(["cp", "-a", &database, "/run/dpkg"])
        .op(Op::Cover { folder: database.clone().into() })
        .run(["cp", "-a", "/run/dpkg/.", &database])
}

/// Undoes [`database_into_memory`].
fn database_onto_disk(sandbox: Sandbox) -> Sandbox {
    let database = format!("{TARGET}/var/lib/dpkg");
    sandbox
        .run(["rm", "-r", "/run/dpkg"])
        .run(["cp", "-a", &database, "/run/dpkg"])
        .op(Op::Uncover { folder: database.clone().into() })
        .run(["rm", "-r", &database])
        .run(["cp", "-a", "/run/dpkg", &database])
}

/// From here on adduser, and the shims of useradd and groupadd, take numbers from the lock.
fn use_locked_ids(sandbox: Sandbox, ids: &Ids) -> Sandbox {
    let pools = format!(
        "cd {TARGET}\n\
         mkdir -p run/imagebuild\n\
         cat >run/imagebuild/users <<'END'\n{}END\n\
         cat >run/imagebuild/groups <<'END'\n{}END\n\
         [ -e etc/adduser.conf ] && [ ! -e run/imagebuild/adduser.conf ] || exit 0\n\
         cp -p etc/adduser.conf run/imagebuild/adduser.conf\n\
         printf 'UID_POOL=\"/run/imagebuild/users\"\\nGID_POOL=\"/run/imagebuild/groups\"\\n' >>etc/adduser.conf\n",
        ids::pool(&ids.users),
        ids::pool(&ids.groups),
    );
    sandbox.run(["sh", "-e", "-c", &pools])
}

/// Takes the build's own traces out again, applies the exceptions, lists the tree.
///
/// # Errors
/// When the listing's file cannot be made.
pub fn finish(sandbox: Sandbox, temporary: &Path) -> Result<Sandbox> {
    let listing = temporary.join("listing.json");
    std::fs::write(&listing, "").map_err(|e| Error::io("write", &listing, &e))?;
    let restore = format!(
        "if [ -e {TARGET}/run/imagebuild/adduser.conf ]; then cp -p {TARGET}/run/imagebuild/adduser.conf {TARGET}/etc/adduser.conf; fi\n\
         for file in {TARGET}/usr/lib/sysusers.d/*.conf; do rm -f {TARGET}/etc/sysusers.d/${{file##*/}}; done\n"
    );
    let sandbox = sandbox.op(Op::ReleaseChroot { tree: TARGET.into() });
    let sandbox = sandbox.run(["sh", "-e", "-c", &restore]);
    let sandbox = exceptions::operations(Path::new(TARGET)).into_iter().fold(sandbox, Sandbox::op);
    Ok(sandbox
        .bind_writable(&listing, "/listing.json")
        .op(Op::List { tree: TARGET.into(), into: "/listing.json".into() }))
}

/// dpkg's own message names the package, but stands far above its last line.
fn explain_failure(error: Error) -> Error {
    if error.message().starts_with("dpkg failed") {
        return error.context("a maintainer script or dpkg itself failed").hint(
            "the lines above are its output; a package of your own must install without network, without running services, and without asking",
        );
    }
    error
}

/// Notes the folders that are not simply root's and 0755: a layer over the packages
/// that has files in them must repeat their mode and owner.
fn write_folders(temporary: &Path) -> Result<()> {
    let listing = listing_from_json(&temporary.join("listing.json"))?;
    let folders: BTreeMap<&str, (u32, u32, u32)> = listing
        .iter()
        .filter(|file| file.kind == FileKind::Directory)
        .filter(|file| (file.mode, file.uid, file.gid) != (0o755, 0, 0))
        .map(|file| (file.path.as_str(), (file.mode, file.uid, file.gid)))
        .collect();
    let json = serde_json::to_vec_pretty(&folders).map_err(|e| Error::build(e.to_string()))?;
    fs::write_atomically(&temporary.join("folders.json"), &json)
}

fn check_ids(tree: &Path, ids: &Ids) -> Result<()> {
    let read = |path: &str| fs::read_to_string(&fs::in_tree(tree, path)?);
    ids::check(&read("etc/passwd")?, &read("etc/group")?, ids)
}
