//! What a build read, noted when it has ended well, so that a later one can say what
//! is different now, and `gc` what is in use.
//!
//! One file a project and image in the store's `builds/`: the plan as JSON. Large files
//! of the configuration stand in it by their digest.

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::plan::server::Plan;
use crate::plan::step::Planned;
use crate::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Texts of more bytes are noted by their digest.
const LARGE: usize = 64 << 10;

/// Notes that `plan`, of the project in `folder`, was carried out.
///
/// # Errors
/// When the note cannot be written.
pub fn remember(store: &Store, folder: &Path, plan: &Plan) -> Result<()> {
    let path = path(store, folder, &plan.image);
    let head = format!("{{\"last\":\"{}\"", plan.last.key());
    // Nothing changed: the usual case, and a plan has hundreds of kilobytes.
    if starts_with(&path, head.as_bytes()) {
        // It is in use, which `gc` goes by; a note of another user keeps its time.
        let opened = std::fs::File::options().append(true).open(&path);
        drop(opened.and_then(|file| file.set_modified(SystemTime::now())));
        return Ok(());
    }
    let json = serde_json::to_string(&steps(plan)?).map_err(|e| Error::build(e.to_string()))?;
    fs::create_dir_all(&store.root().join("builds"))?;
    fs::write_atomically(&path, format!("{head},\"steps\":{json}}}").as_bytes())
}

/// The steps of the last build of this image, as [`steps`] gives them; nothing if there
/// was none, or its note cannot be read any more.
pub fn last(store: &Store, folder: &Path, image: &str) -> Option<Vec<Value>> {
    let bytes = std::fs::read(path(store, folder, image)).ok()?;
    let mut record: Value = serde_json::from_slice(&bytes).ok()?;
    match record["steps"].take() {
        Value::Array(steps) => Some(steps),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            None
        }
    }
}

/// What builds of all projects in the last `age` read and made: names of objects, and of
/// files of the pool. A note that cannot be read names nothing.
pub fn in_use(store: &Store, age: Duration) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let entries = std::fs::read_dir(store.root().join("builds")).into_iter().flatten().flatten();
    for entry in entries {
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|since| since >= age)) {
            continue;
        }
        let record = std::fs::read(entry.path()).ok();
        let record = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        record.iter().for_each(|record| gather(record, &mut names));
    }
    names
}

fn gather(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(members) => members.iter().for_each(|member| gather(member, names)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            names.extend(text("key").map(str::to_owned));
            names.extend(text("sha256").map(|digest| format!("{digest}.deb")));
            fields.values().for_each(|field| gather(field, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The steps of a plan as JSON: `{"key": ..., "step": {<name>: {...}}}`.
///
/// # Errors
/// Never in practice: every step has a JSON form.
pub fn steps(plan: &Plan) -> Result<Vec<Value>> {
    let step = |planned: &Planned| {
        let step = serde_json::to_value(planned.step()).map_err(|e| Error::build(e.to_string()))?;
        let mut value = json!({ "key": planned.key(), "step": step });
        shorten(&mut value);
        Ok(value)
    };
    plan.steps.iter().map(step).collect()
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LARGE => {
            *value = json!({ "sha256": Sha256Digest::of(&*text).to_string(), "size": text.len() });
        }
        Value::Array(members) => members.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn path(store: &Store, folder: &Path, image: &str) -> PathBuf {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = Sha256Digest::of(folder.as_os_str().as_encoded_bytes()).to_string();
    store.root().join("builds").join(format!("{image}-{}.json", &name[..16]))
}

fn starts_with(path: &Path, head: &[u8]) -> bool {
    use std::io::Read;
    let mut start = vec![0; head.len()];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_lately_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let day = Duration::from_secs(24 * 3600);
        assert!(in_use(&store, day).is_empty());
        let note = json!({ "last": "b", "steps": [
            { "key": "a", "step": { "packages": { "packages": [{ "name": "x", "sha256": "c" }] } } },
            { "key": "b", "step": {} },
        ]});
        let builds = store.root().join("builds");
        std::fs::create_dir(&builds).unwrap();
        std::fs::write(builds.join("x.json"), note.to_string()).unwrap();
        std::fs::write(builds.join("half.json"), "{").unwrap();
        let names = ["a", "b", "c.deb"].map(str::to_owned);
        assert_eq!(in_use(&store, day), BTreeSet::from(names));
        let file = std::fs::File::options().append(true).open(builds.join("x.json")).unwrap();
        file.set_modified(SystemTime::now() - day).unwrap();
        assert!(in_use(&store, day).is_empty());
    }
}
