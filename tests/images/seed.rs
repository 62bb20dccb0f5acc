//! `imagebuild seed`: secrets are made once, kept private, and reach the right server.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use imagebuild::exec::{Output, Program};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_imagebuild");

/// Runs `imagebuild seed ...` for the project of this checkout, with its own folder
/// for results; only the store is the shared one.
fn seed(folder: &Path, args: &[&str]) -> Output {
    seed_in(env!("CARGO_MANIFEST_DIR"), folder, args)
}

fn seed_in(project: &str, folder: &Path, args: &[&str]) -> Output {
    let environment = ["HOME", "PATH", "XDG_CACHE_HOME", "IMAGEBUILD_STORE"];
    let mut program = Program::new(BINARY)
        .args(["seed", "--project", project])
        .arg("--secrets")
        .arg(folder.join("secrets/arch4.toml"))
        .arg("--out")
        .arg(folder.join("out"))
        .args(args);
    for name in environment {
        if let Some(value) = std::env::var_os(name) {
            program = program.env(name, value);
        }
    }
    program.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn secrets_are_made_once_and_reach_their_servers() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets/arch4.toml");
    let first = seed(folder.path(), &["arch4"]);
    assert_eq!(first.code, 0, "{}", text(&first.stderr));
    let made = std::fs::read(&secrets).unwrap();
    assert_eq!((mode(&secrets), mode(secrets.parent().unwrap())), (0o600, 0o700));
    let ignore = std::fs::read_to_string(folder.path().join("secrets/.gitignore")).unwrap();
    assert_eq!(ignore.lines().last(), Some("*"));

    let of = |server: &str| {
        let path = folder.path().join(format!("out/arch4-{server}.seed"));
        assert_eq!(mode(&path), 0o600);
        imagebuild::seed::parse(&std::fs::read(path).unwrap()).unwrap().unwrap()
    };
    let (web1, web2, database1) = (of("web1"), of("web2"), of("database1"));
    let key = "ssh.host-key-ed25519";
    assert!(web1[key].starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----"));
    assert_ne!(web1[key], web2[key]);
    let password = "database.app-password";
    assert_eq!(web1[password], database1[password]);
    assert_eq!(web1[password].len(), 32);
    // Optional ones come only when they are asked for.
    assert!(!web1.contains_key("console.password-hash"));

    let again = seed(folder.path(), &["arch4"]);
    assert_eq!(again.code, 0);
    assert!(text(&again.stderr).contains("has all secrets"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read(&secrets).unwrap(), made);
}

#[test]
fn a_console_password_is_shown_once_and_kept_as_a_hash() {
    let folder = tempfile::tempdir().unwrap();
    let output = seed(folder.path(), &["arch4", "--role", "web1", "--console-password", "--quiet"]);
    assert_eq!(output.code, 0, "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let line = said.lines().find(|line| line.contains("web1: root's password")).unwrap();
    let password = line.split_whitespace().next().unwrap();
    let kept = std::fs::read_to_string(folder.path().join("secrets/arch4.toml")).unwrap();
    assert!(kept.contains("\"console.password-hash\" = \"$6$"));
    assert!(!kept.contains(password));
    // Those of other servers would have no effect until their seeds are written, too.
    assert_eq!(said.matches("root's password").count(), 1, "{said}");
}

/// Its hash is in the secrets by then: the next run would not show it.
#[test]
fn a_password_is_shown_even_if_the_seeds_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("out"), "a file").unwrap();
    let output = seed(folder.path(), &["arch4", "--console-password", "--quiet"]);
    assert_eq!(output.code, 1, "{}", text(&output.stderr));
    assert!(folder.path().join("secrets/arch4.toml").exists());
    assert!(text(&output.stdout).contains("root's password"), "{}", text(&output.stdout));
}

#[test]
fn secrets_on_a_disk_that_is_not_mounted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    let link = folder.path().join("secrets/arch4.toml");
    std::os::unix::fs::symlink("/nowhere/vault/arch4.toml", &link).unwrap();
    let output = seed(folder.path(), &["arch4"]);
    assert_eq!(output.code, 2);
    let said = format!("error: {} is a link to what is not there\n", link.display());
    assert!(text(&output.stderr).starts_with(&said), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets/arch4.toml");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let output = seed(folder.path(), &["arch4"]);
    assert_eq!(output.code, 2);
    let path = path.display();
    assert_eq!(
        text(&output.stderr),
        format!(
            "error: {path} may be read by others\nhint: it holds secrets: `chmod 600 {path}`\n"
        )
    );
}

#[test]
fn an_unknown_credential_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets/arch4.toml");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "[servers.web1]\n\"net.publik.mac\" = \"52:54:00:12:34:56\"\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let output = seed(folder.path(), &["arch4"]);
    assert_eq!(output.code, 2);
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: no role of web1 knows the credential `net.publik.mac`\n"),
        "{said}"
    );
    assert!(said.contains("2 | \"net.publik.mac\""), "{said}");
    assert!(said.contains("`net.public.mac`"), "{said}");
}

/// Facts that only the user knows, and an empty list of who may log in.
#[test]
fn what_seed_cannot_make_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let role = "description = \"a shop\"\n[[credentials]]\nname = \"shop.api-key\"\nkind = \"text\"\nscope = \"architecture\"\npurpose = \"the key of the payment service\"\n";
    std::fs::create_dir(folder.path().join("roles")).unwrap();
    std::fs::write(folder.path().join("roles/shop.toml"), role).unwrap();
    let site = "[architectures.arch4.servers.web1]\nadd-roles = [\"shop\"]\n";
    std::fs::write(folder.path().join("site.toml"), site).unwrap();
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("imagebuild.lock");
    std::fs::copy(lock, folder.path().join("imagebuild.lock")).unwrap();
    let project = folder.path().to_str().unwrap();
    let run = || seed_in(project, folder.path(), &["arch4", "--quiet"]);
    let file = folder.path().join("secrets/arch4.toml");
    let shown = file.display();
    let lacking = format!(
        "warning: arch4 lacks `shop.api-key` (the key of the payment service), and what needs it will not start: write it under [architecture] in {shown}\n"
    );
    let nobody = "warning: nobody can log in over SSH: site.toml has no `keys` under `[admin]`, and passwords are not taken\n";
    for _ in 0..2 {
        let output = run();
        assert_eq!((text(&output.stderr), output.code), (format!("{lacking}{nobody}"), 0));
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    let kept = kept.replacen("[architecture]\n", "[architecture]\n\"shop.api-key\" = \"x\"\n", 1);
    std::fs::write(&file, kept).unwrap();
    let output = run();
    assert_eq!((text(&output.stderr), output.code), (nobody.to_owned(), 0));
}
