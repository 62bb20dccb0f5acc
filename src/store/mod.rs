//! Results of steps, each under the digest of all that the step reads.
//!
//! A result is a folder: `objects/<key>/` with the files of the step and
//! `object.json`, which lists them. It is made in a temporary folder in `tmp/` and renamed when
//! it is whole, so nobody ever sees half of one; a lock per key lets two builds
//! at once share the work. Nothing in here knows what the steps are.

mod gc;
mod lock;
mod object;
mod tree;

pub use gc::Collected;
pub use object::{Object, is_record};

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::sandbox;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a result: the digest of everything that the step which makes it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Key(Sha256Digest);

impl Key {
    /// The key of a step with these inputs: the digest of their JSON.
    ///
    /// # Errors
    /// When the inputs have no JSON (a map whose keys are not strings).
    pub fn of(inputs: &impl Serialize) -> Result<Key> {
        let json = serde_json::to_vec(inputs)
            .map_err(|e| Error::build(format!("cannot write a step's inputs: {e}")))?;
        Ok(Key(Sha256Digest::of(json)))
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        self.0.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The store of one user, in one folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// Shared by all who use the store, and held by one alone who removes from it.
    in_use: Arc<Flock<File>>,
    /// Results whose folders were looked through in this run: once is enough.
    looked_through: Arc<Mutex<BTreeSet<Key>>>,
}

/// Lets only its owner into a folder; another user's stays as he has it.
fn close_to_others(folder: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("close to others", folder, &e);
    let metadata = folder.metadata().map_err(failed)?;
    let is_own = metadata.uid() == nix::unistd::geteuid().as_raw();
    if !is_own || metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)
}

/// How a result came to be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Found,
    /// It was made now.
    Made,
}

impl Store {
    /// Opens the store in `root`, making it when it is not there.
    ///
    /// # Errors
    /// When its folders cannot be made.
    pub fn open(root: &Path) -> Result<Store> {
        for folder in ["objects", "tmp", "locks", "pool", "indexes"] {
            fs::create_dir_all(&root.join(folder)).map_err(|e| {
                e.or_hint("the store is kept there: name another folder with `--store DIR` or $IMAGEBUILD_STORE")
            })?;
        }
        let root = root.canonicalize().map_err(|e| Error::io("find", root, &e))?;
        // Trees of packages have programs that run as root for anybody who can reach them.
        for folder in ["objects", "tmp"] {
            close_to_others(&root.join(folder))?;
        }
        let in_use =
            lock::take(&root.join("in-use"), FlockArg::LockSharedNonblock, "`imagebuild gc`")?;
        Ok(Store { root, in_use: Arc::new(in_use), looked_through: Arc::default() })
    }

