//! Names that people mistype: finds the nearest known one.

/// The known names nearest to `typed`, best first, none if all are far off.
///
/// Two measures, as each misses what the other finds: edits (a swapped pair counts
/// as one) for short names and slips, Jaro-Winkler for a good start with a wrong end.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    let mut scored: Vec<(usize, f64, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let (edits, likeness) = likeness(&typed, &name.to_lowercase())?;
            Some((edits, likeness, name))
        })
        .collect();
    scored.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
    scored.into_iter().take(3).map(|(_, _, name)| name).collect()
}

/// Edits between the two (many, when only their starts are alike) and how alike
/// they are; nothing when they are far apart.
fn likeness(typed: &str, name: &str) -> Option<(usize, f64)> {
    let edits = strsim::damerau_levenshtein(typed, name);
    let likeness = strsim::jaro_winkler(typed, name);
    let slips = match typed.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    if edits <= slips {
        return Some((edits, likeness));
    }
    (likeness >= 0.75).then_some((usize::MAX, likeness))
}

/// "did you mean `x`?", or the whole list when nothing is near.
pub fn suggest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(typed, known.clone()).as_slice() {
        [] => {
            let mut all: Vec<&str> = known.into_iter().collect();
            all.sort_unstable();
            format!("known: {}", all.join(", "))
        }
        [one] => format!("did you mean `{one}`?"),
        [first, rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
            format!("did you mean `{first}`? (or {})", rest.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_or_lists_all() {
        assert_eq!(suggest("wbe1", ["web1", "database1"]), "did you mean `web1`?");
        assert_eq!(suggest("zzz", ["web1", "database1"]), "known: database1, web1");
    }

    #[test]
    fn finds_slips_in_short_names() {
        let roles = ["base", "web", "cache", "database", "heartbeat"];
        for (typed, name) in
            [("wbe", "web"), ("we", "web"), ("webb", "web"), ("WEB", "web"), ("cahce", "cache")]
        {
            assert_eq!(nearest(typed, roles).first(), Some(&name), "{typed}");
        }
        assert_eq!(nearest("dab", ["web"]), Vec::<&str>::new());
        assert_eq!(nearest("x", ["y"]), Vec::<&str>::new());
        assert_eq!(nearest("arhc4", ["arch1", "arch4"]), ["arch4", "arch1"]);
    }
}
