//! Values of `site.toml` that cannot work: each is refused at its line.

use super::{error, load, project};
use imagebuild::spec::Spec;

/// The first line of an error, and the hint: where the place is as in a case before.
fn in_short(site: &str) -> String {
    let said = error(site);
    let last = said.lines().last().unwrap_or_default();
    format!("{}\n{last}", said.lines().next().unwrap_or_default())
}

fn arch4(spec: &Spec) -> &imagebuild::spec::Architecture {
    spec.architecture("arch4").unwrap()
}

#[test]
fn the_admin_has_a_name_of_his_own() {
    assert_eq!(
        error("[admin]\nuser = \"mysql\"\n"),
        "error: the admin cannot be `mysql`: packages of the role `database` make a user of this name
 --> site.toml:2:8
  |
2 | user = \"mysql\"
  |        ^^^^^^^
hint: use a name of your own, or `admin`"
    );
    assert_eq!(
        in_short("[admin]\nuser = \"www-data\"\n"),
        "error: the admin cannot be `www-data`: Debian has a user or a group of this name\nhint: use a name of your own, or `admin`"
    );
    assert_eq!(
        in_short("[admin]\nuser = \"systemd-rose\"\n"),
        "error: the admin cannot be `systemd-rose`: names with `systemd-` are for users of packages\nhint: use a name of your own, or `admin`"
    );
    assert_eq!(
        in_short("[admin]\nuser = \"Rose Miller\"\n"),
        "error: `Rose Miller` is not a name for a user\nhint: use a-z, 0-9, `-` and `_`, a letter first, 32 characters at most"
    );
    for taken in ["root", "haproxy", "munin", "nobody", "sshd", "daemon", "messagebus", "_apt"] {
        let said = error(&format!("[admin]\nuser = \"{taken}\"\n"));
        assert!(said.starts_with(&format!("error: the admin cannot be `{taken}`: ")), "{said}");
    }
    for good in ["rose", "rose-2", "rootie", "r"] {
        assert_eq!(arch4(&load(&format!("[admin]\nuser = \"{good}\"\n"))).admin, good);
    }
}

/// Made by ssh-keygen for this test; nobody has their private halves.
const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTkLRlqmPbLMRIUzHU+Fl5G2qyl/iv1JkCcdBQoCXX you@laptop",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDaTQ4saUcFZ4cDsoU/oRSaTZnPPIwmMgTEDeh2yBV4oAWHq8GIMQxi8AmlcDuO+d2hxKabXrrhukr2+EVEK4VssY/fqQj3yuZfD9jfiREC9+uEixNeUxr7pOqMbWrH6EBshHnht8x+RogBMsJkg4vRZVCxYC/0upGqXfyV5XWVOrghcmT7sNKTrWrEHph3LvlYbmhkrZVVVtU+45SAl1p3p+YHvabXnZl1hm7DXRDmZKT5K70kzuTcBxhi7gwLNavePkzLdw1zl4o/Q3cRiaIL6YvxYo/EgNLRrwxWFKOAlzJsS74DRMQQa4CCBuGwDvCI5Ky45zIU+eK7cLBt5m/z",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBARAbIF/Xa2cVsqW/jbRQACnLeIwoU1su/DJRB4aMsElfqaiVca5dzMmDu9Ps58Z04VPlyrjb4K2V2laZEVfoJQ= a comment of words",
];

#[test]
fn keys_that_can_let_someone_in() {
    let key = |line: &str| format!("[admin]\nkeys = ['{line}']\n");
    for good in KEYS {
        assert_eq!(load(&key(good)).site.admin_keys, [good]);
    }
    assert_eq!(
        error(&key(&KEYS[0].replace("/iv1JkCcdBQoCXX", ""))),
        "error: this SSH key is not base64: it was cut off, or changed
 --> site.toml:2:9
  |
2 | keys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTkLRlqmPbLMRIUzHU+Fl5G2qyl you@laptop']
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: paste the whole line of ~/.ssh/id_ed25519.pub once more, with nothing changed"
    );
    let whole =
        "hint: paste the whole line of ~/.ssh/id_ed25519.pub once more, with nothing changed";
    assert_eq!(
        in_short(&key(&KEYS[0].replace("CcdBQoCXX", "C"))),
        format!("error: this SSH key is not whole\n{whole}")
    );
    assert_eq!(
        in_short(&key(&KEYS[0].replace("ssh-ed25519", "ssh-rsa"))),
        format!("error: this SSH key says `ssh-ed25519` inside, and `ssh-rsa` before\n{whole}")
    );
    assert_eq!(
        in_short(&key(&format!("from=\"10.0.0.1\" {}", KEYS[0]))),
        "error: there is something before the type of this SSH key\nhint: begin with the key's type, `ssh-ed25519`: there are no options here"
    );
    let types = "ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com";
    assert_eq!(
        in_short(&key("ssh-dss AAAAB3NzaC1kc3MAAACBAJ")),
        format!(
            "error: `ssh-dss` is not a type of SSH keys that sshd takes\nhint: it takes {types}"
        )
    );
    assert_eq!(
        in_short(&key("/home/rose/.ssh/id_ed25519.pub")),
        "error: this is not a public SSH key\nhint: paste the line of ~/.ssh/id_ed25519.pub: `ssh-ed25519 AAAA... you@host`"
    );
}

