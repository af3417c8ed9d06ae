//! Text becomes a filter, or an error that says where and what is expected there.

use super::{Comparison, Expression, Filter, Value};
use crate::cell::{Moment, Number};
use thiserror::Error;

/// Longest filter, in bytes, as it is written and as it is printed.
const LONGEST: usize = 4096;
/// How deep parentheses and `not` may stand in each other: each is a call of a function.
const DEEPEST: u32 = 32;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at letter {at}{}: {rule}", stands(.found))]
pub struct FilterError {
    /// Where, in letters from 1.
    pub at: usize,
    /// What stands there; empty at the end.
    pub found: String,
    /// What is expected there.
    pub rule: &'static str,
}

fn stands(found: &str) -> String {
    if found.is_empty() { ", the end".to_owned() } else { format!(", `{found}`") }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The place, what stands there, and the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(too_long());
        }
        let mut parser = Parser { tokens: tokens(text)?, next: 0, columns: Vec::new(), depth: 0 };
        let all = parser.filter()?;
        if parser.peek() != &Token::End {
            return Err(parser.error("`and`, `or` or the end is expected"));
        }
        let filter = Self { columns: parser.columns, all };
        // So that what is printed can be read.
        if filter.to_string().len() > LONGEST { Err(too_long()) } else { Ok(filter) }
    }
}

fn too_long() -> FilterError {
    FilterError { at: LONGEST, found: "…".into(), rule: "a filter has at most 4096 bytes" }
}

/// Whether a name needs no quotes.
pub(super) fn is_bare(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
    first && letters.all(is_inner)
}

fn is_inner(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.')
}

/// Words of the language, which are no names without quotes.
pub(super) fn is_word(name: &str) -> bool {
    const WORDS: [&str; 10] =
        ["and", "or", "not", "in", "is", "null", "like", "between", "true", "false"];
    WORDS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A word, in small letters.
    Word(String),
    Name(String),
    Text(String),
    Number(Number),
    Compare(Comparison),
    Open,
    Close,
    Comma,
    End,
}

struct Placed {
    token: Token,
    /// In letters, from 1.
    at: usize,
    source: String,
}

fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let mut lexer = Lexer { text, left: text };
    let mut tokens = Vec::new();
    loop {
        lexer.left = lexer.left.trim_start();
        let before = lexer.left;
        let at = text[..text.len() - before.len()].chars().count() + 1;
        let token = lexer.token()?;
        let source = before[..before.len() - lexer.left.len()].to_owned();
        let end = token == Token::End;
        tokens.push(Placed { token, at, source });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    left: &'a str,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Token, FilterError> {
        let Some(first) = self.left.chars().next() else { return Ok(Token::End) };
        match first {
            '(' => Ok(self.symbol(1, Token::Open)),
            ')' => Ok(self.symbol(1, Token::Close)),
            ',' => Ok(self.symbol(1, Token::Comma)),
            '<' | '>' | '=' | '!' => self.comparison(),
            '\'' => self.quoted('\'').map(Token::Text),
            '"' => match self.quoted('"')? {
                name if name.is_empty() => Err(self.error("a column's name is expected in `\"`")),
                name => Ok(Token::Name(name)),
            },
            '0'..='9' | '-' | '.' => self.number(),
            letter if letter.is_alphabetic() || letter == '_' => Ok(self.word()),
            _ => Err(self.error(
                "a column, a value or a parenthesis is expected; names with other letters stand \
                 in `\"`, text in `'`",
            )),
        }
    }

    fn symbol(&mut self, length: usize, token: Token) -> Token {
        self.left = &self.left[length..];
        token
    }

    fn comparison(&mut self) -> Result<Token, FilterError> {
        const ALL: [(&str, Comparison); 7] = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<>", Comparison::Unequal),
            ("!=", Comparison::Unequal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
            ("=", Comparison::Equal),
        ];
        if self.left.starts_with("==") {
            return Err(self.error("equal is one `=`"));
        }
        match ALL.iter().find(|(symbol, _)| self.left.starts_with(symbol)) {
            Some((symbol, by)) => Ok(self.symbol(symbol.len(), Token::Compare(*by))),
            None => Err(self.error("`not` or `!=` is expected")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, FilterError> {
        let mut text = String::new();
        let mut letters = self.left.char_indices().skip(1).peekable();
        while let Some((at, letter)) = letters.next() {
            if letter.is_control() {
                return Err(self.error("text in quotes has no control characters"));
            }
            if letter != quote {
                text.push(letter);
            } else if letters.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                self.left = &self.left[at + 1..];
                return Ok(text);
            }
        }
        Err(self.error("a quote has no end; one within text is written twice"))
    }

    fn number(&mut self) -> Result<Token, FilterError> {
        let mut before = ' ';
        let end = self.left.find(|letter: char| {
            let sign = matches!(letter, '-' | '+') && matches!(before, ' ' | 'e' | 'E');
            before = letter;
            !(sign || is_inner(letter))
        });
        let (number, left) = self.left.split_at(end.unwrap_or(self.left.len()));
        // `-5` is a number, `.5` and `5.` are none: they read badly.
        let digits = number.trim_start_matches('-');
        let shaped = digits.starts_with(|b: char| b.is_ascii_digit()) && !digits.ends_with('.');
        match Number::parse(number).filter(|_| shaped && number.len() - digits.len() <= 1) {
            Some(number) => {
                self.left = left;
                Ok(Token::Number(number))
            }
            None => Err(self.error("is no number: write `18`, `-0.5` or `2e3`")),
        }
    }

    fn word(&mut self) -> Token {
        let end = self.left.find(|letter| !is_inner(letter)).unwrap_or(self.left.len());
        let (word, left) = self.left.split_at(end);
        self.left = left;
        match word {
            word if is_word(word) => Token::Word(word.to_ascii_lowercase()),
            word => Token::Name(word.to_owned()),
        }
    }

    fn error(&self, rule: &'static str) -> FilterError {
        let at = self.text[..self.text.len() - self.left.len()].chars().count() + 1;
        FilterError { at, found: self.left.chars().take(20).collect(), rule }
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    columns: Vec<String>,
    depth: u32,
}

impl Parser {
    fn filter(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.all()?];
        while self.is_word("or") {
            parts.push(self.all()?);
        }
        let flat = parts.into_iter().flat_map(|part| match part {
            Expression::Or(parts) => parts,
            part => vec![part],
        });
        Ok(joined(flat.collect(), Expression::Or))
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.one()?];
        while self.is_word("and") {
            parts.push(self.one()?);
        }
        let flat = parts.into_iter().flat_map(|part| match part {
            Expression::And(parts) => parts,
            part => vec![part],
        });
        Ok(joined(flat.collect(), Expression::And))
    }

    fn one(&mut self) -> Result<Expression, FilterError> {
        if self.is_word("not") {
            let of = self.deeper(Self::one)?;
            return Ok(Expression::Not(Box::new(of)));
        }
        if self.is(&Token::Open) {
            let of = self.deeper(Self::filter)?;
            return match self.is(&Token::Close) {
                true => Ok(of),
                false => Err(self.error("`and`, `or` or `)` is expected")),
            };
        }
        self.test()
    }

    fn deeper(
        &mut self,
        read: fn(&mut Self) -> Result<Expression, FilterError>,
    ) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("parentheses and `not` stand in each other at most 32 deep"));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn test(&mut self) -> Result<Expression, FilterError> {
        let Token::Name(name) = self.peek().clone() else {
            return Err(self.error(match self.peek() {
                Token::Text(_) => "a column is expected first; its name has no quotes, or `\"`",
                Token::Number(_) => "a column is expected first: `age > 18`",
                Token::Word(_) => "a column is expected; a name that is a word stands in `\"`",
                _ => "a column is expected",
            }));
        };
        self.next += 1;
        let column = self.column(name);
        if let Token::Compare(by) = *self.peek() {
            self.next += 1;
            return Ok(Expression::Compare(column, by, self.value()?));
        }
        if self.is_word("is") {
            let not = self.is_word("not");
            return match self.is_word("null") {
                true => Ok(negated(not, Expression::IsNull(column))),
                false => Err(self.error("`null` or `not null` is expected")),
            };
        }
        let not = self.is_word("not");
        if self.is_word("in") {
            return Ok(negated(not, Expression::In(column, self.values()?)));
        }
        if self.is_word("between") {
            let least = self.value()?;
            if !self.is_word("and") {
                return Err(self.error("`and` and the greatest value is expected"));
            }
            return Ok(negated(not, Expression::Between(column, least, self.value()?)));
        }
        if self.is_word("like") {
            let Token::Text(pattern) = self.peek().clone() else {
                return Err(self.error("a text in `'` is expected: `like 'Gr%'`"));
            };
            self.next += 1;
            return Ok(negated(not, Expression::Like(column, pattern)));
        }
        Err(self.error("`=`, `!=`, `<`, `in`, `between`, `like` or `is` is expected"))
    }

    fn values(&mut self) -> Result<Vec<Value>, FilterError> {
        if !self.is(&Token::Open) {
            return Err(self.error("`(` is expected: `in ('Graz', 'Wien')`"));
        }
        let mut values = vec![self.value()?];
        while self.is(&Token::Comma) {
            values.push(self.value()?);
        }
        match self.is(&Token::Close) {
            true => Ok(values),
            false => Err(self.error("`,` or `)` is expected")),
        }
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        let value = match self.peek() {
            Token::Number(number) => Value::Number(*number),
            Token::Text(text) => Value::Text(text.clone(), Moment::parse(text)),
            Token::Word(word) if word == "true" => Value::Truth(true),
            Token::Word(word) if word == "false" => Value::Truth(false),
            Token::Word(word) if word == "null" => {
                return Err(self.error("nothing is equal to null: write `is null`"));
            }
            Token::Name(_) => {
                return Err(self.error("a value is expected; text stands in `'`"));
            }
            _ => return Err(self.error("a value is expected")),
        };
        self.next += 1;
        Ok(value)
    }

    fn column(&mut self, name: String) -> usize {
        let known = self.columns.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            self.columns.push(name);
            self.columns.len() - 1
        })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn is(&mut self, token: &Token) -> bool {
        let is = self.peek() == token;
        self.next += usize::from(is);
        is
    }

    fn is_word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Token::Word(found) if found == word);
        self.next += usize::from(is);
        is
    }

    fn error(&self, rule: &'static str) -> FilterError {
        let Placed { at, source, .. } = &self.tokens[self.next];
        FilterError { at: *at, found: source.chars().take(20).collect(), rule }
    }
}

