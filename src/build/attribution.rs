//! Which package was it? dpkg says so in its output; the error says it first.

use crate::error::Error;

/// Puts the package's name before the message of a failed dpkg.
pub(super) fn name_package(error: Error) -> Error {
    let name = error.details().flat_map(str::lines).find_map(package);
    match name {
        Some(name) => error.context(format!("the package {name} cannot be installed")),
        None => error,
    }
}

/// The name in dpkg's "error processing package NAME (--configure):", or in
/// "error processing archive /debs/NAME.deb (--unpack):".
fn package(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("dpkg: error processing ")?;
    let name = rest.split_whitespace().nth(1)?;
    let name = name.rsplit('/').next().unwrap_or(name);
    Some(name.strip_suffix(".deb").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkgs_words_name_the_package() {
        let said = |line: &str| {
            let error = Error::build("dpkg failed").detail(format!("Setting up\n{line}\n more"));
            name_package(error).message().to_owned()
        };
        let named = "the package site cannot be installed: dpkg failed";
        assert_eq!(said("dpkg: error processing package site (--configure):"), named);
        assert_eq!(said("dpkg: error processing archive /debs/site.deb (--unpack):"), named);
        assert_eq!(said("dpkg: warning: site"), "dpkg failed");
    }
}