#[test]
fn the_website_is_a_folder_of_its_own() {
    let files = |content: &str| {
        let site = format!("content = \"{content}\"\n");
        project(&[
            ("site.toml", &site),
            ("index.php", "<?php"),
            ("secrets/arch4.toml", ""),
            ("website/index.php", "<?php"),
        ])
    };
    let said = |content: &str| Spec::read(files(content).path()).expect_err("an error").to_string();
    assert_eq!(
        said("."),
        "error: the folder `.` holds site.toml, and more
 --> site.toml:1:11
  |
1 | content = \".\"
  |           ^^^
hint: all of it would be in the images, secrets too: give the website a folder of its own, `content = \"website\"`"
    );
    for above in ["", "..", "website/..", "/"] {
        let said = said(above);
        assert!(
            said.starts_with(&format!("error: the folder `{above}` holds site.toml")),
            "{said}"
        );
    }
    for good in ["website", "./website/", "website/../website"] {
        assert!(Spec::read(files(good).path()).is_ok(), "{good}");
    }
    // Nor is it, or a key, somewhere else on the machine of who builds the project.
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("index.html"), "mine").unwrap();
    let place = outside.path().display();
    let elsewhere = |text: &str| {
        let project = project(&[("site.toml", text)]);
        std::os::unix::fs::symlink(outside.path(), project.path().join("link")).unwrap();
        Spec::read(project.path()).expect_err("an error").to_string()
    };
    for path in [place.to_string(), "link".to_owned()] {
        let said = elsewhere(&format!("content = \"{path}\"\n"));
        let first =
            format!("error: `{path}` is outside of site.toml's folder\n --> site.toml:1:11\n");
        assert!(said.starts_with(&first), "{said}");
    }
    let source = "[sources.shop]\nurl = \"https://shop.example\"\nsuite = \"trixie\"\nkey = \"link/index.html\"\n";
    let said = elsewhere(source);
    let first = "error: `link/index.html` is outside of site.toml's folder\n --> site.toml:4:7\n";
    assert!(said.starts_with(first), "{said}");
    assert_eq!(
        error("web-root = \"public\"\n"),
        "error: there is no `content` that this folder could be in
 --> site.toml:1:12
  |
1 | web-root = \"public\"
  |            ^^^^^^^^
hint: `web-root` is a folder below your website's: add `content = \"website\"`"
    );
}

#[test]
fn networks_of_the_user_that_cannot_be() {
    let network = |name: &str, key: &str, prefix: &str| {
        format!("[architectures.arch4.networks.{name}]\n{key} = \"{prefix}\"\n")
    };
    assert_eq!(
        error(&network("private", "v4", "172.16.5.0/24")),
        "error: the networks private and public overlap
 --> site.toml:2:6
  |
2 | v4 = \"172.16.5.0/24\"
  |      ^^^^^^^^^^^^^^^
hint: public is 172.16.0.0/16: a server could not tell them apart"
    );
    assert_eq!(
        in_short(&network("public", "v6", "2001:db8::/32")),
        "error: the networks public and private overlap\nhint: private is 2001:db8:0:1::/64: a server could not tell them apart"
    );
    assert_eq!(
        error(&network("private", "v6", "fe80::/64")),
        "error: fe80::/64 cannot be a network: fe80::/10 is for link-local addresses
 --> site.toml:2:6
  |
2 | v6 = \"fe80::/64\"
  |      ^^^^^^^^^^^
hint: use the provider's prefix; in private, one such as 192.168.0.0/24 or fd12:3456:789a:1::/64"
    );
    for (key, prefix) in [
        ("v4", "127.0.0.0/24"),
        ("v4", "224.0.0.0/8"),
        ("v4", "169.254.7.0/24"),
        ("v4", "0.0.0.0/0"),
        ("v6", "ff02::/16"),
        ("v6", "::/64"),
    ] {
        let said = error(&network("private", key, prefix));
        assert!(said.starts_with(&format!("error: {prefix} cannot be a network: ")), "{said}");
    }
}

