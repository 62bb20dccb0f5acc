//! A copy of the primary's data, for a database that has none or has to give its own up.
//! MariaDB's own backup program streams it while the primary goes on; nothing of what is here is
//! touched before the copy is complete and prepared. Then the files change places, step by step,
//! so that a power cut at any point is completed at the next start ([`complete`]).
//!
//! On the wire, over TCP: `copy`, a line with a nonce (hex), a line with the tag of `copy` and
//! the nonce, then the stream, compressed by zstd.

use crate::commands::program;
use crate::register_file::hex;
use crate::settings::{Database, Settings};
use crate::wire::Key;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The copy while it comes in.
const NEW: &str = ".imagebuild-copy";
/// Present while the old files go out, with the name of where to; then while the new come in.
const OUT: &str = ".imagebuild-swap-out";
const IN: &str = ".imagebuild-swap-in";
/// What was here before, until a person removes it.
const SET_ASIDE: &str = ".set-aside-";
/// The same, if it may hold writes that were acknowledged and are nowhere else: of a primary that
/// was alone, and that a person, or two links cut at once, have deposed. It is never removed.
const ACKNOWLEDGED: &str = ".set-aside-acknowledged-";
/// There while a copy is in its place, and its position is not set: until then it is no data.
const WITHOUT_POSITION: &str = ".imagebuild-copy-without-position";
/// There while this database acknowledges what nobody else has.
const ALONE: &str = ".imagebuild-alone";

/// There after a restore (`imagebuild-restore`), until the database has taken writes.
const RESTORED: &str = ".imagebuild-restored";

/// Files of the folder that are no part of MariaDB's data.
fn is_kept(name: &str) -> bool {
    name == "lost+found"
        || [NEW, OUT, IN, SET_ASIDE, ".before-restore-", ".restore-"]
            .iter()
            .any(|own| name.starts_with(own))
}

/// One copy at a time leaves this server.
static COPYING: Mutex<()> = Mutex::new(());

/// Sends a copy to who proves to be a member.
pub(crate) fn serve(
    key: &Key,
    database: &Database,
    run: &Path,
    mut stream: BufReader<TcpStream>,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let nonce = hex(&crate::random()?);
    stream.get_mut().write_all(format!("{nonce}\n").as_bytes()).map_err(io)?;
    let mut line = String::new();
    (&mut stream).take(200).read_line(&mut line).map_err(io)?;
    let tag = unhex(line.trim()).unwrap_or_default();
    if !key.is_of(format!("copy {nonce}").as_bytes(), &tag) {
        return Err("somebody wants a copy of the data, and does not know the secret".to_owned());
    }
    let Ok(_guard) = COPYING.try_lock() else {
        return Err("another copy is on its way".to_owned());
    };
    let mut log = run.to_owned();
    log.push("backup.log");
    let log = File::create(log).map_err(io)?;
    let user = database.client.iter().skip(1).filter(|word| word.starts_with("--"));
    let mut backup = Command::new("mariadb-backup")
        .args(["--backup", "--stream=xbstream"])
        .arg(format!("--datadir={}", database.data.display()))
        .args(user)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(io)?;
    let out = backup.stdout.take().ok_or("no pipe")?;
    let socket: OwnedFd = stream.into_inner().into();
    let packed = Command::new("zstd").args(["-q", "-1", "-T0"]).stdin(out).stdout(socket).status();
    let done = backup.wait().map_err(io)?;
    match packed {
        Ok(status) if status.success() && done.success() => Ok(()),
        Ok(_) => Err("the copy was not sent whole: see backup.log".to_owned()),
        Err(error) => Err(format!("zstd: {error}")),
    }
}

/// What is here before the copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Old {
    /// Whether it is anything.
    pub(crate) has_data: bool,
    /// Whether it may hold writes that were acknowledged and are nowhere else.
    pub(crate) was_forced: bool,
}

