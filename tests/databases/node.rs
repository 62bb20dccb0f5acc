//! A machine made of namespaces: a network, mounts and processes of its own, which all end with
//! its first one.

use crate::rig::Lower;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The members by place, with the server whose configuration each has; then where clients are.
pub(crate) const MACHINES: [(&str, &str); 4] = [
    ("database1", "192.168.0.21"),
    ("database2", "192.168.0.22"),
    ("web1", "192.168.0.11"),
    ("client", CLIENT),
];
/// The place of the clients' machine.
pub(crate) const CLIENTS: usize = 3;
const CLIENT: &str = "192.168.0.12";
/// Where writes go.
pub(crate) const WRITES: &str = "192.168.0.20";

/// What of systemd the agent uses, for MariaDB.
const SYSTEMCTL: &str = r#"#!/bin/bash
pid() { cat /run/mysqld/mysqld.pid 2>/dev/null; }
gone() {
    while [ -e "/proc/$1" ] && ! grep -qs '^State:.Z' "/proc/$1/status"; do sleep 0.02; done
}
process=$(pid)
case "$*" in
    *kill*) [ -z "$process" ] || kill -KILL "$process" 2>/dev/null ;;
    *stop*) [ -z "$process" ] || { kill -TERM "$process" 2>/dev/null && gone "$process"; } ;;
    *start*)
        [ -z "$process" ] || [ ! -e "/proc/$process" ] || grep -qs '^State:.Z' "/proc/$process/status" || exit 0
        rm -f /run/mysqld/mysqld.pid
        install -d -o mysql -g mysql /run/mysqld
        /usr/lib/imagebuild/database >/dev/null || exit 1
        setsid mariadbd --user=mysql </dev/null >>/run/mariadb.log 2>&1 &
        ;;
esac
exit 0
"#;

/// A machine, on or off.
pub(crate) struct Node {
    pub(crate) place: usize,
    pub(crate) folder: PathBuf,
    first: Option<Child>,
    tree: PathBuf,
}

impl Node {
    /// Its files: the packages below, the configuration and what is written above.
    pub(crate) fn new(place: usize, lower: &Lower, folder: &Path) -> Result<Node, String> {
        let folder = folder.join(MACHINES[place].0);
        for name in ["root", "upper", "work", "data", "shared"] {
            fs::create_dir_all(folder.join(name)).map_err(|e| e.to_string())?;
        }
        let upper = folder.join("upper");
        let layer = lower.layers[place].display().to_string();
        let tar = ["-x", "--numeric-owner", "-p", "-f", &layer, "-C", &upper.display().to_string()]
            .map(str::to_owned);
        run("tar", &tar)?;
        if place < 2 {
            // As the architecture's web servers: created, locked and let in with them.
            let clients = upper.join("usr/lib/imagebuild/database-clients");
            let text = fs::read_to_string(&clients).map_err(|e| e.to_string())?;
            fs::write(&clients, format!("{text}{CLIENT}\n")).map_err(|e| e.to_string())?;
        }
        let systemctl = upper.join("usr/local/bin/systemctl");
        put(&systemctl, SYSTEMCTL)?;
        run("chmod", &["0755".to_owned(), systemctl.display().to_string()])?;
        Ok(Node { place, folder, first: None, tree: lower.tree.clone() })
    }

