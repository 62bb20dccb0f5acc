//! The bill of materials of a real image, judged by CycloneDX' own validator (the lock's,
//! with its JSON schema of version 1.6), and compared with the lock.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project::Project;
use crate::tools::Tools;
use imagebuild::sandbox::Outcome;
use serde_json::Value;

const JUDGE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(error) if error else 0)
";

fn judge(bill: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bill.json"), bill).unwrap();
    Tools::test().ask(folder.path(), &["python3", "-c", JUDGE, "{}/bill.json"])
}

#[test]
fn its_validator_accepts_the_bill_and_it_says_what_the_lock_says() {
    let project = Project::open();
    let plan = project.plan("web1");
    let object = project.provide(&plan, "image");
    let text = std::fs::read_to_string(object.path("sbom.json")).unwrap();
    let said = judge(&text);
    assert_eq!(said.code, 0, "{}", said.output);
    let spoiled = [
        ("\"SHA-256\"", "\"SHA-257\""),
        ("urn:uuid:", "urn:"),
        ("\"bom-ref\"", "\"ref\""),
        // The forms of times and of addresses are looked at, too.
        ("\"timestamp\": \"", "\"timestamp\": \"x"),
        ("\"url\": \"http", "\"url\": \"ht tp"),
    ];
    for (from, to) in spoiled {
        assert!(text.contains(from), "the bill has no {from}");
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