#[test]
fn addresses_that_no_machine_can_have() {
    let with = |rest: &str| format!("[architectures.arch4.{rest}\n");
    assert_eq!(
        error(&with("addresses.web1.public]\nv4 = \"172.16.255.255\"")),
        "error: 172.16.255.255 is the broadcast address in public: no machine can have it
 --> site.toml:2:6
  |
2 | v4 = \"172.16.255.255\"
  |      ^^^^^^^^^^^^^^^^
hint: public is 172.16.0.0/16: take another"
    );
    assert_eq!(
        in_short(&with("networks.public]\ngateway-v4 = \"172.16.0.0\"")),
        "error: 172.16.0.0 is the network's own address in public: no machine can have it\nhint: public is 172.16.0.0/16: take another"
    );
    assert_eq!(
        in_short(&with("floating.web]\nv6 = \"2001:db8::\"")),
        "error: 2001:db8:: is the network's own address in public: no machine can have it\nhint: public is 2001:db8::/64: take another"
    );
    load(&with("networks.public]\ngateway-v4 = \"172.16.0.1\"\ngateway-v6 = \"fe80::1\""));
    load(&with("floating.web]\nv4 = \"172.16.254.255\"\nv6 = \"2001:db8::ffff:ffff:ffff:ffff\""));
}

#[test]
fn numbers_out_of_bounds() {
    assert_eq!(
        error("[timers]\ncheck-ms = 0\n"),
        "error: 0 is not between 1 and 3600000
 --> site.toml:2:12
  |
2 | check-ms = 0
  |            ^
hint: these are milliseconds: 1000 is a second"
    );
    assert_eq!(
        in_short("[timers]\nconnect-ms = 3600001\n"),
        "error: 3600001 is not between 1 and 3600000\nhint: these are milliseconds: 1000 is a second"
    );
    assert_eq!(
        in_short("[timers]\nvrrp-advert-ms = 60000\n"),
        "error: 60000 is not between 10 and 40950\nhint: VRRP counts milliseconds in tens, to 40.95 seconds; 250 is usual"
    );
    assert_eq!(
        in_short("[timers]\ncheck-fall = 0\n"),
        "error: 0 is not between 1 and 1000\nhint: so many checks in a row count; 2 is usual"
    );
    assert_eq!(
        error("[architectures.arch4.networks.private]\nmtu = 576\n"),
        "error: 576 is not between 1280 and 9216
 --> site.toml:2:7
  |
2 | mtu = 576
  |       ^^^
hint: IPv6 needs 1280 bytes; Ethernet carries 1500, and 9000 where it is told to"
    );
    let timers = "vrrp-advert-ms = 10\ncheck-ms = 3600000\ncheck-fall = 1\ncheck-rise = 1000\n";
    let spec = load(&format!(
        "[timers]\n{timers}[architectures.arch4.networks.private]\nmtu = 1280\n[architectures.arch4.networks.public]\nmtu = 9216\n"
    ));
    assert_eq!(arch4(&spec).timers.check_ms, 3_600_000);
    assert_eq!(arch4(&spec).networks["private"].mtu, Some(1280));
}

#[test]
fn disks_and_sizes_that_cannot_be() {
    assert_eq!(
        error("[database]\ndisk = \"/dev/../sdb\"\n"),
        "error: `/dev/../sdb` is neither `rest` nor a disk such as /dev/vdb
 --> site.toml:2:8
  |
2 | disk = \"/dev/../sdb\"
  |        ^^^^^^^^^^^^^
hint: write `/dev/NAME`, or `/dev/disk/by-id/NAME`, which stays the same"
    );
    for bad in ["/dev/", "/dev/sd b", "/dev/disk/by-id/..", "/dev/disk/x/y", "/dev/a/b", "/dev/a$b"]
    {
        let said = error(&format!("[database]\ndisk = \"{bad}\"\n"));
        assert!(said.starts_with(&format!("error: `{bad}` is neither `rest` nor ")), "{said}");
    }
    for good in ["rest", "/dev/vdb", "/dev/nvme1n1", "/dev/disk/by-id/scsi-0HC_Volume_1"] {
        load(&format!("[database]\ndisk = \"{good}\"\n"));
    }
    assert_eq!(
        error("[database]\nsize = \"255M\"\n"),
        "error: 255M is too small for a database
 --> site.toml:2:8
  |
2 | size = \"255M\"
  |        ^^^^^^
hint: it is 256M at least, and 65536G at most"
    );
    assert_eq!(
        error("[disk]\nseed = \"15M\"\n"),
        "error: 15M is too small for a partition
 --> site.toml:2:8
  |
2 | seed = \"15M\"
  |        ^^^^^
hint: it is 16M at least, and 65536G at most"
    );
    assert_eq!(
        in_short("[architectures.arch4.servers.web1.disk]\nsmallest = \"65537G\"\n"),
        "error: `65537G` is larger than 65536G\nhint: that is 64T, more than any disk that a VPS has"
    );
    load("[database]\nsize = \"256M\"\n[disk]\nseed = \"16M\"\nsmallest = \"65536G\"\n");
}

