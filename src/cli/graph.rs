//! `imagebuild graph`: the topology, from the spec alone.

use super::Common;
use crate::error::Result;
use crate::graph;
use crate::project;
use crate::spec::Spec;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The architecture, such as arch4
    architecture: String,
    /// As an SVG drawing instead of text
    #[arg(long)]
    svg: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let spec = Spec::read(&project::folder(&common.options())?)?;
    let architecture = spec.architecture(&arguments.architecture)?;
    if arguments.svg {
        super::print(graph::svg(&spec, architecture))?;
    } else {
        super::print(graph::text(&spec, architecture))?;
    }
    Ok(())
}
