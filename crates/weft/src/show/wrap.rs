//! Text in the columns a terminal shows: how wide it is, and how it is broken into lines.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns a text takes: two for an ideograph, none for a combining mark.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text in lines of at most so many columns (at least 2, for an ideograph): broken between
/// words, and within one only where it is longer than a line. Its own line breaks stay.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let most = most.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let blank = usize::from(!line.is_empty());
            if columns(&line) + blank + columns(word) > most && blank > 0 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            let mut word = word;
            while columns(word) > most {
                let (head, tail) = word.split_at(fitting(word, most));
                lines.push(head.to_owned());
                word = tail;
            }
            line += word;
        }
        lines.push(line);
    }
    lines
}

/// The text's beginning that fits into so many columns.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..fitting(text, most)]
}

/// Bytes of the longest beginning that fits.
fn fitting(text: &str, most: usize) -> usize {
    let mut used = 0;
    let mut chars = text.char_indices();
    let over = chars.find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > most
    });
    over.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_nothing() {
        let text = "killed: used more than its 2 GB of memory; see \
                    /a/path/that/is/longer/than/a/line/of/the/box and 漢字漢字漢字漢字漢字漢字漢字";
        for most in 2..40 {
            let lines = wrap(text, most);
            assert!(lines.iter().all(|line| columns(line) <= most), "{most}: {lines:?}");
            let joined: String = lines.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>());
        }
        assert_eq!(wrap("one two\nthree", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(cut("漢字漢字", 5), "漢字");
    }
}
