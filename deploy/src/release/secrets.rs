//! Pure. Files of secrets.
//!
//! **Owns** their two syntaxes: a JSON object, and `NAME=VALUE` lines as in `.dev.vars`. **Must not know** where the
//! text comes from. **Enter at** [`read`].
//!
//! An error names a line or a name, and never shows what stands there.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The values by name; `None`, which only JSON can say, deletes.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, Option<String>>, String> {
    // A byte order mark, which Windows' editors write.
    let text = text.trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with('{') {
        return lines(text);
    }
    // Into values first: an error about a *type* would show the value; one about the syntax shows its place.
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("must be a JSON object: {error}"))?;
    let text_of = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, Some(text))),
        Value::Null => Ok((name, None)),
        _ => Err(format!("{name}: must be a text, in quotes")),
    };
    object.into_iter().map(text_of).collect()
}

/// As [`read`], where there is nothing to delete.
pub(super) fn values(text: &str) -> Result<BTreeMap<String, String>, String> {
    let given = |(name, value): (String, Option<String>)| match value {
        Some(value) => Ok((name, value)),
        None => Err(format!("{name}: must be a text; `skerry secret delete` deletes")),
    };
    read(text)?.into_iter().map(given).collect()
}

/// The syntax of the npm package `dotenv`, by which wrangler reads these files, save for what it does silently: a `#` in the
/// midst of a value without quotes, which cuts the value off there, and a line that is none are errors here, and `\\"` between
/// quotes is a quote.
fn lines(text: &str) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut secrets = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let at_line = |what| format!("line {number}: {what}");
        let line = rest.lines().next().unwrap_or_default();
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let (name, value) = name_of(line)
            .and_then(|name| rest.split_once('=').map(|(_, value)| (name, value)))
            .ok_or_else(|| at_line("must be NAME=VALUE, with letters, digits, `_`, `.` and `-` in the name"))?;
        let (value, after) = value_of(value).map_err(at_line)?;
        secrets.insert(name.to_owned(), Some(value));
        rest = after;
    }
    Ok(secrets)
}

fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    let fits = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

/// A value, and the lines after it.
fn value_of(text: &str) -> Result<(String, &str), &'static str> {
    let text = text.trim_start_matches([' ', '\t']);
    match text.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => {
            let inner = &text[1..];
            let end = end_of(inner, quote).ok_or("the quote is never closed")?;
            let tail = inner[end + 1..].lines().next().unwrap_or_default().trim_start();
            if !(tail.is_empty() || tail.starts_with('#')) {
                return Err("something follows the closing quote");
            }
            Ok((unescape(&inner[..end], quote), after_line(&inner[end + 1..])))
        }
        _ => {
            let line = text.lines().next().unwrap_or_default();
            let value = match line.find('#') {
                Some(at) if line[..at].trim_end().len() < at || at == 0 => &line[..at],
                Some(_) => return Err("put quotes around a value with a `#`, or a space before a comment"),
                None => line,
            };
            Ok((value.trim_end().to_owned(), after_line(text)))
        }
    }
}

/// Where the quote is closed. A backslash keeps it open.
fn end_of(inner: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    inner.char_indices().find_map(|(at, letter)| {
        let closes = letter == quote && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        closes.then_some(at)
    })
}

fn unescape(inner: &str, quote: char) -> String {
    let inner = inner.replace("\r\n", "\n").replace(&format!("\\{quote}"), &quote.to_string());
    if quote == '"' { inner.replace("\\n", "\n").replace("\\r", "\r") } else { inner }
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_json_and_from_lines() {
        let found = values("# comment\nA=1\nexport B = \"two\\nlines\"\nC='x=y'\n").unwrap();
        let expected = [("A", "1"), ("B", "two\nlines"), ("C", "x=y")];
        assert_eq!(found, BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned()))));
        assert_eq!(values("\u{feff}{\"A\": \"1\"}").unwrap()["A"], "1");
        assert_eq!(values("\u{feff}A=1").unwrap()["A"], "1");
        assert_eq!(read("{\"A\": null}").unwrap()["A"], None);
        assert!(values("A=1\nnonsense").unwrap_err().contains("line 2"));
    }

    #[test]
    fn lines_are_read_as_dotenv_reads_them() {
        let text = "A=abc # note\r\nB=\"abc\" # note\nC=\"-----BEGIN KEY-----\nx=y\n-----END KEY-----\"\nD='a # b'\nE=\nF=#\n\
                    G=`it's \"so\"`\nH=\"say \\\"hi\\\"\"\nI=  spaced  \nJ.K-L=a=b\n";
        let found = values(text).unwrap();
        let expected = [
            ("A", "abc"),
            ("B", "abc"),
            ("C", "-----BEGIN KEY-----\nx=y\n-----END KEY-----"),
            ("D", "a # b"),
            ("E", ""),
            ("F", ""),
            ("G", "it's \"so\""),
            ("H", "say \"hi\""),
            ("I", "spaced"),
            ("J.K-L", "a=b"),
        ];
        assert_eq!(found, BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    }

    #[test]
    fn a_line_that_could_be_read_in_two_ways_is_refused_by_its_number() {
        for (text, wrong) in [
            ("A=1\nB=secret#7777", "line 2: put quotes"),
            ("A=\"7777\nB=1", "line 1: the quote is never closed"),
            ("A=\"1\n2\"\nB='77' 77", "line 3: something follows"),
            ("A B=7777", "line 1: must be NAME=VALUE"),
            ("=7777", "line 1: must be NAME=VALUE"),
        ] {
            let error = values(text).unwrap_err();
            assert!(error.starts_with(wrong) && !error.contains("77"), "{text:?}: {error}");
        }
    }

    #[test]
    fn no_error_shows_a_value() {
        let wrong = [
            "{\"KEY\": 777777}",
            "{\"KEY\": 777777.5}",
            "{\"KEY\": [\"777777\"]}",
            "{\"KEY\": {\"a\": \"777777\"}}",
            "{\"KEY\": 777777x}",
            "{\"KEY\": \"777777}",
            "{\"KEY\" \"777777\"}",
            "KEY 777777",
        ];
        for text in wrong {
            let error = values(text).unwrap_err();
            assert!(!error.contains("7777"), "{error}");
            assert!(error.contains("KEY: must be a text") || error.contains("line 1"), "{error}");
        }
        assert!(values("{\"KEY\": null}").unwrap_err().contains("KEY: must be a text"));
    }
}
