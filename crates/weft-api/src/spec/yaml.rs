//! YAML text to a tree in which every value knows where it stands.
//!
//! Built on the events of `saphyr-parser`. Called by the reader beside it and nobody else. The
//! tree is bounded in size, depth and nodes, so that a hostile file costs no more than an honest
//! one: an alias is copied, and its copy counts. Absent on purpose: tags, merge keys, several
//! documents, keys that are not plain text.

use super::error::{Place, Rule, SpecError};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Largest file: a requirements text with hashes for a few hundred packages fits in it.
pub const FILE_MAX_BYTES: usize = 1 << 20;

/// Deepest nesting: the deepest legal value is four deep.
const DEPTH_MAX: usize = 16;

/// Most values in a file, copies of aliases included.
const NODES_MAX: usize = 10_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar { text: String, kind: Scalar },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) node: Node,
}

/// What a scalar is by YAML's core schema. Its text is kept as written: `3.10` stays `3.10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Bool,
    Int,
    Float,
    Text,
}

impl Node {
    /// The word for its sort, as messages use it.
    pub(super) fn sort(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar { kind, .. } => match kind {
                Scalar::Null => "empty",
                Scalar::Bool => "true or false",
                Scalar::Int | Scalar::Float => "a number",
                Scalar::Text => "text",
            },
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Node::count).sum(),
            Value::Map(entries) => entries.iter().map(|e| 1 + e.node.count()).sum(),
        }
    }
}

/// The bytes of a file as text, or where they are not.
pub fn decode(bytes: &[u8]) -> Result<&str, SpecError> {
    if bytes.len() > FILE_MAX_BYTES {
        let message = format!("the file has {} bytes, allowed are {FILE_MAX_BYTES}", bytes.len());
        return Err(SpecError::new(Rule::Limit, Place::START, message)
            .hint("put data and code beside it and name them under `files`"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        SpecError::new(Rule::Syntax, Place::end_of(good), "the file is not UTF-8 text here")
            .hint("save it as UTF-8")
    })?;
    match text.split_once('\0') {
        Some((before, _)) => {
            Err(SpecError::new(Rule::Syntax, Place::end_of(before), "the file has a NUL byte here")
                .hint("is this a text file?"))
        }
        None => Ok(text),
    }
}

/// The one document of a text as JSON, for small files that are no workloads; a map where it holds
/// nothing. Numbers that JSON cannot hold stay text.
///
/// # Errors
///
/// Where it is no YAML of the kind that a workload file can hold, or names a key twice.
pub fn yaml_to_json(text: &str) -> Result<serde_json::Value, SpecError> {
    Ok(load(text)?.map_or_else(|| serde_json::json!({}), as_json))
}

fn as_json(node: Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match node.value {
        Value::List(items) => Json::Array(items.into_iter().map(as_json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.into_iter().map(|it| (it.key, as_json(it.node))).collect())
        }
        Value::Scalar { text, kind } => match kind {
            Scalar::Null => Json::Null,
            Scalar::Bool => Json::Bool(text.eq_ignore_ascii_case("true")),
            Scalar::Int => text.parse::<i64>().map_or(Json::String(text), Json::from),
            Scalar::Float | Scalar::Text => Json::String(text),
        },
    }
}

/// The one document of a text; none where it holds nothing.
pub(super) fn load(text: &str) -> Result<Option<Node>, SpecError> {
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax_error(text, &error))?;
        let at = place(text, span);
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
        }
        if documents > 1 {
            return Err(SpecError::new(Rule::Syntax, at, "a second document starts here")
                .hint("a file describes one workload: put the other in a file of its own"));
        }
        builder.add(event, at)?;
    }
    Ok(builder.root)
}

fn syntax_error(text: &str, error: &saphyr_parser::ScanError) -> SpecError {
    let mark = error.marker();
    let at = place(text, Span::new(*mark, *mark));
    let line = text.lines().nth(at.line as usize - 1).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    if indent.contains('\t') {
        let column = indent.find('\t').unwrap_or_default() as u32 + 1;
        let at = Place { line: at.line, column, length: 1 };
        return SpecError::new(Rule::Syntax, at, "a tab is used for indentation")
            .hint("YAML indents with spaces only");
    }
    SpecError::new(Rule::Syntax, at, format!("this is not YAML: {}", error.info()))
}

fn place(text: &str, span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let length = match start.line() == end.line() {
        true => end.index().saturating_sub(start.index()),
        // The marked text goes on: the first line of it is enough to find it by.
        false => text
            .lines()
            .nth(start.line().saturating_sub(1))
            .map_or(1, |line| line.trim_end().chars().count().saturating_sub(start.col())),
    };
    Place {
        line: start.line().max(1) as u32,
        column: start.col() as u32 + 1,
        length: length.max(1) as u32,
    }
}

/// Puts events together to a tree.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

/// A list or map that has not ended.
struct Open {
    at: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)> },
}

