//! The plan: pure functions from the spec to every file and step of an image.
