//! Pure. One tree for TOML and JSONC, in which every key knows its line.
//!
//! **Owns** the syntax of project files. **Must not know** which keys mean something. **Enter at** [`parse`].

use std::ops::Range;

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged};
use toml_edit::{Document, Item, TableLike};

/// BOUND: real project files are a few KiB; a megabyte is a file given by mistake.
const MAX_BYTES: usize = 1 << 20;
/// BOUND: the deepest key Skerry knows lies 6 levels down; the JSONC parser recurses once per level.
const MAX_DEPTH: usize = 64;

/// How a project file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `wrangler.toml`
    Toml,
    /// `wrangler.jsonc`, `wrangler.json`
    Jsonc,
}

/// A value and the line it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// A value. Tables keep the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table, the line of the key, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

impl Value {
    /// What a person calls this kind of value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The same value as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => number.clone().into(),
            Self::Text(text) => text.clone().into(),
            Self::List(nodes) => nodes.iter().map(|node| node.value.to_json()).collect(),
            Self::Table(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.value.to_json())).collect(),
            ),
        }
    }
}

/// Where and why a text is not in its syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub(crate) struct SyntaxError {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// Reads a whole file; an empty one is an empty table.
pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Node, SyntaxError> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxError { line: 1, text: format!("the file is larger than {MAX_BYTES} bytes") });
    }
    let lines = Lines::of(text);
    match syntax {
        Syntax::Toml => parse_toml(text, &lines),
        Syntax::Jsonc => parse_jsonc(text, &lines),
    }
}

fn parse_toml(text: &str, lines: &Lines) -> Result<Node, SyntaxError> {
    let document = Document::parse(text).map_err(|error| SyntaxError {
        line: error.span().map_or(1, |span| lines.line(span.start)),
        text: error.message().trim().replace('\n', ", "),
    })?;
    let value = toml_table(document.as_table(), 1, lines);
    Ok(Node { line: 1, value })
}

fn toml_table(table: &dyn TableLike, line: usize, lines: &Lines) -> Value {
    let entries = table.iter().map(|(key, item)| {
        let key_line = line_of(table.key(key).and_then(toml_edit::Key::span), line, lines);
        Entry { key: key.to_owned(), line: key_line, node: toml_item(item, key_line, lines) }
    });
    Value::Table(entries.collect())
}

fn toml_item(item: &Item, line: usize, lines: &Lines) -> Node {
    let line = line_of(item.span(), line, lines);
    let value = match item {
        Item::None => Value::Null,
        Item::Value(value) => toml_value(value, line, lines),
        Item::Table(table) => toml_table(table, line, lines),
        Item::ArrayOfTables(tables) => Value::List(
            tables
                .iter()
                .map(|table| {
                    let line = line_of(table.span(), line, lines);
                    Node { line, value: toml_table(table, line, lines) }
                })
                .collect(),
        ),
    };
    Node { line, value }
}

fn toml_value(value: &toml_edit::Value, line: usize, lines: &Lines) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Number((*number.value()).into()),
        // JSON has no infinities; TOML does. They arrive as the text they were written as.
        toml_edit::Value::Float(number) => match serde_json::Number::from_f64(*number.value()) {
            Some(number) => Value::Number(number),
            None => Value::Text(number.value().to_string()),
        },
        toml_edit::Value::Boolean(flag) => Value::Flag(*flag.value()),
        toml_edit::Value::Datetime(time) => Value::Text(time.value().to_string()),
        toml_edit::Value::Array(values) => Value::List(
            values
                .iter()
                .map(|value| {
                    let line = line_of(value.span(), line, lines);
                    Node { line, value: toml_value(value, line, lines) }
                })
                .collect(),
        ),
        toml_edit::Value::InlineTable(table) => toml_table(table, line, lines),
    }
}

fn line_of(span: Option<Range<usize>>, otherwise: usize, lines: &Lines) -> usize {
    span.map_or(otherwise, |span| lines.line(span.start))
}

fn parse_jsonc(text: &str, lines: &Lines) -> Result<Node, SyntaxError> {
    check_depth(text, lines)?;
    let options = ParseOptions { allow_loose_object_property_names: false, ..ParseOptions::default() };
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| SyntaxError { line: error.line_display(), text: error.kind().to_string() })?;
    match &parsed.value {
        None => Ok(Node { line: 1, value: Value::Table(Vec::new()) }),
        Some(value) => jsonc_node(value, lines),
    }
}

