//! A test tries what its name says, or says that it did not: read from the sources of all
//! tests. No test ends early; what a machine cannot try is a trial of tests/root/, which is
//! told as ignored; no program of the host is run that a machine may lack.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;
use std::path::Path;

/// Functions that may end early, as they leave no test untried: file, name and reason.
const MAY_END_EARLY: [(&str, &str, &str); 13] = [
    ("tests/cli/mirror.rs", "trouble", "what it ends with is the expectation of the other case"),
    ("tests/fuzz/spec.rs", "points_into", "the place is in another file, which is as it was"),
    ("tests/fuzz/spec.rs", "read_spec", "the input is accepted: nothing must point to it"),
    ("tests/fuzzer/mod.rs", "try_one", "the input has been tried and no check failed"),
    ("tests/fuzzer/mutate.rs", "lines", "an empty input has none to change"),
    ("tests/fuzzer/mutate.rs", "number", "the input has none to change"),
    ("tests/fuzzer/mutate.rs", "splice", "there is nothing to splice it with"),
    ("tests/machines/topologies.rs", "run_from_baseline", "the scenario has passed"),
    ("tests/machines/topologies.rs", "close", "no machines are open"),
    ("tests/machines/topologies.rs", "every_expectation_can_fail", "all is as the golden says"),
    ("tests/machines/topologies.rs", "note_times", "nobody wants a table"),
    ("tests/tiers/mod.rs", "add", "the quick tier has run it already"),
    ("src/netsim/stream.rs", "any_bytes_in_any_pieces", "the bytes are refused: none follow"),
];

/// Texts that have the word, of others: file and text.
const SKIPPED: [(&str, &str); 1] =
    [("tests/machines/seeds.rs", concat!("skip", "ped: SSH answers (no seed)"))];

/// The host's programs that tests run by their path, and why a machine that builds has them.
const HOST_PROGRAMS: [(&str, &str); 3] = [
    ("/bin/sh", "cargo's build scripts and linkers want it"),
    ("/usr/bin/git", "`imagebuild diff` asks it, and whoever has a clone has it"),
    ("/usr/bin/unshare", "of util-linux, which every distribution is made with"),
];

/// Files that ask who runs them, and why.
const ASK_FOR_ROOT: [(&str, &str); 5] = [
    ("tests/cli/harness.rs", "who is not root has mounts of his own in a user namespace"),
    ("tests/images/hidden_tools.rs", "as tests/cli/harness.rs"),
    (
        "tests/databases/main.rs",
        "only root has all users in its namespaces; it tells what is ignored",
    ),
    ("tests/root/main.rs", "only root makes users; it tells what is ignored"),
    ("tests/site/mod.rs", "as tests/cli/harness.rs"),
];

/// A function in a file's code.
struct Function {
    name: String,
    is_test: bool,
    returns: String,
    body: Range<usize>,
}

/// The early ends of a file: a line each, after the name of the function.
fn early_ends(file: &str, text: &str) -> Vec<(String, String)> {
    let code = code_of(text);
    let functions = functions(&code);
    let mut found = Vec::new();
    for function in &functions {
        let is_inside = |inner: &Function| {
            inner.body.start > function.body.start && inner.body.end < function.body.end
        };
        let nested: Vec<&Range<usize>> =
            functions.iter().filter(|inner| is_inside(inner)).map(|inner| &inner.body).collect();
        for (at, in_closure) in returns(&code, &function.body) {
            if nested.iter().any(|body| body.contains(&at)) {
                continue;
            }
            if is_early_end(file, function, &code[at + "return".len()..], in_closure) {
                let line = code[..at].matches('\n').count() + 1;
                let why = format!("{file}:{line}: `{}` ends early", function.name);
                found.push((function.name.clone(), why));
            }
        }
    }
    found
}

