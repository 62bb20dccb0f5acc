//! Two real images, compared by what is in them: an edited template, and a file that
//! was changed after it was built.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::project::{Project, Scratch};
use imagebuild::exec::{Output, Program};
use std::path::Path;

fn run(args: &[&Path]) -> Output {
    Program::new(project::PROGRAM).args(args).dir(project::folder()).output().unwrap()
}

fn build(project: &Path, out: &Path) {
    let words = ["arch4", "--role", "web1", "--quiet", "--locked", "--project"].map(Path::new);
    let output = run(&[&words[..], &[project, Path::new("--out"), out]].concat());
    assert_eq!(output.code, 0, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_edit_is_found_in_the_images_themselves() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "tools/build"]);
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let at = |name: &str| scratch.path().join(name);
    for name in ["a", "b"] {
        std::fs::create_dir(at(name)).unwrap();
        let lock = project::folder().join("imagebuild.lock");
        std::fs::copy(lock, at(name).join("imagebuild.lock")).unwrap();
        std::fs::write(at(name).join("site.toml"), format!("name = \"{name}\"\n")).unwrap();
        build(&at(name), &at(&format!("{name}/out")));
    }
    let [a, b] = ["a", "b"].map(|name| at(name).join("out/arch4-web1.qcow2"));
    let output = run(&[Path::new("diff"), &a, &b.with_extension("json")]);
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted = "
    -site = \"a\"
    +site = \"b\"
";
    assert!(
        text.contains("\nconfiguration (1)\n  /etc/imagebuild/site.ini  0644 0:0 file of "),
        "{text}"
    );
    assert!(text.contains(wanted), "{text}");
    assert!(!text.contains("packages ("), "{text}");
    // An image that was kept next to the next one, with a dot in its name.
    let old = b.with_file_name("arch4-web1.old.qcow2");
    std::fs::copy(&a, &old).unwrap();
    std::fs::copy(a.with_extension("json"), old.with_extension("json")).unwrap();
    let kept = String::from_utf8(run(&[Path::new("diff"), &old, &b]).stdout).unwrap();
    assert!(kept.contains(wanted), "{kept}");
    let same = run(&[Path::new("diff"), &a, &a]);
    assert!(String::from_utf8(same.stdout).unwrap().ends_with("\n  nothing differs\n"));

    // One byte of the file that carries the second image: of its configuration layer.
    let layer = project.provide(&project.plan("web1"), "config-layer").path("layer.erofs");
    let start = std::fs::read(layer).unwrap()[1024..1028].to_vec();
    let mut bytes = std::fs::read(&b).unwrap();
    let mut magic = (0..bytes.len()).step_by(4096).filter(|i| bytes[i + 1024..][..4] == start);
    // The packages layer comes first on the disk.
    let place = magic.next_back().unwrap();
    bytes[place + 3000] ^= 1;
    std::fs::write(&b, bytes).unwrap();
    let output = run(&[Path::new("diff"), &a, &b]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.code, 4, "{said}");
    assert!(said.contains("error: partition `a-config` of "), "{said}");
    assert!(said.contains(" is not what its manifest says\n"), "{said}");
    let left = std::fs::read_dir(project.store.root().join("tmp")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("diff-"))
        .collect();
    assert_eq!(left, [""; 0]);
}
