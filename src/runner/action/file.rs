//! `write`, `delete`, `restore`.

use super::perform;
use crate::exec::quote;

/// Where the shell keeps files that a scenario changes, in the guest.
const KEPT: &str = "/run/imagebuild-test/kept";

perform! {
    Write: |one, runner| {
        let file = one.file.get_ref();
        let (path, text) = (quote(file), quote(&one.text));
        let change = format!("printf %s {text} >{path}.new && mv {path}.new {path}");
        runner.shell(&one.on, &format!("{} && {change}", keep(file)))
    };
    Delete: |one, runner| {
        let file = one.0.file.get_ref();
        runner.shell(&one.0.on, &format!("{} && rm {}", keep(file), quote(file)))
    };
    Restore: |one, runner| {
        let file = one.0.file.get_ref();
        let (path, kept) = (quote(file), kept(file));
        let put = format!("cp -a {kept} {path}.new && mv {path}.new {path} && rm {kept}");
        let remove = format!("test -e {kept}.absent && rm -f {path} {kept}.absent");
        let lost = "{ echo 'this scenario has not changed that file' >&2; exit 1; }";
        let command = format!("if test -e {kept}; then {put}; else {remove} || {lost}; fi");
        runner.shell(&one.0.on, &command)
    };
}

/// Where a file is kept, quoted.
fn kept(file: &str) -> String {
    quote(&format!("{KEPT}/{}", file.replace('/', "_")))
}

/// Keeps a file, or that there is none, unless that was done before.
fn keep(file: &str) -> String {
    let (path, kept) = (quote(file), kept(file));
    format!(
        "mkdir -p {KEPT} && if test -e {kept} || test -e {kept}.absent; then :; elif test -e {path}; then cp -a {path} {kept}; else touch {kept}.absent; fi"
    )
}
