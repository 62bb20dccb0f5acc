//! Secrets and facts of machines: made once, kept in one file that only the user
//! can read, and written per server in the form of the seed partition.
//!
//! They never go near an image: images are uploaded to strangers' storage.

mod certificate;
mod file;
mod folder;
mod fresh;
mod host_key;
mod make;
mod partition;

pub use file::Secrets;
pub use fresh::fresh;
pub use host_key::{HOST_KEY, public_host_key};
pub use make::{Maker, Shown};
pub use partition::{parse, write};
