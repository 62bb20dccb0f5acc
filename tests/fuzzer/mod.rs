//! A fuzzer of the kind that needs no instrumented compiler: takes the files of
//! `tests/corpus/<parser>/`, changes them at random, and has a parser's properties
//! checked, always in the same order. What it finds it makes smaller and writes down.
//!
//! `IMAGEBUILD_FUZZ=SECONDS` has every parser tried for so long instead, from another
//! start each time; then the last input also lies in `target/fuzz/`, for faults that end
//! the whole process (a stack that overflows, memory that is not there).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod mutate;

use mutate::Random;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Inputs that are tried where a parser's test says nothing else: some seconds of one
/// processor for the slowest of them.
const ROUNDS: u64 = 4000;
/// How often what was found is tried smaller.
const SHRINKS: usize = 400;

/// One parser to be fuzzed.
#[derive(Debug, Clone)]
pub(crate) struct Fuzz {
    parser: &'static str,
    corpus: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
    rounds: u64,
}

impl Fuzz {
    /// With the corpus of `parser`, and words that mean something to it.
    pub(crate) fn of(parser: &'static str, tokens: &'static [&'static str]) -> Fuzz {
        let folder = root().join("tests/corpus").join(parser);
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let corpus = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        Fuzz { parser, corpus, tokens, rounds: ROUNDS }
    }

    /// With more to start from.
    #[allow(dead_code, reason = "not every parser has files elsewhere")]
    pub(crate) fn with(mut self, more: impl IntoIterator<Item = Vec<u8>>) -> Fuzz {
        self.corpus.extend(more);
        self
    }

    /// Fewer or more inputs, for parsers that are slow or quick.
    #[allow(dead_code, reason = "not every parser needs it")]
    pub(crate) fn rounds(self, rounds: u64) -> Fuzz {
        Fuzz { rounds, ..self }
    }

    /// Tries all: `check` panics where a property does not hold.
    #[track_caller]
    pub(crate) fn run(&self, check: impl Fn(&[u8])) {
        match std::env::var("IMAGEBUILD_FUZZ") {
            Ok(seconds) => {
                let seconds = seconds.parse().expect("IMAGEBUILD_FUZZ is seconds");
                self.run_long(Duration::from_secs(seconds), check);
            }
            Err(_) => self.run_rounds(check),
        }
    }

    #[track_caller]
    fn run_rounds(&self, check: impl Fn(&[u8])) {
        self.corpus.iter().for_each(|input| self.try_one(input, &check));
        (0..self.rounds).for_each(|round| self.try_one(&self.mutant(round), &check));
    }

    #[track_caller]
    fn run_long(&self, limit: Duration, check: impl Fn(&[u8])) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let (start, first) = (Instant::now(), now.as_nanos() as u64);
        let last = File::create(self.keep("last", b"")).unwrap();
        let mut round = first;
        while start.elapsed() < limit {
            let input = self.mutant(round);
            last.set_len(input.len() as u64).and_then(|()| last.write_all_at(&input, 0)).unwrap();
            self.try_one(&input, &check);
            round += 1;
        }
        eprintln!("{}: {} inputs", self.parser, round - first);
    }

    /// The input of a round: always the same.
    fn mutant(&self, round: u64) -> Vec<u8> {
        let name = self.parser.bytes().fold(0, |sum: u64, byte| sum * 31 + u64::from(byte));
        let mut random = Random::new(name ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.mutant(&self.corpus, self.tokens)
    }

    #[track_caller]
    fn try_one(&self, input: &[u8], check: &impl Fn(&[u8])) {
        let fails = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| check(input))).err();
        let Some(panic) = fails(input) else { return };
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let small = shrunk(input.to_vec(), |input| fails(input).is_some());
        std::panic::set_hook(hook);
        let path = self.keep("found", &small);
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let shown = String::from_utf8_lossy(&small[..small.len().min(400)]).into_owned();
        panic!(
            "{}: {text}\nthe input is in {}; once mended it belongs into tests/corpus/{}/:\n{shown:?}",
            self.parser,
            path.display(),
            self.parser
        );
    }

    fn keep(&self, what: &str, input: &[u8]) -> PathBuf {
        let folder = root().join("target/fuzz");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}-{what}", self.parser));
        std::fs::write(&path, input).unwrap();
        path
    }
}

/// A smaller input that fails as well: without pieces that are not needed for that.
fn shrunk(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut piece, mut tries) = (input.len().div_ceil(2), 0);
    while piece > 0 {
        let mut at = 0;
        while at < input.len() && tries < SHRINKS {
            tries += 1;
            let end = (at + piece).min(input.len());
            let smaller = [&input[..at], &input[end..]].concat();
            if fails(&smaller) {
                input = smaller;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_fuzzer_finds_what_is_there_and_makes_it_small() {
    let fuzz = Fuzz {
        parser: "self-test",
        corpus: vec![b"length = 12\n".to_vec(), b"other = 7\n".to_vec()],
        tokens: &["magic"],
        rounds: ROUNDS,
    };
    let finds = |wrong: fn(&[u8]) -> bool| {
        catch_unwind(|| fuzz.run_rounds(|input| assert!(!wrong(input), "planted"))).is_err()
    };
    assert!(finds(|input| input.windows(5).any(|some| some == b"magic")), "a token");
    let found = root().join("target/fuzz/self-test-found");
    assert_eq!(std::fs::read(&found).unwrap(), b"magic", "made small");
    assert!(finds(|input| input.windows(20).any(|some| some == b"18446744073709551616")));
    assert!(finds(|input| input.contains(&b'7') && input.starts_with(b"length")), "a splice");
    assert!(finds(|input| input.is_empty()));
    assert!(!finds(|_| false));
    std::fs::remove_file(found).unwrap();
}
