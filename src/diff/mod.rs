//! What differs between two images, or between what two revisions of a project would
//! make: packages, files, rendered configuration, sizes; for people and as JSON.

pub mod image;
pub mod layers;
pub mod listing;
pub mod report;
pub mod revision;

pub use report::Report;
