//! Whether KVM works here. /dev/kvm alone proves nothing: there are hosts where it exists
//! and a stock kernel hangs at boot. So a machine is booted with it once; the answer is
//! kept in the store, for this kernel and this processor.

use super::config::MachineConfig;
use super::emulator::{Accelerator, Emulator};
use super::machine::Machine;
use crate::error::{Error, Kind, Result};
use crate::fs::Sha256Digest;
use crate::progress;
use crate::store::Store;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Overrides the probe: `tcg` or `kvm`.
const VARIABLE: &str = "IMAGEBUILD_ACCEL";

/// A kernel with KVM has said its first word long before; scaled as all times, this
/// is 20 s, and the whole boot after it has 40 s.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What the kernel says on the console when it runs.
const FIRST_WORDS: [&str; 2] = ["Linux version", "systemd[1]"];

/// The answer for this process, once it is known.
static KNOWN: OnceLock<Accelerator> = OnceLock::new();

/// The accelerator of new machines: what [`probe_kvm`] found, or IMAGEBUILD_ACCEL says.
///
/// # Errors
/// `Input` when the variable says something else than `tcg` or `kvm`.
pub fn accelerator() -> Result<Accelerator> {
    let value = std::env::var(VARIABLE).ok();
    let known = KNOWN.get().copied().unwrap_or(Accelerator::Tcg);
    Ok(parse(value.as_deref())?.unwrap_or(known))
}

/// Finds out, by booting `config`, whether KVM can be used, unless it is known; all
/// machines of this process that start later use it then.
///
/// # Errors
/// `Input` as [`accelerator`]; `Build` when the answer cannot be kept. A machine that does
/// not boot is an answer, not an error.
pub fn probe_kvm(
    emulator: &Emulator,
    store: &Store,
    config: &MachineConfig,
) -> Result<Accelerator> {
    let value = std::env::var(VARIABLE).ok();
    if let Some(wanted) = parse(value.as_deref())? {
        return Ok(wanted);
    }
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let path = answer_path(store.root())?;
    let found = match remembered(&path) {
        Some(known) => known,
        // Closed, or not there: that may be otherwise the next time, and costs nothing to see.
        None if !is_open() => Accelerator::Tcg,
        None => {
            let found = try_it(emulator, config)?;
            crate::fs::write_atomically(&path, word(found).as_bytes())?;
            found
        }
    };
    Ok(*KNOWN.get_or_init(|| found))
}

fn parse(value: Option<&str>) -> Result<Option<Accelerator>> {
    match value {
        None | Some("") => Ok(None),
        Some("tcg") => Ok(Some(Accelerator::Tcg)),
        Some("kvm") => Ok(Some(Accelerator::Kvm)),
        Some(other) => Err(Error::input(format!("{VARIABLE} is {other:?}"))
            .hint("say `tcg` for emulation, `kvm` for the host's processors, or unset it")),
    }
}

fn word(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Tcg => "tcg\n",
        Accelerator::Kvm => "kvm\n",
    }
}

fn remembered(path: &Path) -> Option<Accelerator> {
    parse(Some(std::fs::read_to_string(path).ok()?.trim())).ok()?
}

/// The file of the answer: its name is a digest of all that the answer hangs on.
fn answer_path(store: &Path) -> Result<PathBuf> {
    let folder = store.join("kvm");
    crate::fs::create_dir_all(&folder)?;
    let kernel = std::fs::read_to_string("/proc/version").unwrap_or_default();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Not the lines that differ from one look to the next.
    let stays =
        |line: &&str| ["model name", "flags", "microcode"].iter().any(|k| line.starts_with(k));
    let one: Vec<&str> = processor.lines().filter(stays).take(3).collect();
    let key = Sha256Digest::of(format!("{kernel}{}", one.join("\n")));
    Ok(folder.join(key.to_string()))
}

/// Whether this user may use the device.
fn is_open() -> bool {
    File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// An answer, unless a signal came first.
fn try_it(emulator: &Emulator, config: &MachineConfig) -> Result<Accelerator> {
    progress::step("Probing", "/dev/kvm, by booting with it");
    let start = Instant::now();
    match boots(emulator, config) {
        Ok(()) => Ok(Accelerator::Kvm),
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => {
            let seconds = start.elapsed().as_secs();
            let why = error.message().to_owned();
            progress::warn(format!("KVM does not work here ({why}; {seconds} s): emulating"));
            Ok(Accelerator::Tcg)
        }
    }
}

fn boots(emulator: &Emulator, config: &MachineConfig) -> Result<()> {
    let mut config = config.clone();
    config.name = format!("{}-probe", config.name);
    config.nics.clear();
    let mut machine = Machine::launch_with(emulator, config, Accelerator::Kvm)?;
    machine.wait_for_console(&FIRST_WORDS, PATIENCE)?;
    machine.wait_for_shell()?;
    machine.power_off()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_read_and_nonsense_is_refused() {
        assert_eq!(parse(None).unwrap(), None);
        assert_eq!(parse(Some("kvm")).unwrap(), Some(Accelerator::Kvm));
        let error = parse(Some("KVM")).unwrap_err();
        assert_eq!(error.message(), "IMAGEBUILD_ACCEL is \"KVM\"");
    }

    #[test]
    fn an_answer_is_remembered_for_this_host() {
        let store = tempfile::tempdir().unwrap();
        let path = answer_path(store.path()).unwrap();
        assert_eq!(remembered(&path), None);
        for found in [Accelerator::Tcg, Accelerator::Kvm] {
            crate::fs::write_atomically(&path, word(found).as_bytes()).unwrap();
            assert_eq!(remembered(&answer_path(store.path()).unwrap()), Some(found));
        }
        std::fs::write(&path, "half").unwrap();
        assert_eq!(remembered(&path), None);
    }
}
