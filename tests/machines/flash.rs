//! `imagebuild flash` to the second disk of a machine over SSH, as to one that runs a rescue
//! system: what is refused, a line that is cut, and that the disk boots, as that server.
//!
//! The rescue system is an image of ours with an sshd that lets root in: Debian's programs, and
//! none of ours is used there.

use crate::ask::{Guest, boot, native};
use crate::net::wire;
use crate::project;
use crate::setup::{World, world};
use imagebuild::client::{ClientConfig, Clients, Tunnel};
use imagebuild::error::Result;
use imagebuild::exec::{Output, Program};
use imagebuild::netsim::Segment;
use imagebuild::qemu::{Bus, DiskConfig, Firmware};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk to be written, by its serial number. Its path changes from boot to boot.
const SERIAL: &str = "disk1";

/// A small disk: zeros are read back as well, which takes an emulated machine a while.
const SITE: &str = "[admin]\nkeys = [\"KEY\"]\nssh = [\"public\"]\n\n[disk]\nesp = \"96M\"\npackages = \"448M\"\nconfiguration = \"32M\"\nstate = \"256M\"\nsmallest = \"1400M\"\n";

/// A new user's folder: a project, keys, and an `ssh` that uses them.
struct Desk {
    folder: tempfile::TempDir,
    host_key: String,
}

impl Desk {
    fn new(world: &World) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk { folder, host_key: String::new() };
        for (name, program) in [("ssh", "ssh"), ("keygen", "ssh-keygen")] {
            // OpenSSH of the lock: this machine may have none.
            let tools = world.tools.display();
            let key = desk.path("key");
            let options = if name == "ssh" {
                format!("-F none -o IdentityFile={} -o IdentitiesOnly=yes", key.display())
            } else {
                String::new()
            };
            let script = format!(
                "#!/bin/sh\nexec {tools}/lib64/ld-linux-x86-64.so.2 --library-path {tools}/usr/lib/x86_64-linux-gnu {tools}/usr/bin/{program} {options} \"$@\"\n"
            );
            std::fs::create_dir_all(desk.path("bin")).unwrap();
            put(&desk.path("bin").join(name), script.as_bytes(), 0o755);
        }
        for name in ["key", "rescue"] {
            let path = desk.path(name);
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"];
            Program::new(desk.path("bin/keygen")).args(words).arg(path).run().unwrap();
        }
        let public = desk.read("key.pub");
        std::fs::create_dir(desk.path("project")).unwrap();
        put(&desk.path("project/site.toml"), SITE.replace("KEY", public.trim()).as_bytes(), 0o644);
        let host_key = desk.read("rescue.pub").trim().to_owned();
        Desk { host_key, ..desk }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program itself, in the project.
    fn run(&self, words: &[&str]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let program = Program::new(project::PROGRAM).args(words).dir(self.path("project"));
        program.envs(std::env::vars_os()).env("PATH", path).output().unwrap()
    }

    fn flash(&self, tunnel: &Tunnel, disk: &str, more: &[&str]) -> Output {
        let to = format!("ssh://root@{}{disk}", tunnel.address());
        let words =
            ["flash", "arch1", "--server", "web1", "--to", &to, "--host-key", &self.host_key];
        let output = self.run(&[&words[..], more].concat());
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn refused(&self, tunnel: &Tunnel, disk: &str, more: &[&str], why: &str) {
        let output = self.flash(tunnel, disk, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.code != 0 && said.contains(why), "{why}: {said}");
    }
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn good<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|e| panic!("{e}"))
}

/// A way to a port of the machine with this public address.
fn tunnel(segment: &Segment, name: &str, server: &str) -> Tunnel {
    let client = good(ClientConfig::parse("172.16.255.3/16"));
    let clients = Arc::new(good(Clients::attach(segment, name, &[client])));
    good(Tunnel::open(&clients, server.parse().unwrap()))
}

fn start_sshd(guest: &mut Guest) {
    guest.ask("/usr/sbin/sshd -f /dev/null -p 2222 -h /run/rescue/key -o PermitRootLogin=yes -o AuthorizedKeysFile=/run/rescue/authorized -o StrictModes=no -o PidFile=none -o UsePAM=yes");
}

/// Debian's sshd, for root, on a port that our firewall lets through.
fn begin_rescue(guest: &mut Guest, desk: &Desk, disk: &str) {
    guest.ask("mkdir -p /run/rescue /run/sshd");
    good(guest.machine.write_file("/run/rescue/key", &std::fs::read(desk.path("rescue")).unwrap()));
    good(guest.machine.write_file("/run/rescue/authorized", desk.read("key.pub").as_bytes()));
    guest.ask("chmod 600 /run/rescue/*; nft insert rule inet imagebuild from-outside tcp dport 2222 accept");
    start_sshd(guest);
    // A disk that was used: a table at either end, and data where the image has none.
    guest.ask(&format!("for at in 0 3 900 1400 $(($(cat /sys/class/block/{}/size) / 2048 - 1)); do yes used | dd of={disk} bs=1M count=1 seek=$at iflag=fullblock status=none; done; sync", disk.trim_start_matches("/dev/")));
}

