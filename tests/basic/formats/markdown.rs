//! The reference as Markdown: a table of keys for each table of the file.

use super::types::{Described, Form, Key, Shape, Types, Variant};
use std::collections::BTreeSet;

pub(super) fn render(types: &Types, title: &str, schema: &str, root: &str) -> String {
    let mut page = Page { types, seen: BTreeSet::new() };
    let Shape::Table(keys) = &types.0[root].shape else { panic!("{root} is no table") };
    format!(
        "# {title}\n\nRendered from the types that read these files. [{schema}]({schema}) is the same \
         for editors, as JSON\nschema. Keys in **bold** must be there.\n\n{}",
        page.keys("", keys)
    )
}

struct Page<'a> {
    types: &'a Types,
    /// Types that have a section already: what several keys have is told where it comes first.
    seen: BTreeSet<String>,
}

impl Page<'_> {
    /// A table of keys, and the sections of the tables in it. `path` is that of the keys.
    fn keys(&mut self, path: &str, keys: &[Key]) -> String {
        let rows: String = keys.iter().map(|key| self.row(key)).collect();
        let path_of = |key: &Key| {
            if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) }
        };
        let below: String = keys.iter().map(|key| self.below(&path_of(key), &key.form)).collect();
        let table = format!("| key | value | meaning |\n|---|---|---|\n{rows}");
        if keys.is_empty() { "It has no keys.\n".to_owned() } else { table + &below }
    }

    fn row(&self, key: &Key) -> String {
        let mark = if key.is_required { "**" } else { "" };
        let words = self.words(&key.form);
        format!("| {mark}`{}`{mark} | {words} | {} |\n", key.name, key.docs)
    }

    /// What the value looks like, in a few words.
    fn words(&self, form: &Form) -> String {
        let table = "tables, by name".to_owned();
        match form {
            Form::List(inner) => format!("list: {}", self.words(inner)),
            Form::Map(inner) => match &**inner {
                Form::Named(name) if self.is_table(name) => table,
                Form::Map(_) => table,
                Form::Named(_) | Form::List(_) => format!("by name: {}", self.words(inner)),
            },
            Form::Named(name) => match self.types.0.get(name).map(|one| &one.shape) {
                None => super::schema::leaf(name).0.to_owned(),
                Some(Shape::Alias(inner)) => self.words(inner),
                Some(Shape::Table(_)) => "table".to_owned(),
                Some(Shape::Choice(variants)) if variants.iter().all(|one| one.form.is_none()) => {
                    let names = variants.iter().map(|one| format!("`\"{}\"`", one.name));
                    names.collect::<Vec<_>>().join(", ")
                }
                Some(Shape::Choice(_)) => "one of those below".to_owned(),
            },
        }
    }

    fn is_table(&self, name: &str) -> bool {
        match self.types.0.get(name).map(|one| &one.shape) {
            Some(Shape::Alias(Form::Named(inner))) => self.is_table(inner),
            Some(Shape::Table(_)) => true,
            _ => false,
        }
    }

    /// The sections of what is in a key: `[path]`, `[[path]]`, `[path.NAME]`.
    fn below(&mut self, path: &str, form: &Form) -> String {
        match form {
            Form::List(inner) => match self.resolved(inner) {
                Some((name, described)) => {
                    self.section(path, &format!("[[{path}]]"), &name, &described)
                }
                None => self.below(path, inner),
            },
            Form::Map(inner) => self.below(&format!("{path}.NAME"), inner),
            Form::Named(_) => match self.resolved(form) {
                Some((name, described)) => {
                    self.section(path, &format!("[{path}]"), &name, &described)
                }
                None => String::new(),
            },
        }
    }

    /// The type behind a form, unless it is a leaf.
    fn resolved(&self, form: &Form) -> Option<(String, Described)> {
        let Form::Named(name) = form else { return None };
        let described = self.types.0.get(name)?;
        match &described.shape {
            Shape::Alias(inner) => self.resolved(inner),
            Shape::Table(_) | Shape::Choice(_) => Some((name.clone(), described.clone())),
        }
    }

    fn section(&mut self, path: &str, heading: &str, name: &str, described: &Described) -> String {
        if !self.seen.insert(name.to_owned()) {
            return String::new();
        }
        match &described.shape {
            Shape::Table(keys) => {
                // `[networks.<name>]`: the heading says it.
                let docs = Some(&described.docs).filter(|docs| !docs.starts_with("`["));
                let docs = docs.map(|docs| format!("{docs}\n\n")).unwrap_or_default();
                format!("\n## `{heading}`\n\n{docs}{}", self.keys(path, keys))
            }
            Shape::Choice(variants) => self.choice(path, &described.docs, variants),
            Shape::Alias(_) => String::new(),
        }
    }

    /// The section of a value that is one of several.
    fn choice(&mut self, path: &str, docs: &str, variants: &[Variant]) -> String {
        let row = |one: &Variant| match &one.form {
            None => format!("| `\"{}\"` | | {} |\n", one.name, one.docs),
            Some(form) => {
                format!("| `{{ {} = ... }}` | {} | {} |\n", one.name, self.words(form), one.docs)
            }
        };
        let rows: String = variants.iter().map(row).collect();
        let docs = if docs.is_empty() { String::new() } else { format!("{docs}\n\n") };
        let head = format!("\n## `{path}`\n\n{docs}| one of | value | meaning |\n|---|---|---|\n");
        let below = variants.iter().filter_map(|one| one.form.as_ref().map(|form| (one, form)));
        let below: String = below.map(|(one, form)| self.inline(&one.name, form)).collect();
        head + &rows + &below
    }

    /// The keys of a table that is written in one line, within a value.
    fn inline(&mut self, name: &str, form: &Form) -> String {
        match self.resolved(form) {
            Some((_, Described { shape: Shape::Table(keys), .. })) => {
                format!("\n### `{name}`\n\n{}", self.keys(name, &keys))
            }
            Some((of, described)) => self.section(name, name, &of, &described),
            None => String::new(),
        }
    }
}
