//! Writes an image with its server's seed to a disk, and reads it back.
//!
//! A disk that is half written boots nothing: its ends are erased first, and its first sector
//! is written last, when all else was read back. Whatever ends the work on the way, the same
//! command goes on (`journal`). All kinds of target take one way (`session`).

mod arrival;
mod facts;
mod journal;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod work;

pub use arrival::Arrival;
pub use facts::{Facts, Kind};
pub use target::Target;
pub use work::Work;

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::image::pieces::Piece;
use crate::progress::{self, Meter};
use journal::{Journal, Subject};
use nix::fcntl::{Flock, FlockArg, OFlag};
use session::{Sender, Session};
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use work::{HEAD, SECTOR};

/// Between two moments when the disk must have everything, in bytes.
const FLUSH: u64 = 64 << 20;

/// How an image is written.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the user says that the disk is called.
    pub confirm: Option<String>,
    /// Keys of the host; those that the user's `ssh` knows, if there are none.
    pub host_keys: Vec<String>,
    /// Bytes of a new file; as many as the image has, if it is not said.
    pub file_size: Option<u64>,
    /// Whether the machine is restarted at the end.
    pub restart: bool,
    /// Who is waited for then.
    pub arrival: Option<Arrival>,
}

/// What would be written where, for people. Reads only.
///
/// # Errors
/// When the target cannot be reached, or would be refused.
pub fn plan(work: &Work, target: &Target, options: &Options) -> Result<String> {
    let head = format!("{} (identity {}) to {target}\n", work.image, work.identity);
    if let Target::File(path) = target {
        let size = file_size(work, options)?;
        check_new(path)?;
        let file =
            format!("  a new file of {}, readable by its user only\n", progress::bytes(size));
        return Ok(head + &file + &work.describe(size));
    }
    let facts = Session::open(target, &options.host_keys)?.describe()?;
    facts.check(work.size())?;
    let holds: String = facts.holds.iter().map(|part| format!("    {part}\n")).collect();
    let machine = format!("  a machine with {}, started by {}\n", facts.machine, facts.firmware);
    let name = format!("  `--confirm {}` names this disk\n", crate::exec::quote(&facts.name()));
    Ok(format!("{head}{machine}  {}\n{holds}{name}{}", facts.line(), work.describe(facts.size)))
}

/// Writes the image, and reads it back.
///
/// # Errors
/// When the target is refused, nothing was touched; when the work ends on the way, the disk
/// boots nothing, and the same command goes on.
pub fn write(work: &Work, target: &Target, options: &Options, store: &Path) -> Result<()> {
    match target {
        Target::File(path) => write_file(work, path, options, store),
        Target::Device(_) | Target::Ssh { .. } => {
            let session = Session::open(target, &options.host_keys)?;
            let confirm = Confirm::Said(options.confirm.as_deref());
            let flash = Flash::begin(work, target, confirm, session, store)?;
            let boot = flash.facts.boot.clone();
            flash.run(options.restart)?;
            options.arrival.as_ref().map_or(Ok(()), |arrival| arrival::wait(arrival, &boot))
        }
    }
}

/// A new file is written under another name until it is whole.
fn write_file(work: &Work, path: &Path, options: &Options, store: &Path) -> Result<()> {
    check_new(path)?;
    let size = file_size(work, options)?;
    let partial = partial(path);
    make_new(&partial, size)?;
    let target = Target::Device(std::path::absolute(&partial).unwrap_or_else(|_| partial.clone()));
    let session = Session::open(&target, &[])?;
    Flash::begin(work, &target, Confirm::Ours, session, store)?.run(false)?;
    // A file that came in the meantime is not ours to replace.
    check_new(path)?;
    std::fs::rename(&partial, path).map_err(|e| Error::io("make", path, &e))
}

/// An empty file of `size` bytes, the user's alone: it will hold secrets. What an earlier run left
/// is emptied; what is not the user's own file is refused.
fn make_new(path: &Path, size: u64) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("make", path, &e);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = options.open(path).map_err(failed)?;
    let data = file.metadata().map_err(failed)?;
    let is_own = data.uid() == nix::unistd::geteuid().as_raw();
    if !data.is_file() || !is_own || data.nlink() != 1 {
        return Err(Error::input(format!(
            "{} is there, and not a file of yours alone",
            path.display()
        ))
        .hint("it is made for the time of writing: remove it, or name another place"));
    }
    // Whoever writes it holds its lock (`session.sh`): it is not emptied under his hands.
    let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        Error::input(format!("another imagebuild is writing {}", path.display()))
            .hint("wait for it, or end it")
    })?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.set_len(0).and_then(|()| file.set_len(size)).map_err(failed)
}

