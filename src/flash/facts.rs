//! What is known of a target before anything is written, and why it may be refused. Read
//! from what the session says: a machine that may be anybody's.

use crate::error::{Error, Result};
use crate::names;
use crate::progress;

/// No answer has more lines, and none of them is longer than as many bytes: of a disk with
/// a hundred partitions there is less to say.
pub(super) const MOST: usize = 4096;

/// The only size of a sector that the partition table is made for.
const SECTOR: u64 = 512;

/// What the path of a target leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole disk.
    Disk,
    /// A partition.
    Partition,
    /// A file.
    File,
    /// A folder or a character device.
    Other,
    /// Nothing.
    Missing,
}

/// A target as its machine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The system's and the processor's name: "Linux x86_64".
    pub machine: String,
    /// Another one each time it starts.
    pub boot: String,
    /// `BIOS` or `UEFI`: what started that machine.
    pub firmware: String,
    /// The programs that are there.
    pub tools: Vec<String>,
    /// Where the path leads to, with all links followed.
    pub path: String,
    /// What that is.
    pub kind: Option<Kind>,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical sector; nothing for a file.
    pub sector: Option<u64>,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Other disks with the same serial number, or without one and of the same size.
    pub alike: Vec<String>,
    /// Whether the disk is asked for alone before it is written: what else the kernel knows of its
    /// use counts then.
    pub exclusive: bool,
    /// The serial number, or the disk's world-wide name; empty where it has none.
    pub serial: String,
    /// Who made it.
    pub model: String,
    /// What uses it now, a sentence each.
    pub used: Vec<String>,
    /// The devices of which is known who uses them: the disk and its partitions.
    pub looked_at: Vec<String>,
    /// Its partitions now, a line each.
    pub holds: Vec<String>,
}

