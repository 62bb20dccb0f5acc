//! Writes down what came of scenarios: a page for people, JUnit's XML for CI, JSON for
//! programs. Pure functions of a [`Run`](super::outcome::Run).

mod card;
mod junit;
mod page;
mod timeline;

pub use junit::junit;
pub use page::page;

use crate::error::{Error, Result};
use crate::runner::outcome::Run;

/// All that was found out, as JSON.
///
/// # Errors
/// When a number is none.
pub fn json(run: &Run) -> Result<String> {
    let text = serde_json::to_string_pretty(run);
    text.map(|text| text + "\n").map_err(|e| Error::build(format!("cannot write JSON: {e}")))
}

/// Text inside XML and HTML. Characters that XML 1.0 cannot hold are shown as U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            _ if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
