//! What a person reads who slips in a scenario: exact texts, one slip each.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::scenario::{Promises, Scenario};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeSet;
use std::path::Path;

const SCENARIO: &str = r#"title = "A server is lost"
promise = "A4.1"

[aliases]
active = { holder-of = "web" }
standby = { standby-of = "web" }

[loads.visitors]
url = "http://web/"
per-second = 4
deadline = 2

[[steps]]
name = "the power fails"
do = [
    { start-load = "visitors" },
    { power-off = "active" },
]
expect = [
    { held = { floating = "web", by = "standby", within = 1.5 } },
    { load = { name = "visitors", failed = 3 } },
]
"#;

fn read(text: &str) -> Result<Scenario, String> {
    let spec = Spec::load(Tree::embedded()).unwrap();
    let architecture = spec.architecture("arch4").unwrap();
    Scenario::read("my.toml", text.as_bytes(), architecture, &Promises::built_in())
        .map_err(|error| error.to_string())
}

/// The error when `from` is replaced by `to`.
fn slip(from: &str, to: &str) -> String {
    assert!(SCENARIO.contains(from), "the scenario has no {from}");
    read(&SCENARIO.replacen(from, to, 1)).expect_err("an error")
}

#[test]
fn the_scenario_itself_is_right() {
    let scenario = read(SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((scenario.name.as_str(), scenario.steps.len()), ("my", 1));
    let place = scenario.steps[0].expectations[0].place.clone().unwrap();
    assert_eq!((place.line, place.column), (20, 5));
}

/// Else a website of the user's own fails in the first step.
#[test]
fn built_in_scenarios_that_read_the_demo_site_say_so() {
    let tree = Tree::embedded();
    let mut count = 0;
    for (path, file) in tree.below("vm-tests") {
        let text = String::from_utf8_lossy(&file.content);
        if text.contains("\nlike = ") {
            continue;
        }
        let reads = text.contains("format=json") || text.contains("/style.css");
        assert_eq!(text.contains("\ndemo-site = true\n"), reads, "{path}");
        count += usize::from(reads);
    }
    assert_eq!(count, 42);
}

#[test]
fn a_ledger_is_of_numbers() {
    let said = slip(
        "{ load = { name = \"visitors\", failed = 3 } },",
        "{ ledger = { load = \"visitors\", on = \"web1\", run = \"true\" } },",
    );
    assert!(said.starts_with("error: the load visitors writes no numbers\n"), "{said}");
    assert!(said.contains("--> my.toml:21:5"), "{said}");
    assert!(said.contains("hint: write `{number}` into its `url` or `body`"), "{said}");
}

#[test]
fn a_scenario_that_is_like_another_one() {
    let mut tree = Tree::embedded();
    let spec = Spec::load(tree.clone()).unwrap();
    let architecture = spec.architecture("arch6").unwrap();
    let mut read = |text: &str| {
        tree.insert("vm-tests/arch6/mine.toml", text.to_owned());
        let all = Scenario::of_architecture(&tree, architecture).map_err(|e| e.to_string())?;
        Ok::<_, String>(all.into_iter().find(|one| one.name == "mine").unwrap())
    };
    let mine = read("title = \"As there\"\nlike = \"arch4/balancer-gone\"\n").unwrap();
    assert_eq!((mine.title.as_str(), mine.promise), ("As there", None));
    assert!(mine.steps.len() > 1 && mine.negative_control.is_some() && mine.demo_site);
    for (text, says) in [
        ("like = \"arch4/balancer-gon\"", "there is no scenario `arch4/balancer-gon`"),
        ("like = \"arch6/balancer-gone\"", "`arch6/balancer-gone` is like another one itself"),
        (
            "like = \"arch4/balancer-gone\"\ndemo-site = true",
            "has its own title, promise and about",
        ),
    ] {
        let said = read(&format!("title = \"x\"\n{text}\n")).unwrap_err();
        assert!(said.contains(says) && said.contains("vm-tests/arch6/mine.toml:2:8"), "{said}");
    }
}

#[test]
fn unknown_key() {
    assert_eq!(
        slip("per-second = 4", "per-secnd = 4"),
        "error: unknown key `per-secnd`
  --> my.toml:10:1
   |
10 | per-secnd = 4
   | ^^^^^^^^^
hint: did you mean `per-second`?"
    );
}

#[test]
fn unknown_action() {
    assert_eq!(
        slip("{ power-off =", "{ powr-off ="),
        "error: unknown value `powr-off`
  --> my.toml:17:7
   |
17 |     { powr-off = \"active\" },
   |       ^^^^^^^^
hint: did you mean `power-off`?"
    );
}

#[test]
fn unknown_key_of_an_expectation() {
    assert_eq!(
        slip("within = 1.5", "withn = 1.5"),
        "error: unknown key `withn`
  --> my.toml:20:50
   |
20 |     { held = { floating = \"web\", by = \"standby\", withn = 1.5 } },
   |                                                  ^^^^^
hint: did you mean `within`?"
    );
}

#[test]
fn two_actions_in_one() {
    assert_eq!(
        slip("{ power-off = \"active\" }", "{ power-off = \"active\", start = \"active\" }"),
        "error: this table says one thing by the name of its one key, and has not one key
  --> my.toml:17:5
   |
17 |     { power-off = \"active\", start = \"active\" },
   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: write one table for each: `{ ... }, { ... }`"
    );
}

#[test]
fn a_time_that_is_none() {
    assert_eq!(
        slip("within = 1.5", "within = 0"),
        "error: 0 is not a number of seconds, more than 0 and at most 3600
  --> my.toml:20:59
   |
20 |     { held = { floating = \"web\", by = \"standby\", within = 0 } },
   |                                                           ^
hint: the built-in files show the form of every key of my.toml"
    );
}

#[test]
fn unknown_machine() {
    assert_eq!(
        slip("{ power-off = \"active\" }", "{ power-off = \"wbe1\" }"),
        "error: arch4 has no machine `wbe1`
  --> my.toml:17:19
   |
17 |     { power-off = \"wbe1\" },
   |                   ^^^^^^
hint: did you mean `web1`? (or `web2`)"
    );
}

#[test]
fn unknown_floating_address() {
    assert_eq!(
        slip("floating = \"web\"", "floating = \"database\""),
        "error: arch4 has no floating address `database`
  --> my.toml:20:27
   |
20 |     { held = { floating = \"database\", by = \"standby\", within = 1.5 } },
   |                           ^^^^^^^^^^
hint: known: web"
    );
}

#[test]
fn who_can_never_hold_it() {
    assert_eq!(
        slip("by = \"standby\"", "by = \"database1\""),
        "error: database1 can never hold `web`
  --> my.toml:20:39
   |
20 |     { held = { floating = \"web\", by = \"database1\", within = 1.5 } },
   |                                       ^^^^^^^^^^^
hint: its holders are: web1, web2"
    );
}

#[test]
fn unknown_network() {
    assert_eq!(
        slip(
            "{ power-off = \"active\" }",
            "{ link-down = { of = \"active\", network = \"pubic\" } }"
        ),
        "error: arch4 has no network `pubic`
  --> my.toml:17:46
   |
17 |     { link-down = { of = \"active\", network = \"pubic\" } },
   |                                              ^^^^^^^
hint: did you mean `public`?"
    );
}

#[test]
fn a_machine_that_is_not_on_that_network() {
    assert_eq!(
        slip(
            "{ power-off = \"active\" }",
            "{ link-down = { of = \"database1\", network = \"public\" } }"
        ),
        "error: database1 is not on the public network
  --> my.toml:17:49
   |
17 |     { link-down = { of = \"database1\", network = \"public\" } },
   |                                                 ^^^^^^^^
hint: database1 is on: private"
    );
}

#[test]
fn a_host_that_is_none() {
    assert_eq!(
        slip("http://web/", "http://wbe/"),
        "error: nothing is called `wbe`
 --> my.toml:9:7
  |
9 | url = \"http://wbe/\"
  |       ^^^^^^^^^^^^^
hint: did you mean `web`?"
    );
    assert_eq!(
        slip("http://web/", "web/"),
        "error: `web/` is not a URL such as http://web/ or https://web1.public/
 --> my.toml:9:7
  |
9 | url = \"web/\"
  |       ^^^^^^
hint: the built-in files show the form of every key of my.toml"
    );
}

#[test]
fn an_unknown_promise() {
    assert_eq!(
        slip("\"A4.1\"", "\"A4.0\""),
        "error: there is no promise `A4.0`
 --> my.toml:2:11
  |
2 | promise = \"A4.0\"
  |           ^^^^^^
hint: known: A4.1, A4.2, A4.3, A4.4, A4.5, A4.6, A4.7, A4.8, A4.9, A4.10, A4.11"
    );
}

#[test]
fn a_load_that_is_not_there_or_not_started() {
    assert_eq!(
        slip("start-load = \"visitors\"", "start-load = \"visitor\""),
        "error: this scenario has no load `visitor`
  --> my.toml:16:20
   |
16 |     { start-load = \"visitor\" },
   |                    ^^^^^^^^^
hint: did you mean `visitors`?"
    );
    assert_eq!(
        slip("    { start-load = \"visitors\" },\n", ""),
        "error: the load `visitors` has not been started
  --> my.toml:20:23
   |
20 |     { load = { name = \"visitors\", failed = 3 } },
   |                       ^^^^^^^^^^
hint: add `{ start-load = \"visitors\" }` to the `do` of an earlier step"
    );
    assert_eq!(
        slip(", failed = 3", ""),
        "error: nothing is expected of this load
  --> my.toml:21:5
   |
21 |     { load = { name = \"visitors\" } },
   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: add `good` (at least), `failed` (at most), `outage` (at most) or `from-each`"
    );
}

#[test]
fn a_load_without_a_pace_or_with_two() {
    assert_eq!(
        slip("per-second = 4\n", ""),
        "error: this load does not say how often requests come
 --> my.toml:8:8
  |
8 | [loads.visitors]
  |        ^^^^^^^^
hint: add `per-second = 4`, or `clients = 4`, each of which waits for its answers"
    );
    assert_eq!(
        slip("per-second = 4\n", "per-second = 4\nclients = 4\n"),
        "error: `clients` wait for their answers, `per-second` waits for nobody
  --> my.toml:11:11
   |
11 | clients = 4
   |           ^
hint: keep one of the two"
    );
    assert_eq!(
        slip("per-second = 4\n", "per-second = 4\nthink-time = 1\n"),
        "error: only `clients` pause between their requests
  --> my.toml:11:14
   |
11 | think-time = 1
   |              ^
hint: add `clients`, or take `think-time` out"
    );
    assert_eq!(
        slip("per-second = 4\n", "clients = 1.5\n"),
        "error: 1.5 is not a whole number from 1 to 1000
  --> my.toml:10:11
   |
10 | clients = 1.5
   |           ^^^
hint: the built-in files show the form of every key of my.toml"
    );
}

#[test]
fn an_alias_that_means_nothing() {
    assert_eq!(
        slip("active = { holder-of", "web1 = { holder-of"),
        "error: the alias `web1` has a machine's name
 --> my.toml:5:1
  |
5 | web1 = { holder-of = \"web\" }
  | ^^^^
hint: name an alias after what it does, such as `active` or `standby`"
    );
}

#[test]
fn a_standby_where_there_is_only_one() {
    let mut tree = Tree::embedded();
    let image = tree.get("images/arch4.toml").unwrap().content.clone();
    let image = String::from_utf8(image).unwrap();
    assert!(image.contains("holders = [\"web1\", \"web2\"]"));
    let alone = image.replace("holders = [\"web1\", \"web2\"]", "holders = [\"web1\"]");
    tree.insert("images/arch4.toml", alone);
    let spec = Spec::load(tree).unwrap();
    let architecture = spec.architecture("arch4").unwrap();
    let promises = Promises::built_in();
    let error = Scenario::read("my.toml", SCENARIO.as_bytes(), architecture, &promises);
    assert_eq!(
        error.expect_err("an error").to_string(),
        "error: only web1 may hold `web`: it has no standby
 --> my.toml:6:26
  |
6 | standby = { standby-of = \"web\" }
  |                          ^^^^^
hint: a standby is a second of the address's `holders`"
    );
}

#[test]
fn a_scenario_that_cannot_fail() {
    let start = SCENARIO.find("expect = [").unwrap();
    let error = read(&SCENARIO[..start]).unwrap_err();
    assert_eq!(
        error,
        "error: this scenario cannot fail
  --> my.toml:13:1
   |
13 | [[steps]]
   | ^^^^^^^^^
hint: give a step `expect = [...]`: a scenario that expects nothing tests nothing"
    );
}

#[test]
fn a_path_that_is_not_whole() {
    let action = "{ delete = { on = \"active\", file = \"servercheck.txt\" } }";
    assert_eq!(
        slip("{ power-off = \"active\" }", action),
        "error: `servercheck.txt` is not a whole path
  --> my.toml:17:40
   |
17 |     { delete = { on = \"active\", file = \"servercheck.txt\" } },
   |                                        ^^^^^^^^^^^^^^^^^
hint: paths on a machine start with `/`"
    );
}

/// Each file quotes a promise, each failover has its negative control, and every name fits.
#[test]
fn the_built_in_scenarios_are_right() {
    let tree = Tree::embedded();
    let spec = Spec::load(tree.clone()).unwrap();
    let promises = Promises::built_in();
    for architecture in spec.architectures.values() {
        let all = Scenario::of_architecture(&tree, architecture);
        for scenario in all.unwrap_or_else(|error| panic!("{error}")) {
            let name = &scenario.name;
            let promise = scenario.promise.unwrap_or_else(|| panic!("{name} quotes no promise"));
            assert!(promises.get(&promise).is_some());
            let of_one = ["A3.", "A4.", "A5.", "A6."].iter().any(|of| promise.starts_with(of));
            let is_control = scenario.negative_control.is_some();
            assert!(is_control || !of_one, "{name} has no negative control");
        }
    }
}

/// A site with more web servers than the book has is tested by the same scenarios.
#[test]
fn the_built_in_scenarios_are_right_with_three_web_servers() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/three-web-servers");
    let spec = Spec::read(&project).unwrap_or_else(|error| panic!("{error}"));
    for name in ["arch4", "arch6"] {
        let architecture = spec.architecture(name).unwrap();
        assert_eq!(architecture.floating["web"].holders, ["web1", "web2", "web3"]);
        let all = Scenario::of_architecture(&spec.tree, architecture);
        let all = all.unwrap_or_else(|error| panic!("{error}"));
        assert!(all.len() >= 2, "{name}: {}", all.len());
    }
}

/// With two web servers "by none but the standby" and "by any but the active one" are
/// the same; with more, only the second is true.
#[test]
fn no_built_in_scenario_says_that_there_are_two() {
    let tree = Tree::embedded();
    for (path, file) in tree.below("vm-tests") {
        let text = String::from_utf8_lossy(&file.content);
        for line in text.lines() {
            assert!(!line.contains(" from = ["), "{path}: {line}");
        }
    }
}

#[test]
fn every_promise_has_a_scenario() {
    let tree = Tree::embedded();
    let spec = Spec::load(tree.clone()).unwrap();
    let all = spec.architectures.values();
    let all = all.flat_map(|one| Scenario::of_architecture(&tree, one).unwrap());
    let tested: BTreeSet<String> =
        all.flat_map(|one| one.promise.into_iter().chain(one.also)).collect();
    for number in Promises::built_in().numbers() {
        assert!(tested.contains(number), "no scenario tests {number}");
    }
}

/// The names behind `known: ` in an error's hint.
fn known(error: &str) -> Vec<String> {
    let list = error.rsplit_once("known: ").map_or("", |(_, list)| list);
    list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The row of a table in docs/scenarios.md whose first cell has this key.
fn row<'d>(document: &'d str, key: &str) -> Option<&'d str> {
    let cell = |line: &str| line.strip_prefix("| ")?.split(" | ").next().map(str::to_owned);
    document.lines().find(|line| cell(line).is_some_and(|keys| keys.contains(&format!("`{key}`"))))
}

/// What the program takes is what the document says, key by key.
#[test]
fn the_document_has_every_action_and_expectation_with_its_keys() {
    let document = include_str!("../../docs/scenarios.md");
    let power_off = "{ power-off = \"active\" }";
    let held = "{ held = { floating = \"web\", by = \"standby\", within = 1.5 } }";
    let mut keys = 0;
    for (from, least) in [(power_off, 29), (held, 13)] {
        let kinds = known(&slip(from, "{ zzz = 1 }"));
        assert!(kinds.len() >= least, "{kinds:?}");
        for kind in kinds {
            let row = row(document, &kind).unwrap_or_else(|| panic!("no row has `{kind}`"));
            // Those that take a name have no keys of their own.
            let of_kind = known(&slip(from, &format!("{{ {kind} = {{ zzz = 1 }} }}")));
            for key in of_kind.iter().filter(|key| from == power_off || !TIMES.contains(&&***key)) {
                let words = row.split(|c: char| !(c.is_alphanumeric() || c == '-'));
                assert!(words.into_iter().any(|word| word == key), "`{key}` of `{kind}`: {row}");
                keys += 1;
            }
        }
    }
    assert!(keys > 60, "{keys}");
}

/// What every expectation takes, said once.
const TIMES: [&str; 2] = ["within", "stays"];
