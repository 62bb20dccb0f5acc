//! What a user reads when a file of the project is wrong: every error exactly.
//!
//! A small project is right; each test changes one thing.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::plan::render;
use imagebuild::spec::{Spec, Tree};

const BASE: &str = r#"description = "all servers"
packages = ["systemd"]
"#;

const WEB: &str = r#"description = "the website"
needs = ["private"]

[[ports]]
name = "web"
number = 80
protocol = "tcp"
bind = { network = "private" }
"#;

const IMAGE: &str = r#"title = "one server"

[networks.private]
interface = "eth1"
v4 = "192.168.0.0/24"
v6 = "2001:db8:0:1::/64"

[servers.web1]
roles = ["base", "web"]
[servers.web1.addresses.private]
v4 = "192.168.0.11"
v6 = "2001:db8:0:1::11"

[endpoints]
reads = { from = ["local"] }
writes = { from = ["local"] }

[access]
admin = "admin"
ssh = ["private"]

[disk]
esp = "256M"
packages = "1G"
configuration = "64M"
seed = "16M"
state = "1G"
smallest = "4G"
"#;

fn project() -> Tree {
    let mut tree = Tree::default();
    tree.insert("roles/base.toml", BASE);
    tree.insert("roles/web.toml", WEB);
    tree.insert("images/arch1.toml", IMAGE);
    tree.insert("overlays/web/etc/motd", "welcome\n");
    tree
}

/// The project with `from` replaced by `to` in `file`.
fn changed(file: &str, from: &str, to: &str) -> Tree {
    let mut tree = project();
    let text = String::from_utf8(tree.get(file).unwrap().content.clone()).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    tree.insert(file, text.replacen(from, to, 1));
    tree
}

fn error(tree: Tree) -> String {
    Spec::load(tree).expect_err("an error").to_string()
}

fn image_error(from: &str, to: &str) -> String {
    error(changed("images/arch1.toml", from, to))
}

fn template_error(template: &str) -> String {
    let mut tree = project();
    tree.insert("overlays/web/etc/site.j2", template);
    let spec = Spec::load(tree).unwrap();
    let architecture = spec.architecture("arch1").unwrap();
    let server = architecture.server("web1").unwrap();
    render::config_files(&spec, architecture, server).unwrap_err().to_string()
}