fn check_new(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::input(format!("{} is there already", path.display()))
        .hint("remove it, or name another file; a disk is `dev:/dev/disk/by-id/NAME`"))
}

fn file_size(work: &Work, options: &Options) -> Result<u64> {
    let size = options.file_size.unwrap_or_else(|| work.size());
    if size >= work.size() {
        return Ok(size);
    }
    Err(Error::input(format!("the image has {} bytes, the file would have {size}", work.size()))
        .hint("leave out `--size`, or make it larger"))
}

/// How it is known that the target is the one that is meant.
#[derive(Debug, Clone, Copy)]
enum Confirm<'a> {
    /// By what the user says that the disk is called.
    Said(Option<&'a str>),
    /// It is a file that we made.
    Ours,
}

/// The writing of one disk.
struct Flash<'a> {
    work: &'a Work,
    session: Session,
    facts: Facts,
    journal: Journal,
    /// Whether anything of the disk was changed.
    touched: bool,
    /// Whether all but the first sector is written, and that may be.
    is_ending: bool,
    /// See [`FLUSH`].
    flush: u64,
}

impl<'a> Flash<'a> {
    /// Looks at the target and refuses it, or is ready to write.
    fn begin(
        work: &'a Work,
        target: &Target,
        confirm: Confirm<'_>,
        mut session: Session,
        store: &Path,
    ) -> Result<Flash<'a>> {
        let facts = session.describe()?;
        facts.check(work.size())?;
        match confirm {
            Confirm::Said(said) => facts.confirm(said)?,
            Confirm::Ours => {}
        }
        if facts.kind == Some(Kind::Disk) && !facts.exclusive {
            progress::warn(
                "whether something else has claimed this disk can only be told in part: the target's system has no blkdiscard of util-linux",
            );
        }
        // By a descriptor from now on: what was looked at before is looked at again.
        session.ask("open")?;
        let again = session.describe()?;
        again.check(work.size())?;
        if (again.name(), again.size, &again.path) != (facts.name(), facts.size, &facts.path) {
            return Err(Error::build(format!("{} has become another disk", facts.path))
                .hint("look again which it is, and run it once more"));
        }
        let (target, disk, size) = (target.to_string(), facts.name(), facts.size);
        let subject = Subject { target, disk, size, image: work.identity, seed: work.seed };
        let mut journal = Journal::open(store, subject)?;
        if let Confirm::Ours = confirm {
            // It was made for this run.
            journal.forget()?;
        }
        let (touched, is_ending) = (false, false);
        Ok(Flash { work, session, facts, journal, touched, is_ending, flush: FLUSH })
    }

    fn run(mut self, restart: bool) -> Result<()> {
        match self.write() {
            Ok(()) => {}
            Err(e) => return Err(self.explained(e)),
        }
        progress::step("Flashed", format!("{} to {}", self.work.image, self.facts.line()));
        if restart {
            self.session.ask("restart")?;
            progress::step("Restarted", "the machine");
        }
        Ok(())
    }

    /// What an error means for the disk, and what to do.
    fn explained(&self, error: Error) -> Error {
        if !self.touched {
            return error;
        }
        let done = self.journal.written();
        let again = match done {
            0 => "run the same command again".to_owned(),
            done => format!(
                "run the same command again: it goes on behind the first {}",
                progress::bytes(done)
            ),
        };
        let error = if error.kind() == ErrorKind::Interrupted {
            Error::new(ErrorKind::Interrupted, "interrupted")
        } else {
            error
        };
        let state = if self.is_ending {
            "the disk may be whole, or boot nothing"
        } else {
            "the disk boots nothing now"
        };
        error.detail(format!("{state}: {}", self.facts.line())).or_hint(again)
    }

    fn write(&mut self) -> Result<()> {
        let resumed = self.journal.written();
        if resumed > 0 {
            progress::step("Resuming", format!("behind the first {}", progress::bytes(resumed)));
        }
        self.erase(resumed)?;
        self.write_from(resumed)?;
        match self.read_back() {
            // What was written before may be what is wrong: somebody else had the disk since.
            Err(e) if resumed > 0 && e.kind() == ErrorKind::Check => {
                progress::warn(format!("{}: all is written again", e.message()));
                self.journal.forget()?;
                self.erase(0)?;
                self.write_from(0)?;
                self.read_back()?;
            }
            other => other?,
        }
        self.write_head()?;
        // The disk is whole, whatever becomes of this.
        self.journal.forget().unwrap_or_else(|e| progress::warn(e.message()));
        Ok(())
    }

    /// The ends of the disk, so that nothing boots from it and no old table is found. The end of
    /// the image only where a run begins: it may hold the image now.
    fn erase(&mut self, resumed: u64) -> Result<()> {
        for (offset, length) in self.work.erased(self.facts.size, resumed == 0) {
            self.session.ask(&format!("erase {offset} {length}"))?;
            self.touched = true;
        }
        self.session.ask("flush")?;
        progress::step("Erased", format!("the ends of {}", self.facts.path));
        Ok(())
    }

    fn write_from(&mut self, start: u64) -> Result<()> {
        let work = self.work;
        let left = work.size() - start.max(HEAD);
        if left == 0 {
            return Ok(());
        }
        let meter = Meter::new(work.image.clone(), left);
        let (mut since, every, journal) = (0, self.flush, &mut self.journal);
        // The mark of each command: the bytes that it made right, and, of a flush, up to where.
        let produce = |sender: &mut Sender<'_, (u64, Option<u64>)>| {
            work.each_piece(start, |offset, piece| {
                let (length, cost) = match piece {
                    Piece::Data(bytes) => {
                        sender.write(offset, bytes, (bytes.len() as u64, None))?;
                        (bytes.len() as u64, bytes.len() as u64)
                    }
                    Piece::Zeros(count) => {
                        sender.erase(offset, count, (count, None))?;
                        (count, 0)
                    }
                };
                since += cost;
                if since >= every {
                    since = 0;
                    sender.flush((0, Some(offset + length)))?;
                }
                Ok(())
            })?;
            sender.flush((0, Some(work.size())))
        };
        self.session.stream(self.facts.has("zstd"), produce, |(bytes, flushed), _| {
            meter.add(bytes);
            flushed.map_or(Ok(()), |until| journal.note(until))
        })?;
        meter.finish("Wrote");
        Ok(())
    }

    fn read_back(&mut self) -> Result<()> {
        if self.session.ask("look-past-the-cache")? == "cached" {
            progress::warn(
                "the disk's cache cannot be emptied: what is read back may come from there",
            );
        }
        let regions = self.work.regions(self.facts.size);
        let meter = Meter::new("digests", regions.iter().map(|region| region.length).sum());
        let produce = |sender: &mut Sender<'_, usize>| {
            regions.iter().enumerate().try_for_each(|(number, region)| {
                sender.digest(region.offset, region.length, number)
            })
        };
        // To the end: the talk goes on behind the last answer.
        let mut first_wrong = None;
        self.session.stream(false, produce, |number, answer| {
            let region = &regions[number];
            meter.add(region.length);
            if session::digest(&answer)? != region.sha256 {
                first_wrong.get_or_insert((region.name.clone(), region.offset));
            }
            Ok(())
        })?;
        meter.finish("Read back");
        first_wrong.map_or(Ok(()), |(name, offset)| Err(wrong(&name, offset)))
    }

    /// The partition table, and then the sector without which nothing boots.
    fn write_head(&mut self) -> Result<()> {
        let (first, rest) = self.work.head().split_at(SECTOR as usize);
        let none = |(), _| Ok(());
        for (offset, bytes) in [(SECTOR, rest), (0, first)] {
            self.is_ending = offset == 0;
            let produce = |sender: &mut Sender<'_, ()>| {
                sender.write(offset, bytes, ())?;
                sender.flush(())
            };
            self.session.stream(false, produce, none)?;
        }
        self.session.ask("look-past-the-cache")?;
        let answer = self.session.ask(&format!("digest 0 {HEAD}"))?;
        if session::digest(&answer)? == crate::fs::Sha256Digest::of(self.work.head()) {
            return Ok(());
        }
        // Without its first sector it boots nothing, whatever the disk made of the rest.
        self.session.ask(&format!("erase 0 {SECTOR}"))?;
        self.session.ask("flush")?;
        self.is_ending = false;
        Err(wrong("the partition table", 0))
    }
}

fn wrong(name: &str, offset: u64) -> Error {
    Error::check(format!(
        "the disk gives back other bytes than were written: {name}, at byte {offset}"
    ))
    .hint(
        "run it once more; if it happens again, the disk, its controller or its memory is failing",
    )
}

/// The file under whose name a new file is written until it is whole.
pub fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}