fn joined(mut parts: Vec<Expression>, by: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() == 1 { parts.remove(0) } else { by(parts) }
}

fn negated(not: bool, of: Expression) -> Expression {
    if not { Expression::Not(Box::new(of)) } else { of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let cases = [
            ("age>=18", "age >= 18"),
            ("age >= 18 AND city IN ('Graz','Wien') and not (x is null)", ""),
            ("not (x is null)", "x is not null"),
            ("not x = 1", "not (x = 1)"),
            ("not not x = 1", "not (not (x = 1))"),
            ("(a = 1 or b <> 2) and c = 3", "(a = 1 or b != 2) and c = 3"),
            ("a = 1 or (b = 2 or c = 3)", "a = 1 or b = 2 or c = 3"),
            ("((a = 1))", "a = 1"),
            ("\"of \"\"it\" = 'it''s'", "\"of \"\"it\" = 'it''s'"),
            ("\"and\" = true", "\"and\" = true"),
            ("\"age\" = 1.0", "age = 1.0"),
            ("a = 1e300 and b = -0.5", "a = 1e300 and b = -0.5"),
            ("größe not between 1 and 2", "größe not between 1 and 2"),
            ("a.b not like '%x_'", "a.b not like '%x_'"),
        ];
        for (text, wanted) in cases {
            let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let printed = filter.to_string();
            assert!(wanted.is_empty() || printed == wanted, "{text}: {printed}");
            assert_eq!(Filter::parse(&printed).as_ref(), Ok(&filter), "{text}: {printed}");
        }
    }

    #[test]
    fn errors_name_the_place_and_what_is_expected() {
        let cases = [
            ("", "at letter 1, the end: a column is expected"),
            ("age >> 18", "at letter 6, `>`: a value is expected"),
            ("age == 18", "at letter 5, `== 18`: equal is one `=`"),
            ("x = null", "at letter 5, `null`: nothing is equal to null: write `is null`"),
            ("city = Graz", "at letter 8, `Graz`: a value is expected; text stands in `'`"),
            ("ü = 'a", "at letter 5, `'a`: a quote has no end; one within text is written twice"),
            ("a = 1 b = 2", "at letter 7, `b`: `and`, `or` or the end is expected"),
            ("(a = 1", "at letter 7, the end: `and`, `or` or `)` is expected"),
            ("a = 1.2.3", "at letter 5, `1.2.3`: is no number: write `18`, `-0.5` or `2e3`"),
            ("18 < age", "at letter 1, `18`: a column is expected first: `age > 18`"),
            ("a = 1e999", "at letter 5, `1e999`: is no number: write `18`, `-0.5` or `2e3`"),
            ("a in ()", "at letter 7, `)`: a value is expected"),
            ("a is 1", "at letter 6, `1`: `null` or `not null` is expected"),
            (
                "a; drop",
                "at letter 2, `; drop`: a column, a value or a parenthesis is expected; \
              names with other letters stand in `\"`, text in `'`",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(Filter::parse(text).unwrap_err().to_string(), wanted, "{text}");
        }
        let deep = format!("{}a = 1{}", "(".repeat(33), ")".repeat(33));
        assert!(Filter::parse(&deep).unwrap_err().rule.contains("32 deep"));
        assert!(Filter::parse(&deep[1..deep.len() - 1]).is_ok());
        assert!(Filter::parse(&"not ".repeat(900)).is_err());
        assert!(Filter::parse(&format!("a = '{}'", "x".repeat(4096))).is_err());
    }
}
