//! What a build would make again, and which input is the reason.

use super::changes::{Change, changes};
use super::record;
use crate::error::Result;
use crate::plan::server::Plan;
use crate::plan::step::Planned;
use crate::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What a build would do about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildStatus {
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

/// The status of each step of the plan, in its order.
///
/// # Errors
/// When the store cannot be read.
pub fn rebuild_statuses<'a>(
    store: &Store,
    folder: &Path,
    plan: &'a Plan,
) -> Result<Vec<(&'a Planned, RebuildStatus)>> {
    let last = record::last(store, folder, &plan.image);
    let now = record::steps(plan)?;
    let mut names = BTreeMap::new();
    for step in last.iter().flatten().chain(&now) {
        names.extend(step["key"].as_str().zip(name(step)).map(|(key, n)| (key.to_owned(), n)));
    }
    let mut rebuild_statuses = Vec::new();
    for (planned, now) in plan.steps.iter().zip(&now) {
        let there = store.find(planned.key())?.is_some();
        let before = last.as_ref().map(|all| all.iter().find(|step| is_same(step, now)));
        rebuild_statuses.push((planned, rebuild_status(before, now, there, &names)));
    }
    Ok(rebuild_statuses)
}

fn rebuild_status(
    before: Option<Option<&Value>>,
    now: &Value,
    there: bool,
    names: &BTreeMap<String, String>,
) -> RebuildStatus {
    let Some(before) = before else {
        return if there { RebuildStatus::Found(Vec::new()) } else { RebuildStatus::Never };
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
        (true, true) => RebuildStatus::Kept,
        (true, false) => RebuildStatus::Missing,
        (false, true) => RebuildStatus::Found(reasons()),
        (false, false) => RebuildStatus::Changed(reasons()),
    }
}

/// The name of a step in its JSON.
fn name(step: &Value) -> Option<String> {
    step["step"].as_object()?.keys().next().cloned()
}

/// Whether both say what one step of an image reads: of a kind there is one, but for the
/// programs that validate the configuration.
fn is_same(one: &Value, other: &Value) -> bool {
    let validator = |step: &Value| {
        let validator = step["step"]["validate"]["validator"].as_object()?;
        Some([validator.get("argv")?.clone(), validator.get("covers")?.clone()])
    };
    name(one) == name(other) && validator(one) == validator(other)
}

/// The statuses as a text for people.
pub fn to_text(plan: &Plan, rebuild_statuses: &[(&Planned, RebuildStatus)]) -> String {
    let again = |rebuild_status: &RebuildStatus| {
        matches!(
            rebuild_status,
            RebuildStatus::Changed(_) | RebuildStatus::Missing | RebuildStatus::Never
        )
    };
    let count = rebuild_statuses.iter().filter(|(_, rebuild_status)| again(rebuild_status)).count();
    let mut text = match count {
        0 => format!("{}: nothing would be made, every result is in the store\n", plan.image),
        count => {
            format!("{}: {count} of {} steps would be made\n", plan.image, rebuild_statuses.len())
        }
    };
    for (planned, rebuild_status) in rebuild_statuses {
        let (name, reasons) = (planned.step().name(), reasons(rebuild_status));
        for (number, reason) in reasons.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            let mut lines = reason.lines();
            text += &format!("  {name:<14}  {}\n", lines.next().unwrap_or_default());
            lines.for_each(|line| text += &format!("  {:<14}    {line}\n", ""));
        }
    }
    let never = rebuild_statuses.iter().filter(|(_, status)| *status == RebuildStatus::Never);
    let mut never: Vec<&str> = never.map(|(planned, _)| planned.step().name()).collect();
    never.dedup();
    if !never.is_empty() {
        let names = never.join(", ");
        text += &format!("no build of this image from this folder is on record: {names}\n");
    }
    let kept = rebuild_statuses
        .iter()
        .filter(|(_, rebuild_status)| *rebuild_status == RebuildStatus::Kept && count > 0);
    let mut kept: Vec<&str> = kept.map(|(planned, _)| planned.step().name()).collect();
    kept.dedup();
    if !kept.is_empty() {
        text += &format!("unchanged: {}\n", kept.join(", "));
    }
    text
}

fn reasons(rebuild_status: &RebuildStatus) -> Vec<String> {
    match rebuild_status {
        // Their names are in a line of their own.
        RebuildStatus::Kept | RebuildStatus::Never => Vec::new(),
        RebuildStatus::Missing => vec!["its result is not in the store any more".to_owned()],
        RebuildStatus::Changed(reasons) => lines(reasons),
        RebuildStatus::Found(reasons) if reasons.is_empty() => Vec::new(),
        RebuildStatus::Found(reasons) => {
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