/// Of src/ only the tests are looked at; there, others may end as they like. A closure's
/// end is not its test's, unless it is one of those that give what a trial gives.
fn is_early_end(file: &str, function: &Function, rest: &str, in_closure: bool) -> bool {
    let as_passed = ["Ok(())", "Ok(Completion::Completed)"];
    let as_passed = as_passed.iter().any(|passed| rest.trim_start().starts_with(passed));
    let is_helper = file.starts_with("tests/") && function.returns.is_empty();
    let ends = !in_closure && (function.is_test || is_helper);
    ends || (as_passed && (function.is_test || file.starts_with("tests/")))
}

/// Where `return` stands in a body, and whether in a closure.
fn returns(code: &str, body: &Range<usize>) -> Vec<(usize, bool)> {
    let mut found = Vec::new();
    let mut blocks = Vec::new();
    for (at, c) in code[body.clone()].char_indices().map(|(at, c)| (body.start + at, c)) {
        match c {
            '{' => blocks.push(code[..at].trim_end().ends_with('|')),
            '}' => drop(blocks.pop()),
            'r' if is_word(code, at, "return") => {
                found.push((at, blocks.iter().any(|closure| *closure)));
            }
            _ => {}
        }
    }
    found
}

fn is_word(code: &str, at: usize, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code[at..].starts_with(word)
        && !code[..at].ends_with(part)
        && !code[at + word.len()..].starts_with(part)
}

fn functions(code: &str) -> Vec<Function> {
    let starts = code.match_indices("fn ").filter(|(at, _)| is_word(code, *at, "fn"));
    starts.filter_map(|(at, _)| function(code, at)).collect()
}

