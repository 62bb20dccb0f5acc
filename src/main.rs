//! Parse, run, print the error: a table of contents.

use imagebuild::sandbox;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some(sandbox::OUTER) => sandbox::run_outer(),
        Some(sandbox::INNER) => sandbox::run_inner(),
        Some(sandbox::ID_MAPPER) => sandbox::run_id_mapper(&args[2]).unwrap(),
        _ => {}
    }
}