    pub(crate) fn name(&self) -> &'static str {
        MACHINES[self.place].0
    }

    pub(crate) fn is_on(&self) -> bool {
        self.first.is_some()
    }

    pub(crate) fn is_database(&self) -> bool {
        self.place < 2
    }

    /// Power: namespaces, mounts, an interface that leads to the switch, and the services.
    pub(crate) fn start(&mut self, switch: u32) -> Result<(), String> {
        let folder = self.folder.display();
        let (tree, address) = (self.tree.display(), MACHINES[self.place].1);
        let script = format!(
            r#"set -e
            mount --make-rprivate /
            mount -t overlay overlay -o lowerdir={tree},upperdir={folder}/upper,workdir={folder}/work {folder}/root
            cd {folder}/root
            mount -t proc proc proc
            mount -t sysfs -o ro sysfs sys
            mount --rbind /dev dev
            mount -t tmpfs tmpfs run
            mount -t tmpfs tmpfs tmp
            mount --bind {folder}/data var/lib/mysql
            # For files of the test: what is written below an overlay may not be seen in it.
            mount --bind {folder}/shared mnt
            mkdir -p run/credentials/@system run/imagebuild/pair run/lock run/mysqld
            printf pairs-secret >run/credentials/@system/pair.secret
            printf 'app-\\password' >run/credentials/@system/database.app-password
            printf "replication'password" >run/credentials/@system/database.replication-password
            ln -sf /proc/self/mounts etc/mtab
            exec chroot . /bin/bash -c '
                export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
                echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind
                echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
                trap : CHLD
                while :; do sleep 1000 & wait; done'
            "#
        );
        let log = fs::File::create(self.folder.join("init.log")).map_err(|e| e.to_string())?;
        let child = Command::new("unshare")
            .args(["--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child"])
            .args(["bash", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("unshare: {e}"))?;
        self.first = Some(child);
        wait_until("a node has its root", 100, || self.run("test -d /run/credentials").is_ok())?;
        let pid = self.pid()?;
        let port = format!("port{}", self.place);
        let links = format!(
            "ip link delete {port}; ip link add {port} type veth peer name eth1 netns {pid} && \
             ip link set {port} master switch up"
        );
        in_switch(&self.tree, switch, &links)?;
        self.run(&format!(
            "ip link set lo up; ip address add {address}/24 dev eth1; ip link set eth1 up"
        ))?;
        if self.place == CLIENTS { Ok(()) } else { self.start_services() }
    }

    fn start_services(&self) -> Result<(), String> {
        self.run("/usr/lib/imagebuild/timers")?;
        if self.is_database() {
            self.run("systemctl start mariadb.service")?;
        }
        self.start_agent()?;
        if self.is_database() {
            self.start_keepalived()?;
        }
        Ok(())
    }

    pub(crate) fn start_agent(&self) -> Result<(), String> {
        self.run(
            "imagebuild-replication run 2>&1 </dev/null | while read -r line; do echo \"$EPOCHREALTIME $line\"; done >>/var/log/agent.log 2>/dev/null &",
        )
        .map(drop)
    }

    pub(crate) fn start_keepalived(&self) -> Result<(), String> {
        self.run(
            "setsid keepalived --dont-fork --log-console >>/run/keepalived.log 2>&1 </dev/null &",
        )
        .map(drop)
    }

    /// All of its processes end at once, and nothing gets out any more.
    pub(crate) fn power_off(&mut self, switch: u32) -> Result<(), String> {
        in_switch(&self.tree, switch, &format!("ip link delete port{}", self.place))?;
        if let Some(mut first) = self.first.take() {
            drop(first.kill());
            first.wait().map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// New disks, with nothing on them.
    pub(crate) fn blank(&self) -> Result<(), String> {
        self.lose_data()?;
        self.lose_register()
    }

    /// A new data disk.
    pub(crate) fn lose_data(&self) -> Result<(), String> {
        let data = self.folder.join("data");
        fs::remove_dir_all(&data).and_then(|()| fs::create_dir(&data)).map_err(|e| e.to_string())
    }

    /// A new disk for all but the data.
    pub(crate) fn lose_register(&self) -> Result<(), String> {
        let register = self.folder.join("upper/var/lib/imagebuild");
        fs::remove_dir_all(register).map_err(|e| e.to_string())
    }

    /// Its data as a backup has them.
    pub(crate) fn pack_data(&self, file: &Path) -> Result<(), String> {
        put(file, "")?;
        let data = self.folder.join("data").display().to_string();
        let words = ["--create", "--numeric-owner", "--use-compress-program=zstd -q -T0", "-f"];
        let words = words.into_iter().map(str::to_owned);
        let rest = [file.display().to_string(), "-C".to_owned(), data, ".".to_owned()];
        run("tar", &words.chain(rest).collect::<Vec<_>>())
    }

    /// Its first process, as this machine sees it.
    fn pid(&self) -> Result<u32, String> {
        let outer = self.first.as_ref().ok_or("it is off")?.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let children = children.map_err(|e| e.to_string())?;
        children.trim().parse().map_err(|_| format!("no first process: {children}"))
    }

    /// A command of the shell in it.
    pub(crate) fn run(&self, command: &str) -> Result<String, String> {
        let output = self.output(command)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(format!(
            "{}: {command}: {text}{}",
            self.name(),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    fn output(&self, command: &str) -> Result<Output, String> {
        let mut all = self.enter()?;
        all.args(["/bin/bash", "-c", command]).stdin(Stdio::null());
        all.output().map_err(|e| e.to_string())
    }

    /// A command that runs meanwhile.
    pub(crate) fn spawn(&self, command: &str) -> Result<Running, String> {
        let mut all = self.enter()?;
        all.args(["/bin/bash", "-c", command]).stdin(Stdio::null());
        all.spawn().map(Running).map_err(|e| e.to_string())
    }

    /// The beginning of a command that runs in it.
    pub(crate) fn enter(&self) -> Result<Command, String> {
        let pid = self.pid()?.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--net", "--uts", "--ipc", "--mount", "--pid"]);
        command.args(["--root", "--wd"]);
        command.env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(command)
    }

    /// What the agent says of this server.
    pub(crate) fn state(&self, key: &str) -> String {
        let text = self.output("cat /run/imagebuild/pair/state").map(|output| output.stdout);
        let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
        let of = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        text.lines().find_map(of).unwrap_or_default()
    }

    /// A signal for all processes of a name.
    pub(crate) fn signal(&self, signal: &str, name: &str) -> Result<(), String> {
        self.run(&format!("pkill -{signal} -x {name}")).map(drop)
    }
}

/// A command that is waited for later.
pub(crate) struct Running(Child);

impl Running {
    /// Whatever came of it.
    pub(crate) fn wait(mut self) -> Result<(), String> {
        self.0.wait().map(drop).map_err(|e| e.to_string())
    }
}

/// A command of the shell in the switch's network, with the programs of the packages' tree.
pub(crate) fn in_switch(tree: &Path, switch: u32, command: &str) -> Result<(), String> {
    let tree = tree.display();
    // The tree is the store's: nothing may be written into it.
    let script = format!(
        "mount --make-rprivate / && mount --bind {tree} {tree} && mount -o remount,bind,ro {tree} && \
         mount --rbind /proc {tree}/proc && exec chroot {tree} /bin/sh -c \"$1\""
    );
    let words = ["--target", &switch.to_string(), "--net", "unshare", "--mount", "bash", "-c"];
    let words = words.into_iter().chain([script.as_str(), "switch", command]).map(str::to_owned);
    run("nsenter", &words.collect::<Vec<_>>())
}

/// A program of this machine, to its end.
pub(crate) fn run(program: &str, words: &[String]) -> Result<(), String> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    let error =
        || format!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(error)
}

pub(crate) fn put(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(|e| e.to_string())
}

/// Looks twenty times a second.
pub(crate) fn wait_until(what: &str, tenths: u32, is_so: impl Fn() -> bool) -> Result<(), String> {
    let mut looks = 0..tenths * 2;
    let is_met = looks.any(|_| {
        let is_met = is_so();
        if !is_met {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        is_met
    });
    is_met.then_some(()).ok_or_else(|| format!("not within {} s: {what}", tenths / 10))
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut first) = self.first.take() {
            drop(first.kill());
            drop(first.wait());
        }
    }
}
