//! Rust source without its comments and literals, and the functions in it with their lengths.
//!
//! Not a parser: it needs to know only where code is, which braces match, and where `fn` stands.

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// Line of the word `fn`, from 1.
    pub(super) line: usize,
    /// Lines from there to the closing brace, both counted.
    pub(super) lines: usize,
}

/// The source with every comment, string and character literal blanked, line for line.
pub(super) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts here ends; the same place if none does.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at),
        'r' if !in_word || chars[at - 1] == 'b' => raw_string_end(chars, at),
        '\'' => char_end(chars, at),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| stop(*c)).map_or(chars.len(), |offset| from + offset)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) if depth == 1 => return i + 2,
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closes = |i: usize| {
        chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (open + 1..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |i| i + 1 + hashes)
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn char_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), Some(_)) => (find(chars, at + 3, |c| c == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Every function with a body, by source already blanked.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') {
            continue;
        }
        let name: String = code[at + 3..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if let Some(end) = body_end(bytes, at).filter(|_| !name.is_empty()) {
            let newlines = |range: &[u8]| range.iter().filter(|b| **b == b'\n').count();
            let (line, lines) = (newlines(&bytes[..at]) + 1, newlines(&bytes[at..end]) + 1);
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// The closing brace of the function whose `fn` is here; none for one without a body.
fn body_end(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut round, mut curly) = (0i32, 0i32);
    for (offset, byte) in bytes[from..].iter().enumerate() {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if round == 0 && curly == 0 => return None,
            b'{' => curly += 1,
            b'}' if curly == 1 && round == 0 => return Some(from + offset),
            b'}' => curly -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_no_code() {
        let source =
            "let a = \"todo!( \\\" {\"; // }\n/* { /* } */ */ let b = r#\"\"{\"#; '{' 'a: x";
        let code = code_only(source);
        assert!(!code.contains(['{', '}', '"']), "{code}");
        assert!(code.contains("let a =") && code.contains("let b =") && code.contains("'a: x"));
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source = "trait T {\n fn none(&self) -> [u8; 2];\n}\nfn two(\n a: &str,\n) {\n}\n\
                      impl X { fn one() { let c = '}'; } }\n";
        let found = functions(&code_only(source));
        let brief: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(brief, [("two", 4, 4), ("one", 8, 1)]);
    }

    #[test]
    fn any_prefix_of_a_source_is_scanned() {
        let source = include_str!("scan.rs");
        for end in (0..source.len()).step_by(97).filter(|end| source.is_char_boundary(*end)) {
            functions(&code_only(&source[..end]));
        }
    }
}
