//! What must not ship stops the build: a configuration that its own program rejects, with
//! the template that made it, and secrets.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::fixture::{Entry, deb};
use crate::project;
use crate::project::{Project, Scratch};
use imagebuild::exec::Program;

/// A server, a file of its own project that replaces the built-in one, the file's text,
/// and what the build must say besides the file.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const REJECTED: [Case; 8] = [
    (
        "web1",
        "overlays/web/etc/nginx/sites-available/site.j2",
        "server { nonsense on; }\n",
        &["nginx -t", "unknown directive \"nonsense\""],
    ),
    (
        "web1",
        "overlays/load-balancer/etc/haproxy/haproxy.cfg.j2",
        "global\n    nonsense\n",
        &["haproxy -c", "unknown keyword 'nonsense'"],
    ),
    (
        "web1",
        "overlays/heartbeat/etc/keepalived/keepalived.conf.j2",
        "vrrp_instance one {\n    nonsense\n}\n",
        &["keepalived -t", "Unknown keyword 'nonsense'"],
    ),
    (
        "web1",
        "overlays/base/etc/ssh/sshd_config.d/imagebuild.conf.j2",
        "Nonsense yes\n",
        &["sshd -t", "Bad configuration option: Nonsense"],
    ),
    (
        "web1",
        "overlays/base/etc/sudoers.d/imagebuild.j2",
        "nonsense\n",
        &["visudo -c", "syntax error"],
    ),
    (
        "web1",
        "overlays/web/etc/php/8.4/fpm/pool.d/www.conf.j2",
        "[www]\nnonsense = 1\n",
        &["php-fpm8.4", "nonsense"],
    ),
    (
        "web1",
        "overlays/base/usr/lib/systemd/system/imagebuild-grow.service",
        "[Service]\nExecStart=/usr/bin/nothing-there\n",
        &["systemd-analyze verify", "/usr/bin/nothing-there is not executable"],
    ),
    (
        "database1",
        "overlays/database/etc/mysql/mariadb.conf.d/90-imagebuild.cnf.j2",
        "[mysqld]\nnonsense = 1\n",
        &["/usr/sbin/mariadbd", "unknown variable 'nonsense=1'"],
    ),
];

const SECRET: [Case; 2] = [
    (
        "web1",
        "overlays/web/etc/shop/key.pem",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n",
        &["/etc/shop/key.pem", "a private key"],
    ),
    (
        "web1",
        "overlays/web/etc/nginx/htpasswd",
        "admin:$2y$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        &["/etc/nginx/htpasswd", "a password hash"],
    ),
];

#[test]
fn what_its_program_rejects_and_secrets_stop_the_build() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "arch4/database1", "tools/build"]);
    for case in REJECTED.iter().chain(&SECRET) {
        let (server, file, text, words) = case;
        let scratch = Scratch::new_in(&std::env::temp_dir());
        let at = |name: &str| scratch.path().join(name);
        std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        std::fs::write(at(file), text).unwrap();
        std::fs::copy(project::folder().join("imagebuild.lock"), at("imagebuild.lock")).unwrap();
        let output = Program::new(project::PROGRAM)
            .args(["arch4", "--role", server, "--quiet", "--locked"])
            .args(["--out".as_ref(), at("out").as_os_str()])
            .dir(scratch.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.code, 2, "{file}: {said}");
        assert!(said.starts_with("error: "), "{said}");
        for word in words.iter().chain([file]) {
            assert!(said.contains(word), "{file}: no word of {word}:\n{said}");
        }
        let left = at("out/arch4-web1.qcow2");
        assert!(!left.exists(), "{}", left.display());
    }
}

/// A package of the user's own, with a program that would run as root for everybody.
#[test]
fn a_setuid_program_of_a_foreign_package_stops_the_build() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "tools/build"]);
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let at = |name: &str| scratch.path().join(name);
    let control = "Package: shop\nVersion: 1\nArchitecture: all\nMaintainer: A Shop <shop@example.org>\nDescription: sells\n";
    let with = |mode: u32| {
        let folders = ["./", "./usr/", "./usr/bin/"].map(|path| (path, Entry::Folder));
        deb(
            control,
            &[&folders[..], &[("./usr/bin/shop", Entry::Program(mode, "#!/bin/sh\n"))]].concat(),
        )
    };
    std::fs::create_dir(at("debs")).unwrap();
    let site = "debs = [\"debs\"]\n\n[roles.web]\npackages = [\"shop\"]\n";
    std::fs::write(at("site.toml"), site).unwrap();
    std::fs::copy(project::folder().join("imagebuild.lock"), at("imagebuild.lock")).unwrap();
    let build = |mode: u32| {
        std::fs::write(at("debs/shop_1_all.deb"), with(mode)).unwrap();
        let program = Program::new(project::PROGRAM).args(["arch4", "--role", "web1", "--quiet"]);
        program
            .args(["--out".as_ref(), at("out").as_os_str()])
            .dir(scratch.path())
            .output()
            .unwrap()
    };
    let refused = build(0o6777);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.code, 2, "{said}");
    for words in [
        "error: a package that is not Debian's has setuid or setgid programs\n",
        "/usr/bin/shop (mode 6777), of the package shop\n",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!at("out/arch4-web1.qcow2").exists());
    let taken = build(0o755);
    assert_eq!(taken.code, 0, "{}", String::from_utf8_lossy(&taken.stderr));
}
