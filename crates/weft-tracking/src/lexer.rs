//! Words of filters and orders.

/// A word, and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned<'a> {
    pub(crate) word: Word<'a>,
    /// In characters, from 1.
    pub(crate) at: usize,
    /// As it was written.
    pub(crate) text: &'a str,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word<'a> {
    /// `metrics.loss`, `` tags.`a b` ``, `AND`, `"x"`: what it is, its place says.
    Name(&'a str),
    /// `'x'`, without its quotes and with doubled ones as one.
    Text(String),
    /// `-1.5e3`.
    Number(&'a str),
    /// `>=`.
    Sign(&'a str),
    Open,
    Close,
    Comma,
}

impl<'a> Spanned<'a> {
    /// Whether it is this keyword, in any case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self.word, Word::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    /// Of a name, the word before its first point, and its key without quotes.
    pub(crate) fn name(&self) -> Option<(Option<&'a str>, &'a str)> {
        let Word::Name(name) = self.word else { return None };
        Some(match bare(name).find('.') {
            Some(end) => (Some(plain(&name[..end])), plain(&name[end + 1..])),
            None => (None, plain(name)),
        })
    }

    /// The text that it is: in single or in double quotes.
    pub(crate) fn quoted(&self) -> Option<String> {
        match &self.word {
            Word::Text(text) => Some(text.clone()),
            Word::Name(name) if name.len() >= 2 && name.starts_with('"') && name.ends_with('"') => {
                Some(name[1..name.len() - 1].to_owned())
            }
            _ => None,
        }
    }
}

/// A name with what is quoted at its beginning blanked, so that points in it are none.
fn bare(name: &str) -> std::borrow::Cow<'_, str> {
    match name.chars().next() {
        Some(quote @ ('`' | '"')) => match name[1..].find(quote) {
            Some(end) => ("_".repeat(end + 2) + &name[end + 2..]).into(),
            None => name.into(),
        },
        _ => name.into(),
    }
}

/// A name without the quotes around it.
fn plain(name: &str) -> &str {
    ['`', '"']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(name)
}

/// The words of a text.
///
/// # Errors
/// A character that begins none, or a quote that does not end: which, where, and the rule.
pub(crate) fn words(text: &str) -> Result<Vec<Spanned<'_>>, String> {
    let (mut words, mut from) = (Vec::new(), 0);
    while let Some(first) = text[from..].chars().next() {
        if first.is_whitespace() {
            from += first.len_utf8();
            continue;
        }
        let rest = &text[from..];
        let at = text[..from].chars().count() + 1;
        let (length, word) =
            word(rest, first).map_err(|rule| format!("'{first}' at character {at}: {rule}"))?;
        words.push(Spanned { word, at, text: &rest[..length] });
        from += length;
    }
    Ok(words)
}

/// The word at the beginning, and how many bytes it takes.
fn word(rest: &str, first: char) -> Result<(usize, Word<'_>), &'static str> {
    match first {
        '(' => Ok((1, Word::Open)),
        ')' => Ok((1, Word::Close)),
        ',' => Ok((1, Word::Comma)),
        '\'' => text(rest),
        '=' | '!' | '<' | '>' => {
            let length = rest.find(|c| !matches!(c, '=' | '!' | '<' | '>')).unwrap_or(rest.len());
            Ok((length, Word::Sign(&rest[..length])))
        }
        '0'..='9' | '-' | '.' => number(rest),
        c if is_of_names(c) || c == '`' || c == '"' => name(rest),
        _ => Err("keys with such characters stand in backticks: metrics.`a/b`"),
    }
}

fn is_of_names(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Text in single quotes, in which a doubled one stands for one, as in SQL. MLflow keeps both, so
/// that nobody can look there for a text with one.
fn text(rest: &str) -> Result<(usize, Word<'_>), &'static str> {
    let (mut inner, mut chars) = (String::new(), rest.char_indices().skip(1).peekable());
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('\'', Some((_, '\''))) => {
                chars.next();
                inner.push(c);
            }
            ('\'', _) => return Ok((at + 1, Word::Text(inner))),
            _ => inner.push(c),
        }
    }
    Err("the quote does not end")
}

fn number(rest: &str) -> Result<(usize, Word<'_>), &'static str> {
    let rule = "a number is written as -1.5e3";
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = usize::from(rest.starts_with('-'));
    let whole = digits(end);
    end += whole;
    let mut part = 0;
    if rest[end..].starts_with('.') {
        part = digits(end + 1);
        end += 1 + part;
    }
    if whole + part == 0 {
        return Err(rule);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let power = digits(end + 1 + sign);
        if power == 0 {
            return Err(rule);
        }
        end += 1 + sign + power;
    }
    match rest[end..].chars().next() {
        Some(c) if is_of_names(c) => Err(rule),
        _ => Ok((end, Word::Number(&rest[..end]))),
    }
}

/// A name: parts with points between them, each as it is or in backticks or double quotes.
fn name(rest: &str) -> Result<(usize, Word<'_>), &'static str> {
    let mut end = 0;
    loop {
        match rest[end..].chars().next() {
            Some(quote @ ('`' | '"')) => {
                let inner = rest[end + 1..].find(quote).ok_or("the quote does not end")?;
                end += inner + 2;
            }
            Some(c) if is_of_names(c) => {
                end += rest[end..].find(|c| !is_of_names(c)).unwrap_or(rest.len() - end);
            }
            _ => return Err("a name does not end with a point"),
        }
        match rest[end..].starts_with('.') {
            true => end += 1,
            false => return Ok((end, Word::Name(&rest[..end]))),
        }
    }
}
