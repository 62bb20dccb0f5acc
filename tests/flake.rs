//! `flake.nix`, parsed and evaluated by Nix with a stand-in for nixpkgs: no network, and
//! nothing is built. `.ci/run` installs Debian's nix-bin; without it the test fails.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::exec::Program;
use std::path::Path;

/// All that the flake asks of nixpkgs; what is asked for and not here is an error.
const STAND_IN: &str = r#"
let
  named = name: { type = "derivation"; inherit name; outPath = "/nix/store/stand-in-${name}"; };
  tools = [ "cargo-deny" "clippy" "cpio" "cryptsetup" "gptfdisk" "kmod" "libarchive" "librsvg" "nixfmt-rfc-style" "python3" "qemu-utils" "rust-analyzer" "rustfmt" "zstd" ];
  pkgs = builtins.listToAttrs (map (name: { inherit name; value = named name; }) tools) // {
    lib.licenses = { mit = "MIT"; asl20 = "Apache-2.0"; };
    rustPlatform.buildRustPackage = asked: named asked.pname // asked;
    mkShell = asked: named "shell" // asked;
  };
  flake = import ./flake.nix;
  self = { outPath = ./.; };
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

fn nix(args: &[&str]) -> Program {
    let path = Path::new("/usr/bin/nix-instantiate");
    assert!(path.exists(), "there is no {}: `apt-get install nix-bin`", path.display());
    let state = concat!(env!("CARGO_TARGET_TMPDIR"), "/nix");
    // A store of its own: Nix wants to write one, and the host's may not be there.
    Program::new(path)
        .env("HOME", state)
        .env("NIX_STATE_DIR", state)
        .env("NIX_STORE_DIR", format!("{state}/store"))
        .env("NIX_LOG_DIR", format!("{state}/log"))
        .args(args)
        .dir(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn it_parses_and_has_a_package_an_app_and_a_shell() {
    nix(&["--parse", "flake.nix"]).run().unwrap_or_else(|error| panic!("{error}"));
    let json = nix(&["--eval", "--strict", "--json", "-E", STAND_IN]).run();
    let json = json.unwrap_or_else(|error| panic!("{error}"));
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["inputs"], serde_json::json!(["nixpkgs"]));
    assert_eq!(value["outputs"], serde_json::json!(["apps", "devShells", "formatter", "packages"]));
    assert_eq!(value["pname"], env!("CARGO_PKG_NAME"));
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(value["description"], env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!((&value["lock"], &value["doCheck"]), (&true.into(), &false.into()));
    assert_eq!(value["licenses"], serde_json::json!(["MIT", "Apache-2.0"]));
    assert_eq!(value["app"]["type"], "app");
    assert_eq!(value["app"]["program"], "/nix/store/stand-in-imagebuild/bin/imagebuild");
    assert_eq!(value["main"], "imagebuild");
    assert_eq!(value["from"], serde_json::json!(["imagebuild"]));
    assert!(value["shell"].as_array().unwrap().contains(&"qemu-utils".into()));
}