impl Facts {
    /// Reads the lines `fact NAME VALUE` of an answer; names that are not known are left out.
    ///
    /// # Errors
    /// When a fact that decides is missing or is no number.
    pub(super) fn parse(lines: &[String]) -> Result<Facts> {
        let mut facts = Facts::default();
        for line in lines {
            let Some((name, value)) =
                line.strip_prefix("fact ").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let value = value.trim();
            let text = || value.chars().filter(|c| !c.is_control()).collect::<String>();
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    Error::build(format!("the target says that its {name} is {:?}", text()))
                })
            };
            match name {
                "machine" => facts.machine = text(),
                "boot" => facts.boot = text(),
                "firmware" => facts.firmware = text(),
                "tool" => facts.tools.push(text()),
                "path" => facts.path = text(),
                "kind" => facts.kind = Some(kind(value)),
                "size" => facts.size = number()?,
                "sector" => facts.sector = Some(number()?),
                "read-only" => facts.read_only = value != "0",
                "alike" => facts.alike.push(text()),
                "exclusive" => facts.exclusive = true,
                "serial" => facts.serial = text(),
                "model" => facts.model = text(),
                "used" => facts.used.push(text()),
                "looked-at" => facts.looked_at.push(text()),
                "holds" => facts.holds.push(text()),
                _ => {}
            }
        }
        // By its number and by its name.
        facts.used.sort();
        facts.used.dedup();
        Ok(facts)
    }

    /// Whether a program is there.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.tools.iter().any(|one| one == tool)
    }

    /// What `--confirm` must say: nobody types it by mistake, and it is of one disk.
    pub fn name(&self) -> String {
        let file = || self.path.rsplit('/').next().unwrap_or_default();
        let name = match self.kind {
            Some(Kind::File) => return file().to_owned(),
            _ if !self.serial.is_empty() => self.serial.clone(),
            // Neither serial nor name: what differs most among the disks of a machine.
            _ => self.size.to_string(),
        };
        if self.alike.is_empty() { name } else { format!("{name}@{}", file()) }
    }

    /// What [`Facts::name`] is.
    fn name_is(&self) -> &'static str {
        match (self.serial.is_empty(), self.alike.is_empty()) {
            _ if self.kind == Some(Kind::File) => "file's name",
            (false, true) => "serial number",
            (true, true) => "size in bytes, as it has no serial number",
            (false, false) => {
                "serial number, which another disk has, too, and its name until the next restart"
            }
            (true, false) => {
                "size in bytes, which another disk has, too, and its name until the next restart"
            }
        }
    }

    /// The disk in one line: "/dev/sda: QEMU HARDDISK, serial number 1234, 40.0 GB".
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        if !self.model.is_empty() {
            parts.push(self.model.clone());
        }
        if !self.serial.is_empty() {
            parts.push(format!("serial number {}", self.serial));
        }
        parts.push(progress::bytes(self.size));
        format!("{}: {}", self.path, parts.join(", "))
    }

    /// Refuses what an image of `size` bytes cannot or must not be written to.
    ///
    /// # Errors
    /// The first reason.
    pub(super) fn check(&self, size: u64) -> Result<()> {
        let path = &self.path;
        for tool in ["dd", "sha256sum", "head", "tr", "cat", "ls", "readlink", "stat"] {
            if !self.has(tool) {
                return Err(Error::input(format!(
                    "the target's system has no `{tool}` that will do"
                ))
                .hint("use a rescue system with GNU's coreutils or a whole busybox"));
            }
        }
        if self.machine != "Linux x86_64" {
            return Err(Error::input(format!(
                "the target's machine is {}, the image is for Linux x86_64",
                if self.machine.is_empty() { "unknown" } else { &self.machine }
            )));
        }
        match self.kind {
            Some(Kind::Disk | Kind::File) => {}
            Some(Kind::Partition) => {
                return Err(Error::input(format!(
                    "{path} is a partition, an image is a whole disk"
                ))
                .hint("name the disk that it is on: `ls -l /dev/disk/by-id` lists them"));
            }
            Some(Kind::Other) => {
                return Err(Error::input(format!("{path} is neither a disk nor a file")));
            }
            Some(Kind::Missing) | None => {
                return Err(Error::input(format!("there is no {path}")).hint(
                    "`ls -l /dev/disk/by-id` on that machine lists its disks; for a VM's raw disk, make the file first: `truncate -s 20G PATH`",
                ));
            }
        }
        if let Some(sector) = self.sector.filter(|sector| *sector != SECTOR) {
            return Err(Error::input(format!(
                "{path} has sectors of {sector} bytes, images are made for {SECTOR}"
            ))
            .hint("many NVMe disks can be formatted to 512: `nvme id-ns -H` shows it"));
        }
        if self.size < size || !self.size.is_multiple_of(SECTOR) {
            return Err(Error::input(format!(
                "{path} has {} bytes ({}), the image needs {size} ({})",
                self.size,
                progress::bytes(self.size),
                progress::bytes(size)
            ))
            .hint(
                "use a larger disk, or lower `smallest` and the sizes under `[disk]` in site.toml",
            ));
        }
        if !self.used.is_empty() {
            let error = Error::input(format!("{path} is in use"));
            let error = self.used.iter().fold(error, |error, one| error.detail(one));
            return Err(error.hint(
                "name another disk if that machine runs from this one; in a rescue system, release it: `umount`, `swapoff`, `vgchange -an`, `mdadm --stop`",
            ));
        }
        // The disk by its own name, and as many partitions as it has.
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_known = self.looked_at.iter().any(|one| one == name)
            && self.looked_at.len() == 1 + self.holds.len();
        if self.kind == Some(Kind::Disk) && !is_known {
            return Err(Error::build(format!("it cannot be told whether {path} is in use")));
        }
        if self.read_only {
            return Err(Error::input(format!("{path} is read-only")));
        }
        Ok(())
    }

    /// Compares with what `--confirm` said.
    ///
    /// # Errors
    /// When it is another disk, or nothing was said: with the words to say.
    pub(super) fn confirm(&self, said: Option<&str>) -> Result<()> {
        let (name, what) = (self.name(), self.name_is());
        let found = |error: Error| {
            let error = error.detail(self.line());
            self.holds.iter().fold(error, |error, part| error.detail(format!("  {part}")))
        };
        match said {
            Some(said) if said == name => Ok(()),
            Some(said) => {
                let near = names::nearest(said, [name.as_str()]);
                let hint = match near.first() {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("look again which disk it is: this one's {what} is `{name}`"),
                };
                Err(found(Error::input(format!("the disk is not `{said}`"))).hint(hint))
            }
            None => {
                Err(found(Error::input("everything on this disk would be lost")).hint(format!(
                    "if it is the right one, add `--confirm {}` (its {what})",
                    crate::exec::quote(&name)
                )))
            }
        }
    }
}

