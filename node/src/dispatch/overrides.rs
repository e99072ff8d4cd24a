//! Pure. `Cloudflare-Workers-Version-Overrides`: a dictionary of RFC 8941 from service names to version ids.
//!
//! **Owns** the syntax. **Must not know** which versions exist. **Enter at** [`version_override`].
//!
//! As RFC 8941 section 4.2 demands, a header that is malformed anywhere is ignored as a whole, and of two members with
//! one key the last counts. One leniency: a key may begin with a digit, as service names may.

use skerry_proto::id::VersionId;

/// The version that the header names for `service`, if it is well-formed and does.
#[must_use]
pub fn version_override(header: &str, service: &str) -> Option<VersionId> {
    let mut parser = Parser { rest: header.trim_matches(' ') };
    let found = parser.dictionary(service)?;
    VersionId::new(&found?).ok()
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// The string under `wanted`; the outer `None` means malformed.
    fn dictionary(&mut self, wanted: &str) -> Option<Option<String>> {
        let mut found = None;
        while !self.rest.is_empty() {
            let key = self.key()?;
            // A key alone is the boolean true, whose parameters may follow.
            let value = if self.eat('=') { self.member()? } else { None };
            self.parameters()?;
            if key == wanted {
                found = value;
            }
            self.skip(&[' ', '\t']);
            if self.rest.is_empty() {
                break;
            }
            if !self.eat(',') {
                return None;
            }
            self.skip(&[' ', '\t']);
            if self.rest.is_empty() {
                return None;
            }
        }
        Some(found)
    }

    /// An item or inner list; only strings have a value here.
    fn member(&mut self) -> Option<Option<String>> {
        if !self.eat('(') {
            return self.bare_item();
        }
        loop {
            self.skip(&[' ']);
            if self.eat(')') {
                return Some(None);
            }
            self.bare_item()?;
            self.parameters()?;
            if !self.rest.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(';') {
            self.skip(&[' ']);
            self.key()?;
            if self.eat('=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a str> {
        if !self.rest.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit() || first == '*') {
            return None;
        }
        Some(self.take(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-' | '.' | '*')))
    }

    fn bare_item(&mut self) -> Option<Option<String>> {
        match self.rest.chars().next()? {
            '"' => self.string().map(Some),
            ':' => {
                self.rest = &self.rest[1..];
                self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
                self.eat(':').then_some(None)
            }
            '?' => {
                self.rest = &self.rest[1..];
                (self.eat('0') || self.eat('1')).then_some(None)
            }
            '-' | '0'..='9' => {
                self.eat('-');
                let digits = self.take(|c| c.is_ascii_digit() || c == '.');
                digits.parse::<f64>().is_ok().then_some(None)
            }
            'a'..='z' | 'A'..='Z' | '*' => {
                self.take(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
                Some(None)
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        loop {
            match characters.next()? {
                (at, '"') => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                (_, '\\') => match characters.next()? {
                    (_, escaped @ ('"' | '\\')) => text.push(escaped),
                    _ => return None,
                },
                (_, plain @ ' '..='~') => text.push(plain),
                _ => return None,
            }
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, blanks: &[char]) {
        self.rest = self.rest.trim_start_matches(blanks);
    }

    fn take(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b";
    const OTHER: &str = "00000000-0000-4000-8000-000000000000";

    fn found(header: &str) -> Option<String> {
        version_override(header, "app").map(String::from)
    }

    #[test]
    fn the_version_of_the_service_is_found_among_others() {
        for header in [
            format!("app=\"{ID}\""),
            format!("  app=\"{ID}\"  "),
            format!("other=\"{OTHER}\", app=\"{ID}\""),
            format!("app=\"{OTHER}\",\tapp=\"{ID}\";q=1;fresh"),
            format!("flag, n=-1.5, t=tok/en, b=:aGk=:, y=?1, l=(1 \"two\" three);p, app=\"{ID}\""),
        ] {
            assert_eq!(found(&header).as_deref(), Some(ID), "{header}");
        }
    }

    #[test]
    fn a_malformed_header_is_ignored_as_a_whole() {
        for tail in [
            ",",
            ", ",
            " app",
            ", =1",
            ", a=",
            ", a=\"x",
            ", a=\"\\n\"",
            ", a=(1",
            ", A=1",
            ", a=?2",
            "; =",
            ", a=\u{e9}",
        ] {
            assert_eq!(found(&format!("app=\"{ID}\"{tail}")), None, "{tail}");
        }
    }

    #[test]
    fn what_is_no_version_id_is_no_override() {
        for header in ["", "app", "app=1", "app=\"latest\"", "app=?1", "application=\"x\""] {
            assert_eq!(found(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "\\PC{0,60}") {
            let _found = found(&header);
        }

        #[test]
        fn a_valid_member_is_found_behind_any_other(key in "[a-z][a-z0-9_.*-]{0,8}", text in "[ !#-\\[\\]-~]{0,12}") {
            prop_assume!(key != "app");
            let header = format!("{key}=\"{text}\", app=\"{ID}\"");
            let version = found(&header);
            prop_assert_eq!(version.as_deref(), Some(ID));
        }
    }
}
