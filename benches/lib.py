"""What the benches share: imagebuild on a project and a store of its own, mmdebstrap on the
same packages, times."""

import json, os, shutil, statistics, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
STORE = Path(os.environ.get("IMAGEBUILD_STORE")
             or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "imagebuild")
PROGRAM = HERE / "target/release/imagebuild"
SERVERS = ["web1", "database1"]


def run(*command, **more):
    """Runs a command; its output is shown when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def median(times):
    return statistics.median(times)


def shown(times):
    return f"{median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


class Ours:
    """imagebuild on a project and a store of its own."""

    def __init__(self, work):
        self.work, self.store, self.out = work, work / "store", work / "out"
        self.project = work / "project"
        for folder in ["roles", "images", "overlays", "keys"]:
            shutil.copytree(HERE / folder, self.project / folder)
        shutil.copy(HERE / "imagebuild.lock", self.project)

    def empty(self):
        """An empty store, but for the packages."""
        set_aside(self.store)
        set_aside(self.out)
        (self.store / "pool").mkdir(parents=True)
        for deb in (STORE / "pool").iterdir():
            place(deb, self.store / "pool" / deb.name)

    def build(self, *what):
        return run(PROGRAM, *what, "--project", self.project, "--store", self.store, "--out", self.out)

    def one(self, server):
        return self.build("arch4", "--role", server)

    def packages(self, server):
        plan = json.loads(subprocess.check_output(
            [PROGRAM, "plan", "arch4", "--role", server, "--json", "--project", self.project]))
        return next(s["step"]["packages"]["packages"] for s in plan["steps"] if "packages" in s["step"])


def set_aside(path):
    """Out of the way, and deleted when all is done: ext4 takes seconds to make files anew
    for some minutes after many were deleted (it does not use their inodes again so soon)."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.{time.monotonic_ns()}"))


def place(source, target):
    """The same file at another place, by a link where that can be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


class Mmdebstrap:
    """mmdebstrap from a flat repository of exactly a server's packages."""

    def __init__(self, work, packages):
        self.work, self.repo = work / "mmdebstrap", work / "mmdebstrap/repo"
        set_aside(self.work)
        self.repo.mkdir(parents=True)
        for one in packages:
            place(STORE / "pool" / f"{one['sha256']}.deb", self.repo / f"{one['name']}_{one['architecture']}.deb")
        for what in ["packages", "release"]:
            text = subprocess.check_output(["apt-ftparchive", what, "."], cwd=self.repo)
            (self.repo / what.capitalize()).write_bytes(text)
        self.names = ",".join(one["name"] for one in packages)

    def tree(self, *more):
        """The tree alone; `more` sources of apt behind the repository."""
        root = self.work / "root"
        set_aside(root)
        run("mmdebstrap", "--quiet", "--variant=custom", f"--include={self.names}",
            "--aptopt=APT::Install-Recommends \"false\"", "trixie", root, f"deb [trusted=yes] copy://{self.repo} ./", *more)
        return root

    def build(self):
        root, raw = self.tree(), self.work / "disk.raw"
        set_aside(raw)
        run("truncate", "-s", "4G", raw)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, raw)
        run("qemu-img", "convert", "-O", "qcow2", raw, self.work / "disk.qcow2")


def own_mirror():
    """This machine's own mirror, if apt knows one."""
    text = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True)
    mine = [line for line in text.stdout.splitlines() if line.endswith("/debian/")]
    return os.environ.get("MIRROR") or (mine or ["http://deb.debian.org/debian"])[0]