/// The function whose `fn` stands there; nothing for one without a body.
fn function(code: &str, at: usize) -> Option<Function> {
    let mut depth = 0;
    let mut arrow = None;
    let mut open = None;
    for (place, c) in code[at..].char_indices().map(|(place, c)| (at + place, c)) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '>' if depth == 0 && code[..place].ends_with('-') => arrow = Some(place + 1),
            ';' if depth == 0 => return None,
            '{' if depth == 0 => {
                open = Some(place);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let before = code[..at].rsplit(['{', '}', ';']).next().unwrap_or_default();
    let name = code[at + 3..].trim_start();
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    Some(Function {
        name: name.to_owned(),
        is_test: before.contains("#[test]"),
        returns: arrow.map_or("", |arrow| code[arrow..open].trim()).to_owned(),
        body: open..closing(code, open),
    })
}

/// The place of the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return open + at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The text with spaces, one a byte, for all that is in comments and literals.
fn code_of(text: &str) -> String {
    let (mut code, mut at) = (String::new(), 0);
    while let Some(c) = text[at..].chars().next() {
        let length = literal(&text[at..], &code);
        let end = at + length.max(c.len_utf8());
        if length == 0 && c.is_ascii() {
            code.push(c);
        } else {
            code.extend(text[at..end].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
        }
        at = end;
    }
    code
}

/// The length of the comment or literal that `text` begins with; 0 if it does with neither.
fn literal(text: &str, before: &str) -> usize {
    let up_to = |end: &str, from: usize| {
        text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return up_to("*/", 2);
    }
    let hashes = text.get(1..).map_or(0, |rest| rest.len() - rest.trim_start_matches('#').len());
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() && c != 'b');
    if text.starts_with('r') && !in_word && text[1 + hashes..].starts_with('"') {
        return up_to(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
    }
    if text.starts_with('"') {
        return string(text);
    }
    // Else it is a lifetime.
    let mut chars = text.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('\''), Some('\\'), _) => up_to("'", 3),
        (Some('\''), Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Lines of a file of tests/ that say that something is not tried, leave a test out without
/// a reason, or run a program that is not everywhere.
fn wrong_lines(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let known = SKIPPED.iter().any(|(of, text)| *of == file && line.contains(text));
        let mut say = |what: &str| wrong.push(format!("{file}:{}: {what}", number + 1));
        if line.contains(concat!("skip", "ped")) && !known {
            say("a test that cannot be tried is a trial of tests/root/");
        }
        if line.contains(concat!("#[ign", "ore]")) {
            say("a test is left out without a reason");
        }
        if line.contains(concat!("gete", "uid")) && ASK_FOR_ROOT.iter().all(|(of, _)| *of != file) {
            say("what only root can try is a trial of tests/root/");
        }
        let run = line.split_once(concat!("Program::", "new(\"/"));
        let run = run.and_then(|(_, rest)| rest.split('"').next()).map(|name| format!("/{name}"));
        if let Some(program) = run.filter(|p| HOST_PROGRAMS.iter().all(|(known, _)| known != p)) {
            say(&format!("a machine may have no {program}: run the lock's, by tests/tools"));
        }
    }
    wrong
}

/// The files of a folder, from the project's root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    walkdir::WalkDir::new(root.join(folder))
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|suffix| suffix == "rs"))
        .map(|entry| {
            let file = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            (file, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn no_test_ends_early() {
    let mut known: Vec<(&str, &str)> =
        MAY_END_EARLY.iter().map(|(file, name, _)| (*file, *name)).collect();
    let (mut wrong, all) = (Vec::new(), known.clone());
    for (file, text) in [sources("tests"), sources("src")].concat() {
        for (name, why) in early_ends(&file, &text) {
            known.retain(|entry| *entry != (&*file, &*name));
            if !all.contains(&(&*file, &*name)) {
                wrong.push(why);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known.is_empty(), "no early end is there any more: {known:?}");
}

#[test]
fn nothing_is_left_out_silently_and_no_host_is_asked() {
    let of = |(file, text): &(String, String)| wrong_lines(file, text);
    let wrong: Vec<String> = sources("tests").iter().flat_map(of).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_early_end_is_found() {
    let found = |text: &str| early_ends("tests/x.rs", text).len();
    let test = |body: &str| format!("/// return\n#[test]\nfn x() {{ let q = '\\''; {body} }}\n");
    for early in [
        "let Some(tool) = find() else { return };",
        "if no_root() { return; }",
        "if no_root() { eprintln!(\"{}\"); return }",
        "match find() { Some(x) => x, None => return }",
        "for x in all() { if x { return Ok(()); } }",
    ] {
        assert_eq!(found(&test(early)), 1, "{early}");
        assert_eq!(early_ends("src/x.rs", &test(early)).len(), 1, "{early}");
    }
    for fine in [
        "all().filter(|x| { if x { return true } false }).count();",
        "// return\n assert_eq!(text, \"else { return }\");",
        "assert_eq!(text, r#\"\"return;\"#); let returned = 1;",
        "fn f() -> u8 { return 1 }",
    ] {
        assert_eq!(found(&test(fine)), 0, "{fine}");
    }
    // What a test asks of others must not end early, either.
    assert_eq!(found("fn check(x: [u8; 3]) { let Some(x) = tool() else { return }; }"), 1);
    assert_eq!(found("fn find() -> Option<u8> { return None }"), 0);
    assert_eq!(found("fn trial() -> Result<(), Failed> { if x { return Ok(()); } Ok(()) }"), 1);
    assert_eq!(found("fn t() { Trial::test(\"x\", || { return Ok(()) }) }"), 1);
    assert_eq!(early_ends("src/x.rs", "fn f() { return }").len(), 0);
}

#[test]
fn a_test_left_out_and_a_program_of_the_host_are_found() {
    for wrong in [
        concat!("eprintln!(\"skip", "ped: no such tool\");"),
        concat!("    #[ign", "ore]"),
        concat!("Program::", "new(\"/usr/bin/qemu-img\").arg(\"check\")"),
        concat!("if nix::unistd::gete", "uid().is_root() {"),
    ] {
        assert_eq!(wrong_lines("tests/x.rs", wrong).len(), 1, "{wrong}");
    }
    for fine in [concat!("Program::", "new(\"/bin/sh\")"), "#[ignore = \"no moon\"]"] {
        assert_eq!(wrong_lines("tests/x.rs", fine), [""; 0], "{fine}");
    }
}