fn jsonc_node(node: &ast::Value<'_>, lines: &Lines) -> Result<Node, SyntaxError> {
    let line = lines.line(node.start());
    let value = match node {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Flag(literal.value),
        ast::Value::NumberLit(literal) => match literal.value.parse() {
            Ok(number) => Value::Number(number),
            Err(_) => return Err(SyntaxError { line, text: format!("{} is not a number", literal.value) }),
        },
        ast::Value::StringLit(literal) => Value::Text(literal.value.to_string()),
        ast::Value::Array(array) => {
            let nodes: Result<_, _> = array.elements.iter().map(|element| jsonc_node(element, lines)).collect();
            Value::List(nodes?)
        }
        ast::Value::Object(object) => {
            let mut entries: Vec<Entry> = Vec::with_capacity(object.properties.len());
            for property in &object.properties {
                let (key, line) = (property.name.as_str(), lines.line(property.start()));
                if entries.iter().any(|entry| entry.key == key) {
                    return Err(SyntaxError { line, text: format!("{key:?} is given twice") });
                }
                entries.push(Entry { key: key.to_owned(), line, node: jsonc_node(&property.value, lines)? });
            }
            Value::Table(entries)
        }
    };
    Ok(Node { line, value })
}

/// Refuses a file that would make the recursive parser overflow its stack.
fn check_depth(text: &str, lines: &Lines) -> Result<(), SyntaxError> {
    let (mut depth, mut rest) = (0_usize, text.char_indices().peekable());
    while let Some((at, character)) = rest.next() {
        match character {
            '"' | '\'' => {
                while let Some((_, inner)) = rest.next() {
                    if inner == '\\' {
                        rest.next();
                    } else if inner == character {
                        break;
                    }
                }
            }
            '/' if rest.next_if(|(_, next)| *next == '/').is_some() => {
                while rest.next_if(|(_, next)| *next != '\n').is_some() {}
            }
            '/' if rest.next_if(|(_, next)| *next == '*').is_some() => {
                let end = text[at + 2..].find("*/").map_or(text.len(), |end| at + 2 + end + 2);
                while rest.next_if(|(next, _)| *next < end).is_some() {}
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(SyntaxError { line: lines.line(at), text: format!("nested deeper than {MAX_DEPTH} levels") });
        }
    }
    Ok(())
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line, counted from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(node: &'a Node, key: &str) -> &'a Entry {
        match &node.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_know_their_lines_in_both_syntaxes() {
        let toml = parse("name = \"a\"\n\n[env.staging]\nmain = 1\n", Syntax::Toml).unwrap();
        let staging = &entry(&entry(&toml, "env").node, "staging").node;
        assert_eq!(entry(staging, "main").line, 4);
        let json =
            parse("{\n  // a comment\n  \"env\": {\n \"staging\": { \"main\": [1,\n 2] } } }", Syntax::Jsonc).unwrap();
        assert_eq!(entry(&entry(&json, "env").node, "staging").line, 4);
    }

    #[test]
    fn both_syntaxes_read_to_the_same_values() {
        let toml = parse("a = [1, 2.5, true, \"x\", { b = 3 }]", Syntax::Toml).unwrap();
        let json = parse("{\"a\": [1, 2.5, true, \"x\", {\"b\": 3},]}", Syntax::Jsonc).unwrap();
        assert_eq!(toml.value.to_json(), json.value.to_json());
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        assert_eq!(parse("a = 1\nb = = 2\n", Syntax::Toml).unwrap_err().line, 2);
        assert_eq!(parse("{\n\"a\": 1\n\"b\" 2 }", Syntax::Jsonc).unwrap_err().line, 3);
        assert!(parse("{\"a\": 1, \"a\": 2}", Syntax::Jsonc).unwrap_err().text.contains("twice"));
    }

    #[test]
    fn a_file_nested_for_ever_is_refused_rather_than_overflowing_the_stack() {
        let error = parse(&"[".repeat(500_000), Syntax::Jsonc).unwrap_err();
        assert!(error.text.contains("nested deeper"), "{error}");
        assert!(parse("{ \"a\": \"[[[\" } // {{{{", Syntax::Jsonc).is_ok());
        assert!(parse(&format!("a = {}", "[".repeat(500_000)), Syntax::Toml).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_line_of_the_file(text in "(\\PC|[\\[\\]{}\"'/*:,=\\n\\\\#a1.]){0,80}") {
            for syntax in [Syntax::Toml, Syntax::Jsonc] {
                if let Err(error) = parse(&text, syntax) {
                    proptest::prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1);
                }
            }
        }
    }
}
