//! What a build would make again, and which input is the reason.

use super::changes::{Change, changes};
use super::record;
use crate::error::Result;
use crate::plan::server::{Plan, Planned};
use crate::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What a build would do about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its result is the one of the last build, and in the store.
    Kept,
    /// It reads other things than in the last build, but its result is in the store:
    /// of another server, or of a build before the last.
    Found(Vec<Change>),
    /// It is made, because it reads other things than in the last build.
    Changed(Vec<Change>),
    /// It reads what it read, but its result is not in the store any more.
    Missing,
    /// No build is on record to compare with.
    Never,
}

/// The fate of each step of the plan, in its order.
///
/// # Errors
/// When the store cannot be read.
pub fn fates<'a>(store: &Store, folder: &Path, plan: &'a Plan) -> Result<Vec<(&'a Planned, Fate)>> {
    let last = record::last(store, folder, &plan.image);
    let now = record::steps(plan)?;
    let mut names = BTreeMap::new();
    for step in last.iter().flatten().chain(&now) {
        names.extend(step["key"].as_str().zip(name(step)).map(|(key, n)| (key.to_owned(), n)));
    }
    let mut fates = Vec::new();
    for (planned, now) in plan.steps.iter().zip(&now) {
        let there = store.find(planned.key)?.is_some();
        let before = last.as_ref().map(|all| all.iter().find(|step| is_same(step, now)));
        fates.push((planned, fate(before, now, there, &names)));
    }
    Ok(fates)
}

fn fate(
    before: Option<Option<&Value>>,
    now: &Value,
    there: bool,
    names: &BTreeMap<String, String>,
) -> Fate {
    let Some(before) = before else {
        return if there { Fate::Found(Vec::new()) } else { Fate::Never };
    };
    let same = before.is_some_and(|before| before["key"] == now["key"]);
    let reasons = || match before {
        Some(before) => {
            let body =
                |step: &Value| name(step).map(|n| step["step"][n].clone()).unwrap_or_default();
            let found = changes(&body(before), &body(now), names);
            if found.is_empty() {
                vec![Change::New("imagebuild's own way of making it".into())]
            } else {
                found
            }
        }
        None => vec![Change::New("the step".into())],
    };
    match (same, there) {
        (true, true) => Fate::Kept,
        (true, false) => Fate::Missing,
        (false, true) => Fate::Found(reasons()),
        (false, false) => Fate::Changed(reasons()),
    }
}

/// The name of a step in its JSON.
fn name(step: &Value) -> Option<String> {
    step["step"].as_object()?.keys().next().cloned()
}

/// Whether both say what one step of an image reads: of a kind there is one, but for the
/// programs that judge the configuration.
fn is_same(one: &Value, other: &Value) -> bool {
    let validator = |step: &Value| {
        let validator = step["step"]["validate"]["validator"].as_object()?;
        Some([validator.get("argv")?.clone(), validator.get("covers")?.clone()])
    };
    name(one) == name(other) && validator(one) == validator(other)
}

/// The fates as a text for people.
pub fn to_text(plan: &Plan, fates: &[(&Planned, Fate)]) -> String {
    let again = |fate: &Fate| matches!(fate, Fate::Changed(_) | Fate::Missing | Fate::Never);
    let count = fates.iter().filter(|(_, fate)| again(fate)).count();
    let mut text = match count {
        0 => format!("{}: nothing would be made, every result is in the store\n", plan.image),
        count => format!("{}: {count} of {} steps would be made\n", plan.image, fates.len()),
    };
    for (planned, fate) in fates {
        let (name, reasons) = (planned.step.name(), reasons(fate));
        for (number, reason) in reasons.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            let mut lines = reason.lines();
            text += &format!("  {name:<14}  {}\n", lines.next().unwrap_or_default());
            lines.for_each(|line| text += &format!("  {:<14}    {line}\n", ""));
        }
    }
    let kept = fates.iter().filter(|(_, fate)| *fate == Fate::Kept && count > 0);
    let mut kept: Vec<&str> = kept.map(|(planned, _)| planned.step.name()).collect();
    kept.dedup();
    if !kept.is_empty() {
        text += &format!("unchanged: {}\n", kept.join(", "));
    }
    text
}

fn reasons(fate: &Fate) -> Vec<String> {
    match fate {
        Fate::Kept => Vec::new(),
        Fate::Missing => vec!["its result is not in the store any more".to_owned()],
        Fate::Never => vec!["no build of this image from this folder is on record".to_owned()],
        Fate::Changed(reasons) => lines(reasons),
        Fate::Found(reasons) if reasons.is_empty() => Vec::new(),
        Fate::Found(reasons) => {
            let mut all = lines(reasons);
            all.push("(its result is in the store: it was made before)".to_owned());
            all
        }
    }
}

/// Inputs in one line, the others each in its own.
fn lines(reasons: &[Change]) -> Vec<String> {
    let mut inputs = Vec::new();
    let mut others = Vec::new();
    for reason in reasons {
        match reason {
            Change::Input(step) => inputs.push(step.as_str()),
            Change::Other { .. } | Change::Text { .. } | Change::New(_) | Change::Gone(_) => {
                others.push(reason.to_string());
            }
        }
    }
    inputs.dedup();
    if !inputs.is_empty() {
        others.push(format!("reads {}, which changed", inputs.join(", ")));
    }
    others
}
