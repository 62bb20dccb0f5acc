//! What will be done, as a value: the disk map, the rendered files, the steps.
pub mod guid;
pub mod layout;
//! The plan: pure functions from the spec to every file and step of an image.

pub mod render;
mod render_context;
mod render_firewall;
mod render_generated;
mod render_units;
