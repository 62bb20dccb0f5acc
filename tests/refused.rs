//! What must not ship stops the build: a configuration that its own program rejects, with
//! the template that made it, and secrets.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;

use imagebuild::exec::Program;
use project::{Project, Scratch};

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