fn kind(word: &str) -> Kind {
    match word {
        "disk" => Kind::Disk,
        "partition" => Kind::Partition,
        "file" => Kind::File,
        "missing" => Kind::Missing,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;

    const GOOD: &str = "fact machine Linux x86_64\nfact boot 1-2\nfact firmware UEFI\nfact tool dd\nfact tool sha256sum\nfact tool head\nfact tool tr\nfact tool cat\nfact tool ls\nfact tool readlink\nfact tool stat\nfact tool zstd\nfact path /dev/sda\nfact kind disk\nfact size 42949672960\nfact sector 512\nfact read-only 0\nfact serial 1234\nfact model QEMU HARDDISK\nfact looked-at sda\nfact holds sda1 40G ext4 root\nfact looked-at sda1\nfact news of later versions";

    fn facts(text: &str) -> Facts {
        Facts::parse(&text.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    /// The facts above with one of them in other words.
    fn but(line: &str) -> Facts {
        let name = line.split(' ').nth(1).unwrap();
        let lines = GOOD.lines().filter(|one| one.split(' ').nth(1) != Some(name));
        facts(&lines.chain([line]).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_disk_that_will_do() {
        let facts = facts(GOOD);
        facts.check(4 << 30).unwrap();
        assert_eq!(facts.line(), "/dev/sda: QEMU HARDDISK, serial number 1234, 42.9 GB");
        facts.confirm(Some("1234")).unwrap();
    }

    #[test]
    fn what_will_not_do() {
        for (line, why) in [
            (
                "fact machine Linux aarch64",
                "the target's machine is Linux aarch64, the image is for Linux x86_64",
            ),
            ("fact tool dd", "the target's system has no `sha256sum` that will do"),
            ("fact kind partition", "/dev/sda is a partition, an image is a whole disk"),
            ("fact kind other", "/dev/sda is neither a disk nor a file"),
            ("fact kind missing", "there is no /dev/sda"),
            (
                "fact size 4294966784",
                "/dev/sda has 4294966784 bytes (4.3 GB), the image needs 4294967296 (4.3 GB)",
            ),
            ("fact sector 4096", "/dev/sda has sectors of 4096 bytes, images are made for 512"),
            ("fact used sda1 is mounted at /", "/dev/sda is in use"),
            ("fact looked-at sda", "it cannot be told whether /dev/sda is in use"),
            ("fact read-only 1", "/dev/sda is read-only"),
        ] {
            assert_eq!(but(line).check(4 << 30).unwrap_err().message(), why);
        }
    }

    #[test]
    fn the_disk_must_be_named() {
        let text = |facts: &Facts, said| facts.confirm(said).unwrap_err().to_string();
        assert_eq!(
            text(&facts(GOOD), None),
            "error: everything on this disk would be lost\n  /dev/sda: QEMU HARDDISK, serial number 1234, 42.9 GB\n    sda1 40G ext4 root\nhint: if it is the right one, add `--confirm 1234` (its serial number)"
        );
        let other = text(&facts(GOOD), Some("S1-900-17"));
        assert!(other.starts_with("error: the disk is not `S1-900-17`\n"), "{other}");
        let nameless = but("fact serial ");
        assert_eq!(nameless.name(), "42949672960");
        assert!(text(&nameless, None).ends_with("(its size in bytes, as it has no serial number)"));
        let mut two = nameless.clone();
        two.alike.push("sdb".to_owned());
        assert_eq!(two.name(), "42949672960@sda");
        let mut file = nameless;
        (file.kind, file.path) = (Some(Kind::File), "/srv/my disk.raw".to_owned());
        assert!(text(&file, None).contains("--confirm 'my disk.raw'"));
    }

    #[test]
    fn a_corpus_of_answers_changed_at_random() {
        Fuzz::of("facts", &["fact ", "size ", "\n", "18446744073709551616"])
            .with([GOOD.as_bytes().to_vec()])
            .run(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                if let Ok(facts) = Facts::parse(&lines) {
                    drop((facts.check(1 << 30), facts.confirm(None), facts.line()));
                }
            });
    }
}
