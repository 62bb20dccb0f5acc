//! What needs nothing but this repository: no sandbox, no network, no other program. Seconds
//! in all, in one binary, as linking takes longer than most of it.

#[path = "../fixture/mod.rs"]
mod fixture;

mod formats;
mod graph;
mod honest;
mod image_layout;
mod imports;
mod lock;
mod lock_unpack;
mod promises;
mod report;
mod scenario_errors;
mod site_schema;
mod spec_architectures;
mod spec_errors;
mod spec_goldens;
mod spec_site;
mod words;