#[test]
fn the_project_itself_is_right() {
    Spec::load(project()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn unknown_key() {
    assert_eq!(
        error(changed("roles/web.toml", "needs =", "need =")),
        "error: unknown key `need`
 --> roles/web.toml:2:1
  |
2 | need = [\"private\"]
  | ^^^^
hint: did you mean `needs`?"
    );
}

#[test]
fn wrong_type() {
    assert_eq!(
        error(changed("roles/web.toml", "number = 80", "number = \"http\"")),
        "error: invalid type: string \"http\", expected u16
 --> roles/web.toml:6:10
  |
6 | number = \"http\"
  |          ^^^^^^
hint: the built-in files show the form of every key of roles/web.toml"
    );
}

#[test]
fn not_toml_at_all() {
    assert!(error(changed("roles/web.toml", "needs =", "needs")).contains("--> roles/web.toml:2:"));
}

#[test]
fn missing_key() {
    let said = image_error("title = \"one server\"\n", "");
    assert!(
        said.starts_with("error: the key `title` is missing\n --> images/arch1.toml:"),
        "{said}"
    );
    assert!(said.ends_with("hint: add `title` to this table"), "{said}");
}

#[test]
fn address_outside_its_network() {
    assert_eq!(
        image_error("192.168.0.11", "192.168.1.11"),
        "error: 192.168.1.11 is outside the network private
  --> images/arch1.toml:11:6
   |
11 | v4 = \"192.168.1.11\"
   |      ^^^^^^^^^^^^^^
hint: private is 192.168.0.0/24"
    );
}

#[test]
fn same_address_twice() {
    let second = "\n[servers.web2]\nroles = []\n[servers.web2.addresses.private]\nv4 = \"192.168.0.12\"\nv6 = \"2001:db8:0:1::11\"\n\n[endpoints]";
    assert_eq!(
        image_error("\n[endpoints]", second),
        "error: 2001:db8:0:1::11 is taken already
  --> images/arch1.toml:18:6
   |
18 | v6 = \"2001:db8:0:1::11\"
   |      ^^^^^^^^^^^^^^^^^^
hint: it belongs to web1 in the network private"
    );
}

#[test]
fn unknown_role() {
    assert_eq!(
        image_error("\"web\"]", "\"webb\"]"),
        "error: there is no role `webb`
 --> images/arch1.toml:9:18
  |
9 | roles = [\"base\", \"webb\"]
  |                  ^^^^^^
hint: did you mean `web`?"
    );
}

#[test]
fn unknown_network() {
    assert_eq!(
        image_error("addresses.private", "addresses.privat"),
        "error: there is no network `privat`
  --> images/arch1.toml:10:25
   |
10 | [servers.web1.addresses.privat]
   |                         ^^^^^^
hint: did you mean `private`?"
    );
}

#[test]
fn a_role_needs_a_network_that_the_server_lacks() {
    assert_eq!(
        error(changed("roles/web.toml", "\"private\"", "\"public\"")),
        "error: the role `web` needs the network public
 --> images/arch1.toml:9:18
  |
9 | roles = [\"base\", \"web\"]
  |                  ^^^^^
hint: give web1 an address: [servers.web1.addresses.public]"
    );
}

#[test]
fn two_roles_want_one_port() {
    let port = "\n[[ports]]\nname = \"mine\"\nnumber = 80\nprotocol = \"tcp\"\nbind = \"all\"\n";
    assert_eq!(
        error(changed("roles/base.toml", "[\"systemd\"]\n", &format!("[\"systemd\"]\n{port}"))),
        "error: port 80 of arch1-web1 is taken twice
 --> roles/web.toml:4:1
  |
4 | [[ports]]
  | ^^^^^^^^^
hint: the role `base` wants it too, on the same address"
    );
}

#[test]
fn a_validator_reads_absolute_paths() {
    let validator = "\n[[validators]]\nargv = [\"/usr/sbin/nginx\", \"-t\"]\ncovers = []\nreads = [\"etc/nginx/\"]\n";
    let bind = "bind = { network = \"private\" }\n";
    assert_eq!(
        error(changed("roles/web.toml", bind, &format!("{bind}{validator}"))),
        "error: `etc/nginx/`, which a validator reads, must begin with `/`
  --> roles/web.toml:10:1
   |
10 | [[validators]]
   | ^^^^^^^^^^^^^^"
    );
}

#[test]
fn two_roles_bring_one_file() {
    let mut tree = project();
    tree.insert("overlays/base/etc/motd.j2", "hello\n");
    assert_eq!(
        error(tree),
        "error: two roles of arch1-web1 bring /etc/motd: `base` and `web`
  overlays/base/etc/motd.j2
  overlays/web/etc/motd
hint: keep it in one of the overlays, or use a drop-in file with another name in each"
    );
}

#[test]
fn a_file_in_a_folder_that_is_a_link() {
    let mut tree = project();
    tree.insert("overlays/web/lib/systemd/system/shop.service", "[Unit]\n");
    assert_eq!(
        error(tree),
        "error: /lib/systemd/system/shop.service would hide Debian's /lib, which is a link to /usr/lib
  overlays/web/lib/systemd/system/shop.service
hint: name it /usr/lib/systemd/system/shop.service"
    );
    let with = "needs = [\"private\"]\n\n[links]\n\"/bin/vi\" = \"nano\"\n";
    let said = error(changed("roles/web.toml", "needs = [\"private\"]\n", with));
    assert!(said.starts_with("error: /bin/vi would hide Debian's /bin"), "{said}");
    assert!(said.ends_with("hint: name it /usr/bin/vi"), "{said}");
}

#[test]
fn missing_overlay_folder() {
    let with = "needs = [\"private\"]\noverlay = \"webb\"";
    assert_eq!(
        error(changed("roles/web.toml", "needs = [\"private\"]", with)),
        "error: there is no folder overlays/webb
 --> roles/web.toml:3:11
  |
3 | overlay = \"webb\"
  |           ^^^^^^
hint: did you mean `web`?"
    );
}

#[test]
fn partitions_larger_than_the_disk() {
    let said = image_error("smallest = \"4G\"", "smallest = \"2G\"");
    assert!(
        said.starts_with("error: the partitions of arch1-web1 need 3476M, the disk has 2G\n"),
        "{said}"
    );
    assert!(said.contains("--> images/arch1.toml:22:1"), "{said}");
}

#[test]
fn undefined_variable_in_a_template() {
    assert_eq!(
        template_error("name\n{{ server.nmae }}\n"),
        "error: `server.nmae` is not defined in this template
 --> overlays/web/etc/site.j2:2:4
  |
2 | {{ server.nmae }}
  |    ^^^^^^^^^^^
hint: templates know `server`, `arch`, `site` and `peers`; look for the name in the built-in overlays"
    );
}

#[test]
fn template_syntax() {
    assert_eq!(
        template_error("name\n{% for one in %}\n"),
        "error: the template is wrong: unexpected end of block
 --> overlays/web/etc/site.j2:2:15
  |
2 | {% for one in %}
  |               ^^
hint: templates are minijinja's: https://docs.rs/minijinja/latest/minijinja/syntax/"
    );
}

#[test]
fn unknown_names_on_the_command_line() {
    let spec = Spec::load(Tree::embedded()).unwrap();
    assert_eq!(
        spec.architecture("arch9").unwrap_err().to_string(),
        "error: there is no architecture `arch9`\nhint: did you mean `arch1`? (or `arch2`, `arch3`)"
    );
    assert_eq!(
        spec.architecture("arch4").unwrap().server("wbe1").unwrap_err().to_string(),
        "error: arch4 has no server `wbe1`\nhint: did you mean `web1`? (or `web2`)"
    );
}

#[test]
fn site_replaces_addresses_and_errors_point_at_it() {
    let mut tree = project();
    let site = "name = \"Mine\"\n[architectures.arch1.addresses.web1.private]\nv4 = \"192.168.0.99\"\nv6 = \"2001:db8:0:2::99\"\n";
    tree.insert("site.toml", site);
    assert_eq!(
        error(tree.clone()),
        "error: 2001:db8:0:2::99 is outside the network private
 --> site.toml:4:6
  |
4 | v6 = \"2001:db8:0:2::99\"
  |      ^^^^^^^^^^^^^^^^^^
hint: private is 2001:db8:0:1::/64"
    );
    tree.insert("site.toml", site.replace("0:2::", "0:1::"));
    let spec = Spec::load(tree).unwrap();
    let web1 = &spec.architectures["arch1"].servers["web1"];
    assert_eq!(web1.addresses["private"].shown().0, "192.168.0.99");
}

#[test]
fn site_names_what_does_not_exist() {
    let mut tree = project();
    tree.insert("site.toml", "[architectures.arch2.floating]\n");
    assert_eq!(
        error(tree),
        "error: there is no architecture `arch2`
 --> site.toml:1:16
  |
1 | [architectures.arch2.floating]
  |                ^^^^^
hint: did you mean `arch1`?"
    );
}

#[test]
fn a_private_key_is_no_public_key() {
    let mut tree = project();
    tree.insert("site.toml", "[admin]\nkeys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]\n");
    let said = error(tree);
    assert!(
        said.starts_with(
            "error: this is a private SSH key: it stays with you\n --> site.toml:2:9\n"
        ),
        "{said}"
    );
}

/// What makes twins of architecture 1's server, instead of [`ALONE`].
const TWINS: &str = r#"
[servers.web2]
roles = ["base", "web"]
server-id = 2
[servers.web2.addresses.private]
v4 = "192.168.0.12"
v6 = "2001:db8:0:1::12"

[floating.writes]
network = "private"
v4 = "192.168.0.10"
v6 = "2001:db8:0:1::10"
holders = ["web2", "web1"]
purpose = "database-writes"
router-id = 10

[floating.reads]
network = "private"
v4 = "192.168.0.30"
v6 = "2001:db8:0:1::30"
holders = ["web2", "web1"]
purpose = "database-reads"
router-id = 12
via = "direct-routing"
real-servers = ["web1", "web2"]

[endpoints]
reads = { from = ["local", { floating = "writes" }], order = "random" }
writes = { from = [{ floating = "writes" }] }
"#;
const ALONE: &str =
    "\n[endpoints]\nreads = { from = [\"local\"] }\nwrites = { from = [\"local\"] }\n";

#[test]
fn twins_with_two_floating_addresses_and_real_servers() {
    let spec = Spec::load(changed("images/arch1.toml", ALONE, TWINS)).unwrap();
    let floating = &spec.architectures["arch1"].floating;
    assert_eq!(floating["writes"].holders, ["web2", "web1"]);
    assert_eq!(floating["reads"].real_servers, ["web1", "web2"]);
}

#[test]
fn router_numbers_are_1_to_255_and_each_is_taken_once() {
    let with = |number: &str| {
        let twins = TWINS.replace("router-id = 12", &format!("router-id = {number}"));
        changed("images/arch1.toml", ALONE, &twins)
    };
    for number in ["11", "255"] {
        Spec::load(with(number)).unwrap();
    }
    assert_eq!(
        error(with("10")),
        "error: the router number 10 is not free
  --> images/arch1.toml:27:13
   |
27 | router-id = 10
   |             ^^
hint: reads has it"
    );
    assert_eq!(
        error(with("0")),
        "error: a router number is 1 to 255
  --> images/arch1.toml:35:13
   |
35 | router-id = 0
   |             ^"
    );
}

#[test]
fn a_role_that_includes_itself_by_another() {
    let mut tree = changed("roles/web.toml", "needs =", "includes = [\"base\", \"shop\"]\nneeds =");
    tree.insert("roles/shop.toml", "description = \"a shop\"\nincludes = [\"web\"]\n");
    assert_eq!(
        error(tree.clone()),
        "error: the role `shop` includes itself
 --> roles/web.toml:2:21
  |
2 | includes = [\"base\", \"shop\"]
  |                     ^^^^^^
  shop -> web -> shop
hint: take one of these out of `includes`"
    );
    tree.insert("roles/shop.toml", "description = \"a shop\"\nincludes = [\"wbe\"]\n");
    assert_eq!(
        error(tree),
        "error: there is no role `wbe`
 --> roles/shop.toml:2:13
  |
2 | includes = [\"wbe\"]
  |             ^^^^^
hint: did you mean `web`?"
    );
}

#[test]
fn a_role_brings_what_it_includes() {
    let mut tree = changed("images/arch1.toml", "[\"base\", \"web\"]", "[\"shop\"]");
    tree.insert("roles/shop.toml", "description = \"a shop\"\nincludes = [\"base\", \"web\"]\n");
    let spec = Spec::load(tree).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.architectures["arch1"].servers["web1"].roles, ["base", "web", "shop"]);
}

#[test]
fn templates_that_include_each_other() {
    let rendered = |second: &str| {
        let mut tree = project();
        tree.insert("overlays/web/etc/site.j2", "first\n{% include \"overlays/shared/a.j2\" %}\n");
        tree.insert("overlays/shared/a.j2", second);
        let spec = Spec::load(tree).unwrap();
        let architecture = spec.architecture("arch1").unwrap();
        let server = architecture.server("web1").unwrap();
        render::config_files(&spec, architecture, server)
    };
    let files = rendered("second {{ server.name }}\n").unwrap();
    let site = files.iter().find(|file| file.path == "/etc/site").unwrap();
    assert_eq!(site.content, render::Content::Bytes(b"first\nsecond web1\n".to_vec()));
    assert_eq!(
        rendered("x\n{% include 'overlays/web/etc/site.j2' %}\n").unwrap_err().to_string(),
        "error: the template overlays/web/etc/site.j2 includes itself
 --> overlays/shared/a.j2:2:13
  |
2 | {% include 'overlays/web/etc/site.j2' %}
  |             ^^^^^^^^^^^^^^^^^^^^^^^^
  overlays/web/etc/site.j2 -> overlays/shared/a.j2 -> overlays/web/etc/site.j2
hint: take one of these includes out"
    );
    assert_eq!(
        rendered("x\n{{ server.nmae }}\n").unwrap_err().to_string(),
        "error: `server.nmae` is not defined in this template
 --> overlays/shared/a.j2:2:4
  |
2 | {{ server.nmae }}
  |    ^^^^^^^^^^^
hint: templates know `server`, `arch`, `site` and `peers`; look for the name in the built-in overlays"
    );
    assert_eq!(
        template_error("{% include \"overlays/web/etc/mtod\" %}\n"),
        "error: there is no template overlays/web/etc/mtod
 --> overlays/web/etc/site.j2:1:13
  |
1 | {% include \"overlays/web/etc/mtod\" %}
  |             ^^^^^^^^^^^^^^^^^^^^^
hint: did you mean `overlays/web/etc/site.j2`?"
    );
}

#[test]
fn two_networks_that_share_addresses() {
    let second = |v4: &str| {
        format!(
            "v6 = \"2001:db8:0:1::/64\"\n\n[networks.public]\ninterface = \"eth0\"\nv4 = \"{v4}\"\n"
        )
    };
    assert_eq!(
        image_error("v6 = \"2001:db8:0:1::/64\"\n", &second("192.168.0.0/25")),
        "error: the networks public and private overlap
  --> images/arch1.toml:10:6
   |
10 | v4 = \"192.168.0.0/25\"
   |      ^^^^^^^^^^^^^^^^
hint: private is 192.168.0.0/24: a server could not tell them apart"
    );
    let apart = second("192.168.1.0/24");
    Spec::load(changed("images/arch1.toml", "v6 = \"2001:db8:0:1::/64\"\n", &apart)).unwrap();
}

#[test]
fn a_network_of_two_addresses_spares_none() {
    assert_eq!(
        image_error("\"192.168.0.11\"", "\"192.168.0.255\""),
        "error: 192.168.0.255 is the broadcast address in private: no machine can have it
  --> images/arch1.toml:11:6
   |
11 | v4 = \"192.168.0.255\"
   |      ^^^^^^^^^^^^^^^
hint: private is 192.168.0.0/24: take another"
    );
    let mut tree = changed("images/arch1.toml", "192.168.0.0/24", "192.168.0.10/31");
    Spec::load(tree.clone()).unwrap();
    tree.insert(
        "site.toml",
        "[architectures.arch1.addresses.web1.private]\nv4 = \"192.168.0.10\"\n",
    );
    Spec::load(tree).unwrap();
}

#[test]
fn a_port_names_what_no_architecture_has() {
    assert_eq!(
        error(changed("roles/web.toml", "{ network = \"private\" }", "{ network = \"privat\" }")),
        "error: no architecture has a network `privat`
 --> roles/web.toml:4:1
  |
4 | [[ports]]
  | ^^^^^^^^^
hint: did you mean `private`?"
    );
    let from = |from: &str| {
        changed("roles/web.toml", "number = 80", &format!("number = 80\nfrom = [{from}]"))
    };
    assert_eq!(
        error(from("\"peers\", { server = \"wbe1\" }")),
        "error: no architecture has a server `wbe1`
 --> roles/web.toml:4:1
  |
4 | [[ports]]
  | ^^^^^^^^^
hint: did you mean `web1`?"
    );
    assert!(
        error(from("{ network = \"lan\" }"))
            .starts_with("error: no architecture has a network `lan`\n")
    );
    Spec::load(from("{ server = \"web1\" }, { network = \"private\" }")).unwrap();
}

#[test]
fn a_pair_of_databases_waits_a_while() {
    let with = |text: &str| format!("\n[replication]\n{text}\n[endpoints]");
    assert_eq!(
        image_error("\n[endpoints]", &with("alone-after-ms = 0")),
        "error: 0 is not between 1 and 3600000
  --> images/arch1.toml:15:18
   |
15 | alone-after-ms = 0
   |                  ^
hint: these are milliseconds: 1000 is a second"
    );
    let long = image_error("\n[endpoints]", &with("max-lag-seconds = 3601"));
    assert!(long.starts_with("error: 3601 is not between 1 and 3600\n"), "{long}");
    let hour = with("alone-after-ms = 3600000\nmax-lag-seconds = 3600");
    Spec::load(changed("images/arch1.toml", "\n[endpoints]", &hour)).unwrap();
}

/// A loop in a loop, and a text that doubles: neither takes long, nor much memory.
#[test]
fn a_template_without_an_end() {
    let rest = "hint: a loop in a loop, or a text that doubles? No file of a server is that long";
    let nested = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}\n";
    let double = format!("{{% set x = 'x' %}}{}", "{% set x = x ~ x %}".repeat(40));
    for template in [nested, &double] {
        let said = template_error(template);
        let first =
            "error: the template takes more than 4194304 steps\n --> overlays/web/etc/site.j2:1:";
        assert!(said.starts_with(first) && said.ends_with(rest), "{said}");
    }
}

/// What would be built as if it were not there.
#[test]
fn files_that_would_be_passed_over() {
    let spec = |path: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "x").unwrap();
        Spec::read(folder.path()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(
        spec("overlays/wbe/etc/motd").unwrap_err(),
        "error: no role uses the folder overlays/wbe\nhint: did you mean `web`?"
    );
    assert_eq!(
        spec("overlays/web/ect/motd").unwrap_err(),
        "error: overlays/web/ect would be /ect, which is no place in Debian\nhint: did you mean `etc`?"
    );
    for other in ["overlays/web/vault/x", "overlays/shop/etc/x", "overlays/web/lib/x"] {
        assert!(!spec(other).is_err_and(|said| said.contains("did you mean")), "{other}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Site.toml"), "").unwrap();
    assert_eq!(
        Spec::read(folder.path()).expect_err("an error").to_string(),
        "error: Site.toml is not read: it must be called site.toml\nhint: `mv Site.toml site.toml`"
    );
}
