//! Names that people mistype: finds the nearest known one.

/// The known names nearest to `typed`, best first, none if all are far off.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&typed.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
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
}
