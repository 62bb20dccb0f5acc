//! The reference of the files: `docs/reference/` and its JSON schemas are rendered from the
//! types that read them (their names, keys and comments), so that none can be forgotten.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(clippy::wildcard_enum_match_arm, reason = "of a syntax tree few kinds matter here")]

mod markdown;
mod schema;
mod types;

use goldenfile::Mint;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use types::Types;

/// A kind of file: its name here, where it lies, the folders of the types, and the outermost.
struct Format {
    name: &'static str,
    title: &'static str,
    folders: &'static [&'static str],
    root: &'static str,
    /// What the repository has of it.
    files: &'static str,
}

const FORMATS: [Format; 3] = [
    Format {
        name: "architecture",
        title: "`images/NAME.toml`: an architecture",
        folders: &["src/spec"],
        root: "RawArchitecture",
        files: "images",
    },
    Format {
        name: "role",
        title: "`roles/NAME.toml`: a role",
        folders: &["src/spec"],
        root: "RawRole",
        files: "roles",
    },
    Format {
        name: "scenario",
        title: "`vm-tests/ARCHITECTURE/NAME.toml`: a scenario",
        folders: &["src/scenario"],
        root: "RawScenario",
        files: "vm-tests",
    },
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_reference_is_that_of_the_types() {
    let mut mint = Mint::new(root().join("docs/reference"));
    for format in &FORMATS {
        let types = Types::read(&root(), format.folders);
        let schema_name = format!("{}.schema.json", format.name);
        let text = markdown::render(&types, format.title, &schema_name, format.root);
        let mut file = mint.new_goldenfile(format!("{}.md", format.name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let schema = schema::of(
            &types,
            &format!("imagebuild: {}", format.title.replace('`', "")),
            format.root,
        );
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let mut file = mint.new_goldenfile(&schema_name).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

/// What a schema has against a text.
fn objections(schema: &Validator, text: &str) -> Vec<String> {
    let value: Value = toml::from_str(text).unwrap();
    schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let files = files.map(walkdir::DirEntry::into_path);
    files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect()
}

#[test]
fn the_schemas_take_every_file_and_no_unknown_key() {
    for format in &FORMATS {
        let path = root().join("docs/reference").join(format!("{}.schema.json", format.name));
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let schema = jsonschema::options().build(&schema).unwrap();
        let files = toml_files(&root().join(format.files));
        assert!(files.len() > 5, "{}", format.files);
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(objections(&schema, &text), [""; 0], "{}", path.display());
            let unknown = format!("unknown-key = 1\n{text}");
            assert_eq!(objections(&schema, &unknown).len(), 1, "{}", path.display());
        }
    }
}

/// What the schemas must refuse, of each kind of mistake one.
#[test]
fn the_schemas_refuse_what_the_program_refuses() {
    let types = Types::read(&root(), &["src/scenario"]);
    let schema = schema::of(&types, "scenario", "RawScenario");
    let schema = jsonschema::options().build(&schema).unwrap();
    let with = |step: Value| {
        let scenario = json!({ "title": "a title", "steps": [step] });
        schema.is_valid(&scenario)
    };
    assert!(with(json!({ "name": "a", "do": [{ "power-off": "web1" }] })));
    assert!(with(
        json!({ "name": "a", "expect": [{ "held": { "floating": "web", "within": 2 } }] })
    ));
    for step in [
        json!({ "do": [] }),
        json!({ "name": "a", "do": [{ "power-of": "web1" }] }),
        json!({ "name": "a", "do": [{ "power-off": { "on": "web1" } }] }),
        json!({ "name": "a", "do": [{ "power-off": "web1", "reset": "web1" }] }),
        json!({ "name": "a", "expect": [{ "held": { "by": "web1" } }] }),
        json!({ "name": "a", "expect": [{ "held": { "floating": "web", "within": 0 } }] }),
        json!({ "name": "a", "do": [{ "kill": { "on": "a", "process": "b", "signal": "x" } }] }),
    ] {
        assert!(!with(step.clone()), "{step}");
    }
}
