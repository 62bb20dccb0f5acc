//! `file`: whether a file is there, and what it contains.

use super::{Probe, Prober, first_line};
use crate::error::Result;
use crate::exec::quote;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::File;

impl Probe for File {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let path = quote(self.file.get_ref());
        let seen = prober.output(
            &self.on,
            &format!(
                "if test -f {path}; then echo +; cat {path}; elif test -e {path}; then echo +; fi"
            ),
        )?;
        let content = seen.strip_prefix('+').map(str::trim_start);
        Ok(match (content, &self.contains) {
            (None, _) => ProbeResult::of(!self.exists, || "there is no such file".to_owned()),
            (Some(_), _) if !self.exists => ProbeResult::NotMet("the file is there".to_owned()),
            (Some(text), Some(words)) => {
                ProbeResult::of(text.contains(words), || format!("in it is: {}", first_line(text)))
            }
            (Some(_), None) => ProbeResult::Met,
        })
    }
}