    /// The store's folder when the user names none: `$IMAGEBUILD_STORE`, else
    /// `imagebuild` in the user's cache folder (XDG base directories).
    pub fn default_root() -> PathBuf {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(named) = variable("IMAGEBUILD_STORE") {
            return named.into();
        }
        let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| "/root".into()));
        variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| home().join(".cache"))
            .join("imagebuild")
    }

    /// Where fetched `.deb`s are kept, by digest.
    pub fn pool(&self) -> PathBuf {
        self.root.join("pool")
    }

    /// Where verified archive indexes are kept.
    pub fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The result under `key`, if it is there and whole. A damaged one is taken away.
    ///
    /// # Errors
    /// When a damaged one cannot be taken away.
    pub fn find(&self, key: Key) -> Result<Option<Object>> {
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(None);
        }
        if let Ok(object) = Object::open(&folder) {
            return Ok(Some(object));
        }
        let _lock = self.lock(key)?;
        self.find_alone(key)
    }

    /// [`Store::find`] under the lock: another build may have taken a damaged one away,
    /// and made it anew.
    fn find_alone(&self, key: Key) -> Result<Option<Object>> {
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(None);
        }
        match Object::open(&folder) {
            Ok(object) => Ok(Some(object)),
            Err(damage) => self.give_up(key, &damage).map(|()| None),
        }
    }

    /// The result under `key` for a step that reads it, if it is there and all of it is
    /// whole: what is in its folders too.
    ///
    /// # Errors
    /// When a damaged one cannot be taken away.
    pub fn find_whole(&self, key: Key) -> Result<Option<Object>> {
        let Some(object) = self.find(key)? else { return Ok(None) };
        if !object.is_outdated()? && self.look_through(key, &object).is_ok() {
            return Ok(Some(object));
        }
        let _lock = self.lock(key)?;
        // Another build may have taken it away, and made it anew.
        let Some(object) = self.find_alone(key)? else { return Ok(None) };
        if object.is_outdated()? {
            crate::progress::step("Renewing", format!("{}, of an older version", key.short()));
            return self.discard(&self.folder(key)).map(|()| None);
        }
        match self.look_through(key, &object) {
            Ok(()) => Ok(Some(object)),
            Err(damage) => self.give_up(key, &damage).map(|()| None),
        }
    }

    fn look_through(&self, key: Key, object: &Object) -> Result<()> {
        // Held meanwhile: a second step that reads the same tree waits instead of looking
        // through it as well. Looking is itself work for all processors.
        let mut done = self.looked_through.lock().unwrap_or_else(PoisonError::into_inner);
        if !done.contains(&key) {
            object.check_trees()?;
            done.insert(key);
        }
        Ok(())
    }

    /// Takes a damaged result away.
    fn give_up(&self, key: Key, damage: &Error) -> Result<()> {
        let (short, why) = (key.short(), damage.message());
        crate::progress::warn(format!("store object {short} is damaged ({why}); it is made again"));
        self.discard(&self.folder(key))
    }

    /// The result under `key`: found, or made by `make` in the folder that it is given.
    ///
    /// # Errors
    /// Those of `make`, or of the file system; nothing stays behind then.
    pub fn provide(
        &self,
        key: Key,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<(Object, Origin)> {
        if let Some(object) = self.find(key)? {
            return Ok((object, Origin::Found));
        }
        let _lock = self.lock(key)?;
        // Another build may have made it while this one waited.
        if let Some(object) = self.find_alone(key)? {
            return Ok((object, Origin::Found));
        }
        let temporary = self.root.join("tmp").join(key.to_string());
        // Left by a build that was killed: nobody else can be at work under the lock.
        sandbox::remove_tree(&temporary)?;
        fs::create_dir_all(&temporary)?;
        let made = make(&temporary).and_then(|()| Object::seal(&temporary));
        if let Err(error) = made {
            sandbox::remove_tree(&temporary)?;
            return Err(error.explain_full_disk());
        }
        let folder = self.folder(key);
        std::fs::rename(&temporary, &folder).map_err(|e| Error::io("rename to", &folder, &e))?;
        Ok((Object::open(&folder)?, Origin::Made))
    }

    fn folder(&self, key: Key) -> PathBuf {
        self.root.join("objects").join(key.to_string())
    }

    /// Takes a folder out of sight first, so that a crash leaves no half of it.
    fn discard(&self, folder: &Path) -> Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A name that no other process takes, in whichever container it has which number.
        let nanoseconds =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let temporary =
            self.root.join("tmp").join(format!("{name}.gone.{}.{nanoseconds}", std::process::id()));
        std::fs::rename(folder, &temporary).map_err(|e| Error::io("rename to", &temporary, &e))?;
        sandbox::remove_tree(&temporary)
    }

    /// Waits until no other process makes the result under `key`.
    fn lock(&self, key: Key) -> Result<Flock<File>> {
        let path = self.root.join("locks").join(key.to_string());
        lock::take(&path, FlockArg::LockExclusiveNonblock, "another build that makes the same step")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    fn write_x(temporary: &Path) -> Result<()> {
        std::fs::write(temporary.join("x"), "content").unwrap();
        Ok(())
    }

    #[test]
    fn a_result_is_made_once() {
        let (_folder, store) = store();
        let key = Key::of(&"step").unwrap();
        let (object, origin) = store.provide(key, write_x).unwrap();
        assert_eq!(origin, Origin::Made);
        assert_eq!(std::fs::read_to_string(object.path("x")).unwrap(), "content");
        assert_eq!(store.provide(key, |_| unreachable!()).unwrap().1, Origin::Found);
    }

    #[test]
    fn only_its_owner_reaches_what_is_in_it() {
        let (_folder, store) = store();
        let at = |name: &str| store.root().join(name);
        for name in ["objects", "tmp"] {
            std::fs::set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
        }
        Store::open(store.root()).unwrap();
        let mode = |name: &str| at(name).metadata().unwrap().mode() & 0o777;
        assert_eq!((mode("objects"), mode("tmp")), (0o700, 0o700));
    }

    #[test]
    fn a_failed_step_leaves_nothing() {
        let (_folder, store) = store();
        let key = Key::of(&"step").unwrap();
        let failed =
            store.provide(key, |temporary| write_x(temporary).and(Err(Error::build("no"))));
        assert_eq!(failed.unwrap_err().message(), "no");
        assert!(store.find(key).unwrap().is_none());
        assert_eq!(std::fs::read_dir(store.root.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_result_is_made_again() {
        let (_folder, store) = store();
        let key = Key::of(&"step").unwrap();
        let (object, _) = store.provide(key, write_x).unwrap();
        std::fs::write(object.path("x"), "CONTENT").unwrap();
        assert_eq!(store.provide(key, write_x).unwrap().1, Origin::Made);
    }

    #[test]
    fn a_tree_is_looked_through_once_a_run_and_before_it_is_read() {
        let (_folder, store) = store();
        let key = Key::of(&"tree").unwrap();
        let make = |temporary: &Path| {
            fs::create_dir_all(&temporary.join("tree/etc"))?;
            write_x(temporary)?;
            write_x(&temporary.join("tree"))
        };
        let (object, _) = store.provide(key, make).unwrap();
        assert!(store.find_whole(key).unwrap().is_some());
        std::fs::write(object.path("tree/etc/passwd"), "").unwrap();
        assert!(store.find_whole(key).unwrap().is_some(), "it was looked through already");
        let another = Store::open(store.root()).unwrap();
        assert!(another.find(key).unwrap().is_some(), "to find it is cheap");
        assert!(another.find_whole(key).unwrap().is_none());
        assert!(!object.path("").exists());
        another.provide(key, make).unwrap();
        assert!(another.find_whole(key).unwrap().is_some());
        // Of results of older versions nobody knows who has changed their trees.
        rewrite(&object, |record| drop(record.as_object_mut().unwrap().remove("stamps.json")));
        let third = Store::open(store.root()).unwrap();
        assert!(third.find(key).unwrap().is_some());
        assert!(third.find_whole(key).unwrap().is_none());
    }

    #[test]
    fn a_file_with_another_content_and_its_old_time_is_noticed() {
        let (_folder, store) = store();
        let key = Key::of(&"step").unwrap();
        let (object, _) = store.provide(key, write_x).unwrap();
        let modified = object.path("x").metadata().unwrap().modified().unwrap();
        std::fs::write(object.path("x"), "CONTENT").unwrap();
        File::options().write(true).open(object.path("x")).unwrap().set_modified(modified).unwrap();
        assert!(store.find(key).unwrap().is_none());
    }

    fn rewrite(object: &Object, change: impl FnOnce(&mut serde_json::Value)) {
        let path = object.path("object.json");
        let mut record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut record);
        std::fs::write(path, record.to_string()).unwrap();
    }

    #[test]
    fn a_record_that_rots_is_noticed() {
        let (_folder, store) = store();
        let key = Key::of(&"step").unwrap();
        let changes: [fn(&mut serde_json::Value); 4] = [
            |record| record["x"]["sha256"] = Sha256Digest::of("another").to_string().into(),
            |record| record["x"]["size"] = 1.into(),
            |record| *record = serde_json::json!({}),
            |record| *record = serde_json::json!([]),
        ];
        for change in changes {
            let (object, origin) = store.provide(key, write_x).unwrap();
            assert_eq!(origin, Origin::Made);
            rewrite(&object, change);
            assert!(store.find(key).unwrap().is_none());
        }
    }

    #[test]
    fn two_builds_at_once_make_it_once() {
        let (_folder, store) = store();
        let key = Key::of(&"slow").unwrap();
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    store.provide(key, |temporary| {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(30));
                        write_x(temporary)
                    })
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
