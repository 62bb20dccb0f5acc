//! `flake.nix`, parsed and evaluated by Nix (the lock's) with a shim for nixpkgs: no
//! network, and nothing is built.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::tools::{Tools, WORK};
use imagebuild::sandbox::Outcome;

/// All that the flake asks of nixpkgs; what is asked for and not here is an error.
const STAND_IN: &str = r#"
let
  named = name: { type = "derivation"; inherit name; outPath = "/nix/store/shim-${name}"; };
  tools = [ "cargo-deny" "clippy" "nixfmt-rfc-style" "rust-analyzer" "rustfmt" ];
  pkgs = builtins.listToAttrs (map (name: { inherit name; value = named name; }) tools) // {
    lib.licenses = { mit = "MIT"; asl20 = "Apache-2.0"; };
    rustPlatform.buildRustPackage = asked: named asked.pname // asked;
    mkShell = asked: named "shell" // asked;
  };
  flake = import /work/flake.nix;
  self = { outPath = /work; };
  outputs = flake.outputs { inherit self; nixpkgs.legacyPackages.x86_64-linux = pkgs; };
  system = outputs: outputs.x86_64-linux;
  package = (system outputs.packages).default;
in {
  inherit (flake) description;
  inputs = builtins.attrNames flake.inputs;
  outputs = builtins.attrNames outputs;
  inherit (package) pname version doCheck;
  lock = builtins.pathExists package.cargoLock.lockFile;
  main = package.meta.mainProgram;
  licenses = package.meta.license;
  app = (system outputs.apps).default;
  shell = map (tool: tool.name) (system outputs.devShells).default.packages;
  from = map (input: input.name) (system outputs.devShells).default.inputsFrom;
}
"#;

/// What Nix says; it wants a store and writes to it, which is gone with the sandbox.
fn nix(args: &[&str]) -> Outcome {
    let state = [
        ("NIX_CONFIG", "build-users-group ="),
        ("NIX_STATE_DIR", "/tmp/nix"),
        ("NIX_STORE_DIR", "/tmp/nix/store"),
        ("NIX_LOG_DIR", "/tmp/nix/log"),
    ];
    let argv = ["nix-instantiate"].iter().chain(args);
    let folder = project::folder();
    let mut sandbox = Tools::test().empty_sandbox();
    for file in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        sandbox = sandbox.bind(folder.join(file), format!("{WORK}/{file}"));
    }
    let outcomes = sandbox.program(argv, &state, false).execute();
    outcomes.unwrap_or_else(|error| panic!("{error}")).remove(0)
}

#[test]
fn it_parses_and_has_a_package_an_app_and_a_shell() {
    let parsed = nix(&["--parse", "/work/flake.nix"]);
    assert_eq!(parsed.code, 0, "{}", parsed.output);
    let said = nix(&["--eval", "--strict", "--json", "-E", STAND_IN]);
    assert_eq!(said.code, 0, "{}", said.output);
    let value: serde_json::Value = serde_json::from_str(&said.output).unwrap();
    assert_eq!(value["inputs"], serde_json::json!(["nixpkgs"]));
    assert_eq!(value["outputs"], serde_json::json!(["apps", "devShells", "formatter", "packages"]));
    assert_eq!(value["pname"], env!("CARGO_PKG_NAME"));
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(value["description"], env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!((&value["lock"], &value["doCheck"]), (&true.into(), &false.into()));
    assert_eq!(value["licenses"], serde_json::json!(["MIT", "Apache-2.0"]));
    assert_eq!(value["app"]["type"], "app");
    assert_eq!(value["app"]["program"], "/nix/store/shim-imagebuild/bin/imagebuild");
    assert_eq!(value["main"], "imagebuild");
    assert_eq!(value["from"], serde_json::json!(["imagebuild"]));
    // The tests bring their own tools: what cargo and those who write code want is enough.
    let shell = ["cargo-deny", "clippy", "rust-analyzer", "rustfmt"];
    assert_eq!(value["shell"], serde_json::json!(shell));
}

#[test]
fn what_is_not_in_nixpkgs_is_an_error() {
    let asked = STAND_IN.replace("\"rustfmt\"", "");
    let said = nix(&["--eval", "--strict", "--json", "-E", &asked]);
    assert_ne!(said.code, 0);
    assert!(said.output.contains("rustfmt"), "{}", said.output);
}
