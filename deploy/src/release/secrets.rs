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

fn lines(text: &str) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut secrets = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {}: must be NAME=VALUE", number + 1))?;
        secrets.insert(name.trim().to_owned(), Some(unquote(value.trim())));
    }
    Ok(secrets)
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return if quote == '"' { inner.replace("\\n", "\n").replace("\\\"", "\"") } else { inner.to_owned() };
        }
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_json_and_from_lines() {
        let found = values("# comment\nA=1\nexport B = \"two\\nlines\"\nC='x=y'\n").unwrap();
        let expected = [("A", "1"), ("B", "two\nlines"), ("C", "x=y")];
        assert_eq!(found, BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned()))));
        assert_eq!(values("{\"A\": \"1\"}").unwrap()["A"], "1");
        assert_eq!(read("{\"A\": null}").unwrap()["A"], None);
        assert!(values("A=1\nnonsense").unwrap_err().contains("line 2"));
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
