//! Templates that include templates: which ones a template reaches, and that it does
//! not reach itself. A name is the path in the project: `overlays/shared/head.j2`.

use crate::error::{Error, Place, Result};
use crate::names;
use crate::spec::Tree;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// The words that are followed by the name of another template.
const KEYWORDS: [&str; 4] = ["include", "import", "from", "extends"];

/// Templates by name, with their texts.
pub(crate) type Reached<'a> = BTreeMap<&'a str, &'a str>;

/// All that the template `name` reaches, with itself.
///
/// # Errors
/// When one is not there or not UTF-8, or includes one that led to it.
pub(crate) fn reached<'a>(tree: &'a Tree, name: &'a str, text: &'a str) -> Result<Reached<'a>> {
    let mut reached = Reached::new();
    follow(tree, name, text, &mut vec![name], &mut reached)?;
    Ok(reached)
}

fn follow<'a>(
    tree: &'a Tree,
    name: &'a str,
    text: &'a str,
    way: &mut Vec<&'a str>,
    reached: &mut Reached<'a>,
) -> Result<()> {
    reached.insert(name, text);
    for (wanted, span) in mentioned(text) {
        let at = |message: String| {
            Error::input(message).at(Place::of_span(Path::new(name), text, span.clone()))
        };
        let Some((wanted, file)) = tree.entry(wanted) else {
            return Err(at(format!("there is no template {wanted}")).hint(near(tree, wanted)));
        };
        way.push(wanted);
        if way.iter().filter(|one| **one == wanted).count() > 1 {
            let first = way.iter().position(|one| *one == wanted).unwrap_or(0);
            return Err(at(format!("the template {wanted} includes itself"))
                .detail(way[first..].join(" -> "))
                .hint("take one of these includes out"));
        }
        let text = std::str::from_utf8(&file.content)
            .map_err(|cause| at(format!("{wanted} is not UTF-8: {cause}")))?;
        follow(tree, wanted, text, way, reached)?;
        way.pop();
    }
    Ok(())
}

fn near(tree: &Tree, wanted: &str) -> String {
    let templates = tree.files().map(|(path, _)| path).filter(|path| path.ends_with(".j2"));
    match names::nearest(wanted, templates).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write its path in the project: `overlays/shared/head.j2`".to_owned(),
    }
}

/// Names in quotes after the words that include, with their places.
fn mentioned(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("{%") {
        let inner = &text[start + 2..];
        let Some(length) = inner.find("%}") else { break };
        let tag = &inner[..length];
        let words = tag.trim_start_matches(['-', '+']).trim_start();
        let Some(rest) = KEYWORDS.iter().find_map(|keyword| words.strip_prefix(keyword)) else {
            continue;
        };
        let Some(quote) = rest.trim_start().chars().next().filter(|c| ['"', '\''].contains(c))
        else {
            continue;
        };
        let Some(name) = rest.split(quote).nth(1) else { continue };
        let at = name.as_ptr() as usize - text.as_ptr() as usize;
        found.push((name, at..at + name.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_names_in_tags_only() {
        let text =
            "include \"no\" {%- include 'a.j2' -%}{% if include %}{% from \"b.j2\" import x %}";
        let names: Vec<&str> = mentioned(text).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.j2", "b.j2"]);
    }

    #[test]
    fn a_shared_template_may_be_included_twice() {
        let mut tree = Tree::default();
        tree.insert("overlays/x/b.j2", "{% include \"overlays/x/c.j2\" %}");
        tree.insert("overlays/x/c.j2", "c");
        let text = "{% include \"overlays/x/b.j2\" %}{% include \"overlays/x/c.j2\" %}{% include \"overlays/x/b.j2\" %}";
        let reached = reached(&tree, "overlays/x/a.j2", text).unwrap();
        assert_eq!(reached.len(), 3);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\{%|%\\}|include|\"|'|-| |é|.){0,30}") {
            drop(mentioned(&text));
        }
    }
}
