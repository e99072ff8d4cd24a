//! Pure. Reads one table of a project file and refuses what nobody asked for.
//!
//! **Owns** the wording of what is wrong with a key. **Must not know** which keys exist. **Enter at** [`Section`].
//!
//! Every reader notes what is wrong and goes on, so that one run names every mistake of the file.

use std::cell::RefCell;
use std::fmt;

use super::tree::{Entry, Node, Value};

/// Something wrong, or worth telling, about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The whole path, as in `env.staging.vars`.
    pub(crate) key: String,
    pub(crate) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.text)
    }
}

/// What was found while reading a file.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: RefCell<Vec<Problem>>,
    pub(crate) notices: RefCell<Vec<Problem>>,
}

/// A table being read. [`Section::finish`] reports the keys that nothing asked for.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    path: String,
    line: usize,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    findings: &'a Findings,
}

impl<'a> Section<'a> {
    /// Begins to read `node`, which must be a table.
    pub(crate) fn of(node: &'a Node, path: String, findings: &'a Findings) -> Option<Self> {
        match &node.value {
            Value::Table(entries) => Some(Self { path, line: node.line, entries, asked: Vec::new(), findings }),
            other => {
                let text = format!("must be a table, not {}", other.kind());
                findings.errors.borrow_mut().push(Problem { line: node.line, key: path, text });
                None
            }
        }
    }

    /// Whether `key` is there, whatever it is.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The value of `key` as it stands. JSON's `null` counts as absent.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) => Some(text),
            other => self.wrong_kind(key, node.line, "a text", other),
        }
    }

    /// A text that `parse` accepts; its error becomes the problem's text.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let line = self.line_of(key);
        match parse(self.text(key)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(key, line, error.to_string());
                None
            }
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.value {
            Value::Flag(flag) => Some(*flag),
            other => self.wrong_kind(key, node.line, "true or false", other),
        }
    }

    /// A whole number of at least 0.
    pub(crate) fn whole(&mut self, key: &'static str) -> Option<u64> {
        let node = self.node(key)?;
        match &node.value {
            Value::Number(number) if number.as_u64().is_some() => number.as_u64(),
            other => self.wrong_kind(key, node.line, "a whole number", other),
        }
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let nodes = self.nodes(key)?;
        let mut texts = Vec::with_capacity(nodes.len());
        for node in nodes {
            match &node.value {
                Value::Text(text) => texts.push(text.clone()),
                other => return self.wrong_kind(key, node.line, "a list of texts", other),
            }
        }
        Some(texts)
    }

    /// A list, whatever it holds.
    pub(crate) fn nodes(&mut self, key: &'static str) -> Option<&'a [Node]> {
        let node = self.node(key)?;
        match &node.value {
            Value::List(nodes) => Some(nodes),
            other => self.wrong_kind(key, node.line, "a list", other),
        }
    }

    /// A table of texts, in the order of the file.
    pub(crate) fn text_table(&mut self, key: &'static str) -> Option<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        for entry in self.table(key)? {
            match &entry.node.value {
                Value::Text(text) => pairs.push((entry.key.clone(), text.clone())),
                other => {
                    let text = format!("must be a text, not {}", other.kind());
                    self.refuse(&format!("{key}.{}", entry.key), entry.line, text);
                }
            }
        }
        Some(pairs)
    }

    /// A table with keys of the user's choosing.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<&'a [Entry]> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(entries) => Some(entries),
            other => self.wrong_kind(key, node.line, "a table", other),
        }
    }

    /// A table with known keys.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let path = self.path_of(key);
        Section::of(self.node(key)?, path, self.findings)
    }

    /// A list of tables with known keys.
    pub(crate) fn sections(&mut self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let path = self.path_of(key);
        let findings = self.findings;
        let nodes = self.nodes(key)?;
        let sections = nodes.iter().enumerate();
        Some(sections.filter_map(|(place, node)| Section::of(node, format!("{path}[{place}]"), findings)).collect())
    }

    /// Begins to read a table that lies inside this one, at `path` from here.
    pub(crate) fn inner(&self, node: &'a Node, path: String) -> Option<Section<'a>> {
        Section::of(node, self.path_of(&path), self.findings)
    }

    /// As [`Section::text`], and refuses its absence.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<&'a str> {
        if !self.has(key) {
            self.asked.push(key);
            self.refuse(key, self.line, "is required".to_owned());
            return None;
        }
        self.text(key)
    }

    /// Says that `key` is wrong.
    pub(crate) fn refuse(&self, key: &str, line: usize, text: String) {
        self.findings.errors.borrow_mut().push(Problem { line, key: self.path_of(key), text });
    }

    /// Accepts `key`, and says so when it is there: it changes nothing here.
    pub(crate) fn ignore(&mut self, key: &'static str, why: &str) {
        self.asked.push(key);
        if self.has(key) {
            self.notice(key, why.to_owned());
        }
    }

    /// Says something of `key` that is no mistake.
    pub(crate) fn notice(&self, key: &'static str, text: String) {
        let problem = Problem { line: self.line_of(key), key: self.path_of(key), text };
        self.findings.notices.borrow_mut().push(problem);
    }

    /// Refuses `key` when it is there, with a better reason than that it is unknown.
    pub(crate) fn forbid(&mut self, key: &'static str, why: &str) {
        self.asked.push(key);
        if self.has(key) {
            self.refuse(key, self.line_of(key), why.to_owned());
        }
    }

    /// Refuses every key that was not asked for.
    pub(crate) fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            let text = match nearest(&entry.key, &self.asked) {
                Some(known) => format!("unknown key; did you mean {known:?}?"),
                None => "unknown key".to_owned(),
            };
            self.refuse(&entry.key, entry.line, text);
        }
    }

    /// The line of `key`, or of the table when it is absent.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.line, |entry| entry.line)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong_kind<T>(&self, key: &str, line: usize, wanted: &str, found: &Value) -> Option<T> {
        self.refuse(key, line, format!("must be {wanted}, not {}", found.kind()));
        None
    }
}

/// The known key that `word` is probably a slip of.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|key| (strsim::damerau_levenshtein(word, key), *key));
    let (distance, key) = scored.min()?;
    // A third of the word may be wrong: "vras" is "vars", but "foo" is not "kv".
    (distance <= word.chars().count().max(3) / 3).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Syntax, parse};
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_its_likely_meaning() {
        let node = parse("name = \"a\"\n\nvras = 1\nzzz = 2", Syntax::Toml).unwrap();
        let findings = Findings::default();
        let mut section = Section::of(&node, "env.staging".to_owned(), &findings).unwrap();
        section.text("name");
        section.table("vars");
        section.finish();
        let errors: Vec<String> = findings.errors.borrow().iter().map(Problem::to_string).collect();
        assert_eq!(
            errors,
            ["line 3: env.staging.vras: unknown key; did you mean \"vars\"?", "line 4: env.staging.zzz: unknown key"]
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_line() {
        let node = parse("a = [1]\nb = 2", Syntax::Toml).unwrap();
        let findings = Findings::default();
        let mut section = Section::of(&node, String::new(), &findings).unwrap();
        assert_eq!(section.texts("a"), None);
        assert_eq!(section.flag("b"), None);
        assert_eq!(section.required("c"), None);
        let errors: Vec<String> = findings.errors.borrow().iter().map(Problem::to_string).collect();
        assert_eq!(
            errors,
            [
                "line 1: a: must be a list of texts, not a number",
                "line 2: b: must be true or false, not a number",
                "line 1: c: is required"
            ]
        );
    }
}
