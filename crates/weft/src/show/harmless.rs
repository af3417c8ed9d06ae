//! What others wrote, made harmless for a terminal: colours stay, everything else that would
//! steer it is shown.
//!
//! A workload's output, a name or a reason may hold sequences that move the cursor, set the
//! window's title, fill the clipboard or make the terminal answer, as if typed, into the user's
//! shell. They are shown in caret notation, as `cat -v` does. Called by everything that writes
//! to a terminal (`output`); what goes into a pipe or a file is left as it is.

use std::borrow::Cow;

/// Longest colour sequence taken for one: true colour for both grounds, with room to spare.
const COLOUR_MAX: usize = 64;

/// What turns colours off again.
const PLAIN: &str = "\x1b[0m";

/// Text of any number of lines with nothing in it that steers a terminal but colours. A line
/// that sets one ends without, so that it does not reach what follows.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut coloured = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match colour(rest) {
            Some(sequence) => {
                out += sequence;
                coloured = !matches!(sequence, "\x1b[m" | PLAIN);
                sequence.len()
            }
            None => {
                if c == '\n' && std::mem::take(&mut coloured) {
                    out += PLAIN;
                }
                show(c, &mut out);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    if coloured {
        out += PLAIN;
    }
    Cow::Owned(out)
}

/// One cell or value: a single line, without colours of its own.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) && c != '\t' && c != '\n' { c } else { ' ' }).collect()
}

fn show(c: char, out: &mut String) {
    match c {
        c if is_plain(c) => out.push(c),
        // `^[` for escape, `^G` for the bell, `^?` for delete.
        c if c.is_ascii() => out.extend(['^', char::from(c as u8 ^ 0x40)]),
        c => out.extend(c.escape_unicode()),
    }
}

fn is_plain(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Reordering: what is read would not be what is there.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        c => !c.is_control(),
    }
}

/// The colour sequence (ECMA-48 8.3.117, SGR) the text begins with.
fn colour(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("\x1b[")?;
    let parameter = |b: u8| b.is_ascii_digit() || matches!(b, b';' | b':');
    let end = inside.bytes().take(COLOUR_MAX).position(|b| !parameter(b))?;
    (inside.as_bytes()[end] == b'm').then(|| &text[..2 + end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_colours_stay() {
        for (text, shown) in [
            ("plain\ttext — äöü 漢字\n", "plain\ttext — äöü 漢字\n"),
            ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            ("\x1b[38:2::1:2:3mrgb\x1b[m", "\x1b[38:2::1:2:3mrgb\x1b[m"),
            ("\x1b[32mgreen\nnext", "\x1b[32mgreen\x1b[0m\nnext"),
            ("\x1b]0;title\x07", "^[]0;title^G"),
            ("\x1b]52;c;cm0=\x1b\\", "^[]52;c;cm0=^[\\"),
            ("\x1b[2J\x1b[H\x1b[6n", "^[[2J^[[H^[[6n"),
            ("\x1bP$q\"p\x1b\\\x1bc", "^[P$q\"p^[\\^[c"),
            ("\x1b[>4m\x1b[?25l\x1b[31 m", "^[[>4m^[[?25l^[[31 m"),
            ("\u{9b}31m\u{9d}0;t\u{9c}", "\\u{9b}31m\\u{9d}0;t\\u{9c}"),
            ("over\rwritten\x08\x7f", "over^Mwritten^H^?"),
            ("\u{202e}reversed", "\\u{202e}reversed"),
            ("\x1b[", "^[["),
        ] {
            assert_eq!(harmless(text), shown, "{text:?}");
        }
        let endless = format!("\x1b[{}m", "1;".repeat(COLOUR_MAX));
        assert!(harmless(&endless).starts_with("^[[1;"));
    }

    #[test]
    fn a_cell_is_one_line() {
        assert_eq!(one_line("a\nb\tc\x1b[31m\u{202e}d"), "a b c [31m d");
    }
}
