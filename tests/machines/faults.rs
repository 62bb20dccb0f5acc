//! What goes wrong while machines run: a kernel that panics, a machine that hangs or
//! starts again and again, QEMU killed, a full disk of the host, Ctrl-C. Each has a
//! reason, its own exit code, and leaves nothing; other scenarios go on.

use crate::site::Site;
use crate::tiers::{Runs, Suite};
use libtest_mimic::Completion;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The guest's kernel gives up in the middle of a command.
const PANICS: &str = r#"title = "The kernel panics"

[[steps]]
name = "web1's kernel is made to panic"
do = [{ run = { on = "web1", command = "echo c >/proc/sysrq-trigger" } }]
expect = [{ command = { on = "web1", run = "true" } }]
"#;

/// Not one instruction more; the harness notices by what users get.
const HANGS: &str = r#"title = "A machine hangs"

[[steps]]
name = "web1 stands still"
do = [{ pause = "web1" }]
expect = [{ answers = { url = "http://web1.public/", within = 0.2 } }]
"#;

/// A boot loader that jumps to the firmware's entry (`jmp f000:fff0`): it starts again.
const LOOPS: &str = r#"title = "A machine starts again and again"

[[steps]]
name = "web1's boot loader is overwritten"
do = [
    { run = { on = "web1", command = "printf '\\352\\360\\377\\000\\360' | dd of=/dev/vda conv=notrunc,fsync" } },
    { reboot = "web1" },
]
expect = [{ healthy = {} }]
"#;

/// Long enough for the test to kill QEMU.
const KILLED: &str = r#"title = "QEMU is killed"

[[steps]]
name = "all is well for a long time"
expect = [{ answers = { url = "http://web1.public/", stays = 60 } }]
"#;

/// The tests, one at a time.
pub(crate) fn add(suite: &mut Suite) {
    type Test = (&'static str, fn());
    let tests: [Test; 3] = [
        (
            "faults::each_is_told_as_what_it_is",
            each_fault_is_told_as_what_it_is_and_the_others_go_on,
        ),
        ("faults::ctrl_c_ends_all_machines", ctrl_c_ends_all_machines),
        ("faults::a_full_disk_of_the_host_is_named", a_full_disk_of_the_host_is_named),
    ];
    for (name, test) in tests {
        suite.add(name, (Runs::InGate, "boots 2 servers: 1 min"), move || {
            test();
            Ok(Completion::Completed)
        });
    }
}

fn each_fault_is_told_as_what_it_is_and_the_others_go_on() {
    let site = Site::built_in();
    let files = [
        ("panics.toml", PANICS),
        ("hangs.toml", HANGS),
        ("loops.toml", LOOPS),
        ("killed.toml", KILLED),
    ];
    files.iter().for_each(|(name, text)| site.put(name, text));
    let chosen = ["panics.toml", "hangs.toml", "loops.toml", "killed.toml", "as-shipped"];
    let chosen = chosen.iter().flat_map(|name| ["--scenario", name]);
    let arguments: Vec<&str> =
        ["test", "arch1", "--jobs", "1", "--junit", "test.xml"].into_iter().chain(chosen).collect();
    let said = site.watch(&arguments, |watch| {
        // One at a time: of two web1 nobody outside knows which is whose.
        watch.wait_for("Step killed: all is well for a long time");
        kill(Pid::from_raw(watch.emulator("web1")), Signal::SIGKILL).unwrap();
    });
    for words in [
        "      FAILED panics in ",
        "but: [",
        "Kernel panic - not syncing: sysrq triggered crash",
        "      FAILED hangs in ",
        "nobody answers for the address",
        "      FAILED loops in ",
        "but it starts again and again (",
        "       BROKE killed in ",
        "web1: QEMU ended by itself",
        "      Passed as-shipped in ",
        // What is not known of the images comes before what is wrong with them.
        "error: the harness broke in 1 of 5 runs\n  killed\n",
    ] {
        assert!(said.text.contains(words), "{words:?} is not in\n{}", said.text);
    }
    assert_eq!(said.code, 1);
    assert!(site.read("test.xml").contains("tests=\"5\" failures=\"3\" errors=\"1\""));
    site.assert_nothing_is_left();
}

fn ctrl_c_ends_all_machines() {
    let site = Site::built_in();
    let said = site.watch(&["test", "arch1"], |watch| {
        watch.wait_for("Starting web1");
        kill(Pid::from_raw(watch.pid()), Signal::SIGINT).unwrap();
    });
    assert_eq!(said.code, 130, "{}", said.text);
    assert!(said.text.contains("error: interrupted"), "{}", said.text);
    site.assert_nothing_is_left();
}

fn a_full_disk_of_the_host_is_named() {
    let site = Site::built_in();
    assert_eq!(site.run(&["arch1", "--quiet"]).code, 0);
    let said = site.run_in("16m", &["test", "arch1"]);
    assert_eq!(said.code, 1, "{}", said.text);
    for words in [": this host cannot write its disk any more", "name another folder in $TMPDIR"] {
        assert!(said.text.contains(words), "{words:?} is not in\n{}", said.text);
    }
}
