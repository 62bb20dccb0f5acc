//! What will be done, as a value: the disk map, the rendered files, the steps.
pub mod guid;
pub mod layout;
