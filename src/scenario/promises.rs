//! The promises of docs/promises.md: the document is the list, so that what is promised
//! and what is tested cannot drift apart.

use std::collections::BTreeMap;

/// The document, as it was when the program was built.
const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/promises.md"));

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// `A4.1`, `All.2`.
    pub number: String,
    /// What is promised.
    pub text: String,
}

/// All promises, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promises(BTreeMap<String, Promise>);

impl Promises {
    /// Those of the document.
    pub fn built_in() -> Promises {
        Promises::of_document(DOCUMENT)
    }

    /// Those of a document: rows of tables whose first cell is a bold number,
    /// `| **A4.1** | text | ... |`.
    pub fn of_document(text: &str) -> Promises {
        let row = |line: &str| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let number = cells.next()?.strip_prefix("**")?.strip_suffix("**")?.to_owned();
            Some(Promise { number, text: cells.next()?.to_owned() })
        };
        let all = text.lines().filter_map(row);
        Promises(all.map(|promise| (promise.number.clone(), promise)).collect())
    }

    /// The promise with this number.
    pub fn get(&self, number: &str) -> Option<&Promise> {
        self.0.get(number)
    }

    /// All numbers, sorted: `A4.10` after `A4.9`.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        let mut all: Vec<&str> = self.0.keys().map(String::as_str).collect();
        all.sort_by_key(|number| (number.split('.').next(), number.len(), *number));
        all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_tables_are_promises() {
        let text = "# A4\n| # | promise | ours |\n|---|---|---|\n| **A4.1** | the other takes it | 1.5 s |\n| A4.9 | not bold |\n";
        let promises = Promises::of_document(text);
        assert_eq!(promises.numbers().collect::<Vec<_>>(), ["A4.1"]);
        assert_eq!(promises.get("A4.1").unwrap().text, "the other takes it");
    }

    #[test]
    fn the_document_promises_for_every_architecture() {
        let promises = Promises::built_in();
        for (architecture, count) in
            [("A1", 4), ("A2", 3), ("A3", 7), ("A4", 11), ("A5", 4), ("A6", 7)]
        {
            let numbers: Vec<String> = (1..=count).map(|n| format!("{architecture}.{n}")).collect();
            let there = promises.numbers().filter(|n| n.starts_with(&format!("{architecture}.")));
            assert_eq!(there.collect::<Vec<_>>(), numbers);
        }
        assert!(promises.get("All.1").is_some());
    }
}