/// Fetches a copy and puts it into place; MariaDB runs on it afterwards. Gives where the data of
/// before is, if there was any.
pub(crate) fn fetch(
    key: &Key,
    settings: &Settings,
    database: &Database,
    from: usize,
    old: Old,
    factor: u64,
) -> Result<(), String> {
    let peer = &settings.members[from];
    let data = &database.data;
    let io = |error: std::io::Error| error.to_string();
    let new = data.join(NEW);
    remove(&new)?;
    // What nobody was told of is shown until the next one comes: there is room for one only.
    let is_old = |path: &PathBuf| !path.to_string_lossy().contains(ACKNOWLEDGED);
    for old in set_aside(data).into_iter().filter(|path| old.has_data && is_old(path)) {
        eprintln!("{} is removed", old.display());
        remove(&old)?;
    }
    let address = SocketAddr::new(peer.addresses[0], settings.port);
    let patience = Duration::from_secs(10 * factor);
    let stream = TcpStream::connect_timeout(&address, patience).map_err(io)?;
    // A primary that hangs is noticed; between files of a copy there is no such pause.
    stream.set_read_timeout(Some(6 * patience)).map_err(io)?;
    stream.set_write_timeout(Some(patience)).map_err(io)?;
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"copy\n").map_err(io)?;
    let mut nonce = String::new();
    (&mut stream).take(100).read_line(&mut nonce).map_err(io)?;
    let tag = key.tag(format!("copy {}", nonce.trim()).as_bytes());
    stream.get_mut().write_all(format!("{}\n", hex(&tag)).as_bytes()).map_err(io)?;

    eprintln!("fetching a copy of {}'s data", peer.name);
    fs::create_dir(&new).map_err(io)?;
    let unpacked = unpack(stream, &new);
    if let Err(why) = unpacked.and_then(|()| prepare(&new)) {
        let _ = remove(&new);
        return Err(why);
    }
    let position = position(&new)?;
    for entry in fs::read_dir(&new).map_err(io)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("mariadb_backup_")
            || name.starts_with("xtrabackup_")
            || name == "backup-my.cnf"
        {
            remove(&entry.path())?;
        }
    }
    own(&new)?;
    program(&["sync".to_owned(), "-f".to_owned(), data.display().to_string()])?;

    let replaced = replace(database, old);
    // Whatever came of it: somebody may still be served by what is here.
    program(&database.start)?;
    replaced?;
    // A cut before this leaves files that count as none, and are copied again.
    let deadline = std::time::Instant::now() + Duration::from_secs(300 * factor);
    let sql = format!(
        "RESET MASTER; SET GLOBAL gtid_binlog_state = '{position}'; SET GLOBAL gtid_slave_pos = '{position}';"
    );
    loop {
        let said = crate::session::Session::open(&database.client)
            .and_then(|mut session| session.run(&sql));
        match said {
            Ok(_) => break,
            Err(why) if std::time::Instant::now() > deadline => return Err(why),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
    remove(&data.join(WITHOUT_POSITION))?;
    sync(data)?;
    eprintln!("this database is a copy of {}'s now, up to {position}", peer.name);
    Ok(())
}

/// Ends MariaDB and puts the copy into the place of its files.
fn replace(database: &Database, old: Old) -> Result<(), String> {
    let data = &database.data;
    program(&database.stop)?;
    if crate::commands::runs(database) {
        return Err("MariaDB was stopped, and still runs".to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let is_only = old.was_forced || data.join(ALONE).exists();
    let kind = if is_only { ACKNOWLEDGED } else { SET_ASIDE };
    let aside = if old.has_data { format!("{kind}{now}") } else { String::new() };
    // It gets into place with the copy.
    write_synced(&data.join(NEW), WITHOUT_POSITION, "")?;
    write_synced(data, OUT, &aside)?;
    complete(data)
}

/// Whether the data are not a copy whose position is not set yet.
pub(crate) fn has_position(data: &Path) -> bool {
    !data.join(WITHOUT_POSITION).exists()
}

fn unpack(mut stream: BufReader<TcpStream>, new: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let mut zstd = Command::new("zstd")
        .args(["-q", "-d"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let (Some(mut input), Some(output)) = (zstd.stdin.take(), zstd.stdout.take()) else {
        return Err("zstd: no pipes".to_owned());
    };
    let mut mbstream =
        Command::new("mbstream").arg("-x").arg("-C").arg(new).stdin(output).spawn().map_err(io)?;
    let copied = std::io::copy(&mut stream, &mut input).map_err(io);
    drop(input);
    let ended = (zstd.wait().map_err(io)?, mbstream.wait().map_err(io)?);
    copied?;
    let is_whole = fs::read_to_string(new.join("mariadb_backup_checkpoints"))
        .is_ok_and(|text| text.contains("backup_type = full-backuped"));
    if ended.0.success() && ended.1.success() && is_whole {
        return Ok(());
    }
    Err("the copy is not complete".to_owned())
}

fn prepare(new: &Path) -> Result<(), String> {
    let output = Command::new("mariadb-backup")
        .arg("--prepare")
        .arg(format!("--target-dir={}", new.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    Err(format!("the copy cannot be prepared: {}", last.join(" | ")))
}

/// The last transaction of the copy: third word of a line that the backup program writes.
fn position(new: &Path) -> Result<String, String> {
    let text = fs::read_to_string(new.join("mariadb_backup_binlog_info")).unwrap_or_default();
    let word = text.split_whitespace().nth(2).unwrap_or_default();
    let is_position = !word.is_empty()
        && word.contains('-')
        && word.chars().all(|one| one.is_ascii_digit() || matches!(one, '-' | ','));
    if is_position { Ok(word.to_owned()) } else { Err("the copy names no transaction".to_owned()) }
}

/// Before every start of MariaDB: what was received from the other one, and how it was followed.
/// `START REPLICA` would delete the one, and the other is said anew; a power cut may have left it
/// in pieces, which MariaDB does not get over (error 1201).
pub(crate) fn forget_replication(data: &Path) -> Result<(), String> {
    let Ok(all) = fs::read_dir(data) else { return Ok(()) };
    for entry in all.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if matches!(&*name, "master.info" | "relay-log.info" | "multi-master.info")
            || name.starts_with("relay.")
        {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Puts a prepared copy in the place of the database's files. Also before every start of
/// MariaDB: what a power cut interrupted is completed.
pub(crate) fn complete(data: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let (new, out, coming) = (data.join(NEW), data.join(OUT), data.join(IN));
    if let Ok(aside) = fs::read_to_string(&out) {
        let aside = aside.trim();
        let old = files(data)?;
        if aside.is_empty() {
            old.iter().try_for_each(|file| remove(file))?;
        } else {
            let aside = data.join(aside);
            fs::create_dir_all(&aside).map_err(io)?;
            for file in old {
                let name = file.file_name().ok_or("no name")?.to_owned();
                fs::rename(&file, aside.join(name)).map_err(io)?;
            }
            eprintln!("the database's former files are in {}", aside.display());
        }
        sync(data)?;
        fs::rename(&out, &coming).map_err(io)?;
        sync(data)?;
    }
    if coming.exists() {
        if new.exists() {
            for entry in fs::read_dir(&new).map_err(io)?.flatten() {
                fs::rename(entry.path(), data.join(entry.file_name())).map_err(io)?;
            }
        }
        File::create(data.join(".imagebuild-made")).map_err(io)?;
        sync(data)?;
        remove(&new)?;
        remove(&coming)?;
        sync(data)?;
    }
    Ok(())
}

/// The database's own files.
fn files(data: &Path) -> Result<Vec<PathBuf>, String> {
    let all = fs::read_dir(data).map_err(|error| error.to_string())?.flatten();
    let own = all.filter(|entry| !is_kept(&entry.file_name().to_string_lossy()));
    Ok(own.map(|entry| entry.path()).collect())
}

/// What was set aside, oldest first.
pub(crate) fn set_aside(data: &Path) -> Vec<PathBuf> {
    let Ok(all) = fs::read_dir(data) else { return Vec::new() };
    let is_one = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SET_ASIDE))
    };
    let mut found: Vec<PathBuf> = all.flatten().map(|entry| entry.path()).filter(is_one).collect();
    found.sort();
    found
}

/// Notes that this database acknowledges what nobody else has.
pub(crate) fn mark_alone(data: &Path) -> Result<(), String> {
    if data.join(ALONE).exists() {
        return Ok(());
    }
    write_synced(data, ALONE, "")
}

/// Whether its history is a backup's, and it has taken no writes since.
pub(crate) fn was_restored(data: &Path) -> bool {
    data.join(RESTORED).exists()
}

/// It has: later ones are of its own history.
pub(crate) fn forget_restore(data: &Path) {
    if let Err(why) = remove(&data.join(RESTORED)).and_then(|()| sync(data)) {
        eprintln!("{why}");
    }
}

/// Somebody else has everything again.
pub(crate) fn unmark_alone(data: &Path) {
    if let Err(why) = remove(&data.join(ALONE)) {
        eprintln!("{why}");
    }
}

fn write_synced(data: &Path, name: &str, text: &str) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let part = data.join(format!("{name}.part"));
    let mut file = File::create(&part).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&part, data.join(name)).map_err(io)?;
    sync(data)
}

fn sync(folder: &Path) -> Result<(), String> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| error.to_string())
}

/// Whatever it is, and also if it is not there.
fn remove(path: &Path) -> Result<(), String> {
    let done = match fs::symlink_metadata(path) {
        Ok(of) if of.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    done.map_err(|error| format!("{}: {error}", path.display()))
}

/// MariaDB's, as the folder around it is.
fn own(new: &Path) -> Result<(), String> {
    let user = "mysql:mysql".to_owned();
    program(&["chown".to_owned(), "-R".to_owned(), user, new.display().to_string()])
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