/// The place is the line that its author can change, not one of the built-in files.
#[test]
fn a_disk_that_is_too_small_for_its_partitions() {
    assert_eq!(
        error("# sizes\n[disk]\npackages = \"2G\"\n"),
        "error: the partitions of arch1-database1 need 6932M, the disk has 6G
 --> site.toml:2:1
  |
2 | [disk]
  | ^^^^^^
hint: make `smallest` larger (in site.toml: under `[architectures.arch1.servers.database1.disk]`); both slots count, so packages and configuration count twice"
    );
    assert_eq!(
        error("[disk]\nsmallest = \"3G\"\n"),
        "error: the partitions of arch1-web1 need 3860M, the disk has 3G
 --> site.toml:1:1
  |
1 | [disk]
  | ^^^^^^
hint: make `smallest` larger (in site.toml: under `[disk]`); both slots count, so packages and configuration count twice"
    );
    let own = "[disk]\nstate = \"1G\"\n[architectures.arch4.servers.web2.disk]\nstate = \"3G\"\n";
    assert_eq!(
        error(own),
        "error: the partitions of arch4-web2 need 5908M, the disk has 4G
 --> site.toml:3:1
  |
3 | [architectures.arch4.servers.web2.disk]
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: make `smallest` larger (in site.toml: under `[disk]`); both slots count, so packages and configuration count twice"
    );
    load("[disk]\npackages = \"1100M\"\n");
}

