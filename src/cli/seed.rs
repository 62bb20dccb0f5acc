//! `imagebuild seed`: to come in the next commit.

use super::Common;
use crate::error::Result;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
}

pub(super) fn run(_arguments: &Arguments, _common: &Common) -> Result<()> {
    Ok(())
}
