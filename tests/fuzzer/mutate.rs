//! What is done to an input: what damaged disks, cut connections, and people with an
//! editor and ideas do.

/// Larger inputs show nothing more, and cost time.
const LARGEST: usize = 1 << 16;

/// Numbers at which programs stumble.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e309",
    "99999999999999999999999999999999999999999",
];

/// The same as bytes, for lengths in headers.
const WORDS: [u64; 7] = [0, 1, 0x7f, 0xffff, 1 << 31, (1 << 60) + 1, u64::MAX];

/// Numbers that only look like chance (SplitMix64): a round is always the same.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `limit`; 0 where that is 0.
    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() % limit as u64) as usize }
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> Option<&'a T> {
        let at = self.below(all.len());
        all.get(at).copied()
    }

    /// A short range of `length` bytes; long ones are rare.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let most = 1 << self.below(11);
        let (start, count) = (self.below(length + 1), 1 + self.below(most));
        start..(start + count).min(length)
    }

    /// One of the corpus, changed in up to five places.
    pub(super) fn mutant(&mut self, corpus: &[Vec<u8>], tokens: &[&str]) -> Vec<u8> {
        let at = self.below(corpus.len());
        let mut input = corpus.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(5) {
            self.change(&mut input, corpus, tokens);
        }
        input.truncate(LARGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[&str]) {
        match self.below(12) {
            0 => self.flip(input),
            1 => drop(input.drain(self.range(input.len()))),
            2 => {
                let (from, to) = (self.range(input.len()), self.below(input.len() + 1));
                let again = input[from].to_vec();
                drop(input.splice(to..to, again));
            }
            3 => {
                let bytes: Vec<u8> = (0..=self.below(8)).map(|_| self.next() as u8).collect();
                self.put(input, &bytes);
            }
            4 => input.truncate(self.below(input.len() + 1)),
            5 => self.splice(input, corpus),
            6 | 7 => {
                let token = self.one_of(tokens).unwrap_or("\n");
                self.put(input, token.as_bytes());
            }
            8 | 9 => self.number(input),
            10 => self.lines(input),
            _ => self.word(input),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.below(input.len()), self.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    /// Puts bytes somewhere, before or in place of what is there.
    fn put(&mut self, input: &mut Vec<u8>, bytes: &[u8]) {
        let mut place = self.range(input.len());
        if self.below(2) == 0 {
            place.end = place.start;
        }
        drop(input.splice(place, bytes.iter().copied()));
    }

    /// The start of this one and the end of another.
    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(corpus.len());
        let Some(other) = corpus.get(at) else { return };
        input.truncate(self.below(input.len() + 1));
        input.extend(&other[self.below(other.len() + 1)..]);
    }

    /// Another number in the place of one in digits.
    fn number(&mut self, input: &mut Vec<u8>) {
        let starts = |at: &usize| {
            input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit())
        };
        let places: Vec<usize> = (0..input.len()).filter(starts).collect();
        let at = self.below(places.len());
        let Some(start) = places.get(at).copied() else { return };
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.one_of(&NUMBERS).unwrap_or("0");
        drop(input.splice(start..start + digits, number.bytes()));
    }

    /// Takes a line away, or puts it somewhere else as well.
    fn lines(&mut self, input: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            input.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let line = lines.remove(self.below(lines.len()));
        for _ in 0..self.below(3) {
            let to = self.below(lines.len() + 1);
            lines.insert(to, line.clone());
        }
        *input = lines.concat();
    }

    /// A number in 1, 2, 4 or 8 bytes, of either order, over what is there.
    fn word(&mut self, input: &mut [u8]) {
        let word = WORDS[self.below(WORDS.len())];
        let length = 1 << self.below(4);
        let at = self.below(input.len());
        let bytes = if self.below(2) == 0 {
            word.to_le_bytes()[..length].to_vec()
        } else {
            word.to_be_bytes()[8 - length..].to_vec()
        };
        input.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = new);
    }
}
