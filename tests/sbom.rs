//! The bill of materials of a real image, judged by CycloneDX' own validator, and
//! compared with the lock. `.ci/run` puts the validator where this test looks for it;
//! without it the test fails and says how to get it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;

use imagebuild::exec::{Output, Program};
use project::Project;
use serde_json::Value;
use std::path::PathBuf;

const JUDGE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(error) if error else 0)
";

fn judge(bill: &str) -> Output {
    let python = std::env::var_os("IMAGEBUILD_SBOM_PYTHON")
        .map_or_else(|| project::folder().join("target/sbom-validator/bin/python"), PathBuf::from);
    let how = "python3 -m venv target/sbom-validator && target/sbom-validator/bin/pip install 'cyclonedx-python-lib[json-validation]'";
    assert!(
        python.exists(),
        "CycloneDX' validator is not at {}: run `{how}`, or name its python in IMAGEBUILD_SBOM_PYTHON",
        python.display()
    );
    Program::new(python).args(["-c", JUDGE]).stdin(bill).output().unwrap()
}

#[test]
fn its_validator_accepts_the_bill_and_it_says_what_the_lock_says() {
    let project = Project::open();
    let plan = project.plan("web1");
    let object = project.provide(&plan, "image");
    let text = std::fs::read_to_string(object.path("sbom.json")).unwrap();
    let said = judge(&text);
    assert_eq!(said.code, 0, "{}", String::from_utf8_lossy(&said.stderr));
    let spoiled =
        [("\"SHA-256\"", "\"SHA-257\""), ("urn:uuid:", "urn:"), ("\"bom-ref\"", "\"ref\"")];
    for (from, to) in spoiled {
        assert_ne!(judge(&text.replacen(from, to, 1)).code, 0, "{to} is accepted");
    }

    let bill: Value = serde_json::from_str(&text).unwrap();
    let locked = project.lock.set("arch4/web1").unwrap();
    let part = |component: &Value| component["properties"][0]["value"].clone();
    let all = bill["components"].as_array().unwrap();
    let installed: Vec<(&str, &str, &str)> = all
        .iter()
        .filter(|component| part(component) == "installed")
        .map(|c| (&c["name"], &c["version"], &c["hashes"][0]["content"]))
        .map(|(name, version, digest)| {
            (name.as_str().unwrap(), version.as_str().unwrap(), digest.as_str().unwrap())
        })
        .collect();
    let digests: Vec<String> = locked.iter().map(|package| package.sha256.to_string()).collect();
    let wanted: Vec<(&str, &str, &str)> = locked
        .iter()
        .zip(&digests)
        .map(|(package, digest)| (&*package.name, package.version.as_str(), &**digest))
        .collect();
    assert_eq!(installed, wanted);
    // What boots the machine is not installed, and in the image all the same.
    let boot: Vec<&Value> = all.iter().filter(|c| part(c) == "boot").map(|c| &c["name"]).collect();
    assert!(boot.contains(&&Value::from("grub-pc-bin")), "{boot:?}");

    let nginx = all.iter().find(|component| component["name"] == "nginx").unwrap();
    assert!(nginx["supplier"]["name"].as_str().unwrap().contains("Debian"), "{nginx}");
    assert!(nginx["licenses"].to_string().contains("BSD-2-clause"), "{nginx}");
    let needs = |reference: &str| {
        let rows = bill["dependencies"].as_array().unwrap();
        rows.iter().find(|row| row["ref"] == reference).unwrap()["dependsOn"].to_string()
    };
    assert!(needs("image").contains("pkg:deb/debian/nginx@"));
    assert!(needs(nginx["bom-ref"].as_str().unwrap()).contains("pkg:deb/debian/libc6@"));
}