impl Builder {
    fn add(&mut self, event: Event<'_>, at: Place) -> Result<(), SpecError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                let kind = if style == ScalarStyle::Plain { resolve(&text) } else { Scalar::Text };
                let value = Value::Scalar { text: text.into_owned(), kind };
                self.put(Node { at, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                self.enter(Open { at, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at)?;
                let content = Content::Map { entries: Vec::new(), key: None };
                self.enter(Open { at, anchor, content })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), SpecError> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("this is nested deeper than {DEPTH_MAX}");
            return Err(SpecError::new(Rule::Limit, open.at, message));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), SpecError> {
        let Some(Open { at, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.put(Node { at, value }, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Place) -> Result<(), SpecError> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(SpecError::new(Rule::Syntax, at, "this names what holds it"));
        };
        // Checked before the copy is made, so that copies of copies never pile up.
        self.nodes += node.count();
        if self.nodes > NODES_MAX {
            return Err(too_many(at));
        }
        let node = Node { at, value: node.value.clone() };
        self.put(node, 0)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), SpecError> {
        // The parts of a list or map were counted as they came.
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_many(node.at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, node }),
                None => *key = Some(as_key(entries, node)?),
            },
        }
        Ok(())
    }
}

fn too_many(at: Place) -> SpecError {
    SpecError::new(Rule::Limit, at, format!("the file has more than {NODES_MAX} values"))
        .hint("aliases count as often as they are used")
}

fn refuse_tag(tagged: bool, at: Place) -> Result<(), SpecError> {
    match tagged {
        true => Err(SpecError::new(Rule::Syntax, at, "YAML tags are not read")
            .hint("remove the part that starts with `!`")),
        false => Ok(()),
    }
}

fn as_key(entries: &[Entry], node: Node) -> Result<(String, Place), SpecError> {
    let Value::Scalar { text, .. } = node.value else {
        let message = format!("a key is {} here, it has to be text", node.sort());
        return Err(SpecError::new(Rule::Syntax, node.at, message));
    };
    if text == "<<" {
        return Err(SpecError::new(Rule::Syntax, node.at, "merge keys `<<` are not read")
            .hint("write the keys out"));
    }
    match entries.iter().find(|entry| entry.key == text) {
        Some(first) => {
            let message = format!("`{text}` is given twice");
            Err(SpecError::new(Rule::Syntax, node.at, message)
                .field(&text)
                .hint(format!("it was first given on line {}; keep one", first.at.line)))
        }
        None => Ok((text, node.at)),
    }
}

/// The sort of a plain scalar (YAML 1.2.2, §10.3.2, without octal and hexadecimal numbers).
fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Bool,
        _ if is_int(text) => Scalar::Int,
        _ if is_float(text) => Scalar::Float,
        _ => Scalar::Text,
    }
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let number = text.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c))
        && text.bytes().all(|b| b.is_ascii_digit() || b"-+.eE".contains(&b));
    number && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        load(text).unwrap_err().message
    }

    #[test]
    fn scalars_keep_their_text_and_know_their_sort() {
        let cases = [
            ("3.10", Scalar::Float),
            ("1e3", Scalar::Float),
            ("-7", Scalar::Int),
            ("true", Scalar::Bool),
            ("~", Scalar::Null),
            ("8..", Scalar::Text),
            ("off", Scalar::Text),
            ("'7'", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("nan", Scalar::Text),
            ("e5", Scalar::Text),
        ];
        for (text, expected) in cases {
            let node = load(text).unwrap().unwrap();
            let Value::Scalar { kind, .. } = node.value else { panic!("{text}") };
            assert_eq!(kind, expected, "{text}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_grow() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..30 {
            let line = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb += &format!("a{n}: &a{n} [{line}]\n");
        }
        assert!(message(&bomb).contains("more than 10000 values"));
        assert!(message(&"[".repeat(100)).contains("nested deeper"));
        let deep: String = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(message(&deep).contains("nested deeper"));
        assert!(message("a: &a [*a]").contains("names what holds it"));
    }

    #[test]
    fn what_is_not_read_says_so() {
        assert!(message("a: 1\na: 2").contains("given twice"));
        assert!(message("a: !!str x").contains("tags are not read"));
        assert!(message("a: 1\n---\nb: 2").contains("second document"));
        assert!(message("a:\n\tb: 1").contains("a tab is used"));
        assert!(message("? [a]\n: 1").contains("has to be text"));
        assert!(message("b: &x {c: 1}\na: {<<: *x}").contains("merge keys"));
        assert!(decode(b"a: \xff").unwrap_err().message.contains("not UTF-8"));
        assert_eq!(decode(b"a: 1\nb: \0").unwrap_err().at, Place { line: 2, column: 4, length: 1 });
        assert!(decode(&vec![b' '; FILE_MAX_BYTES + 1]).is_err());
        assert_eq!(decode(b"\xef\xbb\xbfa").unwrap(), "a");
    }
}