#[test]
fn servers_that_cannot_be_asked() {
    assert_eq!(
        error("dns = [\"9.9.9.9\", \"127.0.0.53\"]\n"),
        "error: 127.0.0.53 is no DNS server's address: it is every machine's own
 --> site.toml:1:19
  |
1 | dns = [\"9.9.9.9\", \"127.0.0.53\"]
  |                   ^^^^^^^^^^^^
hint: write the address that your provider names; no server of ours answers DNS"
    );
    for bad in ["0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "224.0.0.251", "255.255.255.255"] {
        let said = error(&format!("dns = [\"{bad}\"]\n"));
        assert!(said.starts_with(&format!("error: {bad} is no DNS server's address: ")), "{said}");
    }
    assert_eq!(
        error("ntp = [\"a.ntp.example b.ntp.example\"]\n"),
        "error: `a.ntp.example b.ntp.example` is neither a host name nor an address
 --> site.toml:1:8
  |
1 | ntp = [\"a.ntp.example b.ntp.example\"]
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: write one server in each string: `ntp = [\"0.debian.pool.ntp.org\", \"192.0.2.1\"]`"
    );
    let spec = load(
        "dns = [\"9.9.9.9\", \"2620:fe::fe\"]\nntp = [\"ntp\", \"192.0.2.1\", \"2001:db8::1\"]\n",
    );
    assert_eq!(arch4(&spec).ntp, ["ntp", "192.0.2.1", "2001:db8::1"]);
}

#[test]
fn names_that_visitors_cannot_type() {
    assert_eq!(
        error("domains = [\"localhost\"]\n"),
        "error: `localhost` is not a whole DNS name: it has no dot
 --> site.toml:1:12
  |
1 | domains = [\"localhost\"]
  |            ^^^^^^^^^^^
hint: write all of it, with the domain: `www.example.org`"
    );
    for address in ["203.0.113.5", "2001:db8::5"] {
        assert_eq!(
            in_short(&format!("domains = [\"{address}\"]\n")),
            format!(
                "error: `{address}` is an address, not a DNS name\nhint: write the name that visitors type; addresses stand under `[architectures.archN]`"
            )
        );
    }
    assert_eq!(
        error("domains = [\"example.org\", \"example.org\"]\n"),
        "error: duplicate domain `example.org`
 --> site.toml:1:27
  |
1 | domains = [\"example.org\", \"example.org\"]
  |                           ^^^^^^^^^^^^^
hint: take one of the two out"
    );
    load(
        "domains = [\"example.org\", \"www.example.org\", \"xn--bcker-gra.example\", \"7.example\"]\n",
    );
}

/// Found by `plan`, all at once, under the names that the user gave them.
#[test]
fn a_website_with_what_no_image_may_hold() {
    let line = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm/0DFtMDoQikTmiCqirVv9mWG9qfSnF";
    let key = format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n");
    let project = project(&[
        ("site.toml", "content = \"website\"\n"),
        ("website/index.php", "<?php"),
        ("website/.env", "PASSWORD=x"),
        ("website/.env.example", "PASSWORD="),
        ("website/.env.local", "PASSWORD=x"),
        ("website/.git/config", "[remote]"),
        ("website/deploy/key.pem", &key),
        ("website/app/a.php", "<?php"),
        ("outside.txt", "x"),
    ]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, project.path().join("website").join(name)).unwrap();
    };
    link("../outside.txt", "out.txt");
    link("..", "up");
    link("nowhere", "gone");
    link(".git/config", "config.txt");
    let said = Spec::read(project.path()).expect_err("an error").to_string();
    let said = said.replace(project.path().to_str().unwrap(), "PROJECT");
    assert_eq!(
        said,
        "error: 7 files of the website cannot be in an image
  PROJECT/website/.env: settings of an application, its passwords among them
  PROJECT/website/.env.local: settings of an application, its passwords among them
  PROJECT/website/config.txt: a link to what is not in the website
  PROJECT/website/deploy/key.pem: it holds a private key
  PROJECT/website/gone: No such file or directory (os error 2)
  PROJECT/website/out.txt: a link to what is not in the website
  PROJECT/website/up: a link to what is not in the website
hint: secrets come with the seed (docs/site.md), as images are uploaded to strangers' storage; a copy takes a link's place; what the website does not need can go"
    );
}

#[test]
fn links_within_a_website_are_followed() {
    let files = [
        ("site.toml", "content = \"website\"\n"),
        ("website/index.php", "<?php"),
        ("website/releases/2/a.php", "<?php 2"),
    ];
    let project = project(&files);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, project.path().join("website").join(name)).unwrap();
    };
    link("releases/2", "current");
    link("current/a.php", "b.php");
    let spec = Spec::read(project.path()).unwrap_or_else(|error| panic!("{error}"));
    let files = super::files(&spec, "arch4-web1");
    for path in ["releases/2/a.php", "current/a.php", "b.php"] {
        assert_eq!(files[&format!("/var/www/site/{path}")], "<?php 2", "{path}");
    }
    link(".", "releases/all");
    let said = Spec::read(project.path()).expect_err("an error").to_string();
    assert!(said.contains("releases/all: a link to a folder that it is in\n"), "{said}");
}

#[test]
fn a_private_key_is_not_shown() {
    assert_eq!(
        error("[admin]\nkeys = [\"-----BEGIN OPENSSH PRIVATE KEY-----b3BlbnNzaC1rZXk\"]\n"),
        "error: this is a private SSH key: it stays with you
 --> site.toml:2:9
  |
2 | keys = [...
  |         ^^^
hint: paste the line of ~/.ssh/id_ed25519.pub: `ssh-ed25519 AAAA... you@host`"
    );
}

#[test]
fn a_domain_is_refused_with_its_reason() {
    let long = "a".repeat(64);
    for (domain, why) in [
        (
            "*.example.org",
            "a wildcard, not a DNS name\nhint: name each that visitors type; a certificate of your own may have a wildcard all the same",
        ),
        ("WWW.Example.org", "not in lower case\nhint: write `www.example.org`"),
        (
            &format!("{long}.example.org"),
            "not a DNS name: one of its parts is too long\nhint: a part has 63 characters at most, and `aaaaaaaaaaaa...` has 64",
        ),
        (
            &format!("{}org", "a.".repeat(126)),
            "not a DNS name: it is too long\nhint: a name has 253 characters at most",
        ),
    ] {
        let said = in_short(&format!("domains = [\"{domain}\"]\n"));
        assert_eq!(said, format!("error: `{domain}` is {why}"));
    }
}

/// What editors and word processors do to a file.
#[test]
fn marks_of_editors() {
    assert_eq!(load("\u{feff}name = \"shop\"\n").site.name, "shop");
    assert_eq!(
        in_short("name = “shop”\n").lines().last().unwrap(),
        "hint: these are typographic quotes: TOML has straight ones, `\"`; a word processor changes them"
    );
}
