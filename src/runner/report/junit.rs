//! JUnit's XML, as CI systems read it: a failed expectation is a `failure`, a broken
//! harness an `error`.

use super::escape;
use crate::runner::outcome::{Outcome, Run, Verdict};

/// The document.
pub fn junit(run: &Run) -> String {
    let mut cases: String = run.outcomes.iter().map(|one| case(&run.architecture, one)).collect();
    let cut_short = run.cut_short.iter();
    cases.extend(cut_short.clone().map(|why| {
        let (suite, why) = (escape(&run.architecture), escape(why));
        format!(
            "<testcase classname=\"{suite}.\" name=\"the rest\" time=\"0.0\">\n<error message=\"{why}\"></error>\n</testcase>\n"
        )
    }));
    let seconds: f64 = run.outcomes.iter().map(|one| one.seconds).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"imagebuild test {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.1}\">\n{cases}</testsuite>\n</testsuites>\n",
        escape(&run.architecture),
        run.outcomes.len() + cut_short.len(),
        run.count(Verdict::Failed),
        run.count(Verdict::Broke) + cut_short.len(),
    )
}

fn case(architecture: &str, outcome: &Outcome) -> String {
    let promise = outcome.promise.as_ref().map_or("", |(number, _)| number.as_str());
    let head = format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{:.1}\"",
        escape(&format!("{architecture}.{promise}")),
        escape(&outcome.full_name()),
        outcome.seconds
    );
    let element = match outcome.verdict {
        Verdict::Passed => return format!("{head}/>\n"),
        Verdict::Failed => "failure",
        Verdict::Broke => "error",
    };
    let (message, text) = match &outcome.failure {
        Some(failure) => (failure.message.as_str(), failure.text.as_str()),
        None => ("the negative control changed nothing", ""),
    };
    format!(
        "{head}>\n<{element} message=\"{}\">{}</{element}>\n</testcase>\n",
        escape(message),
        escape(text)
    )
}