/// The disk with this serial number.
fn disk_with(guest: &mut Guest, serial: &str) -> String {
    let find = format!("grep -l '^{serial} *$' /sys/class/block/nvme?n1/device/serial");
    format!("/dev/{}", guest.ask(&find).split('/').nth(4).unwrap())
}

pub(crate) fn over_ssh_to_a_disk_that_boots() {
    let world = world();
    let desk = Desk::new(world);
    let seeded = desk.run(&["seed", "arch1", "--out", "../seeds"]);
    assert_eq!(seeded.code, 0, "{}", String::from_utf8_lossy(&seeded.stderr));
    let mut config = world.bare("arch4-web1", "flash").second_disk(DiskConfig::blank(3 << 29));
    config = config.platform(Firmware::Uefi, Bus::Nvme);
    let wired = wire(&mut config);
    let mut guest = boot(config);
    guest.is_running();
    let disk = disk_with(&mut guest, SERIAL);
    let own = disk_with(&mut guest, "disk0");
    begin_rescue(&mut guest, &desk, &disk);
    let to_rescue = tunnel(wired.public(), "desk", "172.16.0.11:2222");

    desk.refused(
        &to_rescue,
        &disk,
        &[],
        "hint: if it is the right one, add `--confirm disk1` (its serial number)",
    );
    desk.refused(&to_rescue, &own, &["--confirm", "disk0"], &format!("error: {own} is in use\n"));
    desk.refused(
        &to_rescue,
        &format!("{own}p1"),
        &["--confirm", "x"],
        "is a partition, an image is a whole disk",
    );
    let wrong = Desk { host_key: desk.read("key.pub").trim().to_owned(), folder: desk.folder };
    wrong.refused(&to_rescue, &disk, &["--confirm", SERIAL], "Host key verification failed");
    let desk = Desk { host_key: wrong.read("rescue.pub").trim().to_owned(), folder: wrong.folder };
    let plan = desk.flash(&to_rescue, &disk, &["--plan"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(text.contains("`--confirm disk1` names this disk"), "{text}");
    guest.expect(&format!("head -c 4 {disk}"), "used");

    is_cut_in_the_middle(&mut guest, &desk, &to_rescue, &disk);

    // The other disk boots from now on; the rescue system has what it needs in memory.
    guest.ask(&format!("dd if=/dev/zero of={own} bs=1M count=1 conv=fsync status=none"));
    let way = tunnel(wired.public(), "desk2", "172.16.0.11:22");
    let ssh = way.address().to_string();
    guest.machine.expect_restart();
    let output = desk.flash(&to_rescue, &disk, &["--confirm", SERIAL, "--restart", "--ssh", &ssh]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.code, 0, "{said}");
    assert!(said.contains("    Resuming behind the first "), "{said}");
    // By the seed's host key, and by the user's own key.
    assert!(said.contains("Arrived arch1-web1 answers, with its seed and its image"), "{said}");
    guest.wait_for_shell();
    guest.is_running();
    is_the_server(&mut guest);
    let place = format!("web1={ssh}");
    let asked = desk.run(&["status", "arch1", "--server", "web1", "--ssh", &place]);
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(said.starts_with("web1  arch1-web1 version 1, slot a, up "), "{said}");
    assert!(said.ends_with(" checks good\n") && asked.code == 0, "{said}");
    guest.ask("systemctl stop nginx");
    let asked = desk.run(&["status", "arch1", "--server", "web1", "--ssh", &place]);
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(said.contains("      ! check failed: nginx serves servercheck.txt"), "{said}");
    assert_eq!(asked.code, 4);
    guest.stop();
}

/// The line is cut when a good part is written: the disk boots nothing.
fn is_cut_in_the_middle(guest: &mut Guest, desk: &Desk, tunnel: &Tunnel, disk: &str) {
    let output = std::thread::scope(|scope| {
        let flash = scope.spawn(|| desk.flash(tunnel, disk, &["--confirm", SERIAL]));
        let stat = disk.replace("/dev/", "/sys/class/block/") + "/stat";
        // In sectors: field 7 (the kernel's Documentation/block/stat.rst).
        guest.within(native(60), &format!("[ $(awk '{{ print $7 }}' {stat}) -gt 400000 ]"));
        guest.ask("pkill -9 sshd");
        flash.join().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.code, 1, "{said}");
    assert!(said.contains("the disk boots nothing now: "), "{said}");
    assert!(
        said.contains("hint: run the same command again: it goes on behind the first "),
        "{said}"
    );
    guest.expect(&format!("head -c 1048576 {disk} | tr -d '\\0' | wc -c"), "0");
    start_sshd(guest);
}

fn is_the_server(guest: &mut Guest) {
    let disk = disk_with(guest, SERIAL);
    guest.expect("cat /run/imagebuild/disk", &disk);
    guest.expect(". /etc/os-release; echo $IMAGE_ID", "arch1-web1");
    guest.expect("systemctl is-active ssh.service php8.4-fpm.service", "active\nactive");
    guest.within(native(15), "imagebuild-check >/dev/null");
}
