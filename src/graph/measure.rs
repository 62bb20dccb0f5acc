//! How wide a text will be, roughly, and where to break it: an SVG does neither.
//!
//! Whoever shows the drawing chooses the font, so widths are of a wide one.

/// Pixels that `text` takes at `size` pixels, on the safe side: DejaVu Sans, one of the
/// widest, takes 0.55 of the size for a letter of mixed text, more for figures.
pub(super) fn width(text: &str, size: f64) -> usize {
    (text.chars().count() as f64 * size * 0.6).ceil() as usize
}

/// `text` in lines of at most `room` pixels, broken at spaces; a word that is longer
/// than that stays whole.
pub(super) fn wrap(text: &str, size: f64, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_nothing() {
        let text = "load-balancer + heartbeat + web + monitor";
        let lines = wrap(text, 13.0, 200);
        assert_eq!(lines, ["load-balancer + heartbeat", "+ web + monitor"]);
        assert!(lines.iter().all(|line| width(line, 13.0) <= 200));
        assert_eq!(wrap("averylongword x", 10.0, 5), ["averylongword", "x"]);
    }
}
