//! Pure. The user's own settings, `~/.config/skerry/config.toml`.
//!
//! **Owns** which settings there are. **Must not know** where the file lies. **Enter at** [`UserConfig::read`].
//!
//! The file holds a token, so what is wrong with it is told by line and key, never by showing what is written there.

use std::path::PathBuf;

use crate::project::section::{Findings, Section};
use crate::project::tree::{self, Syntax};

/// `~/.config/skerry/config.toml`
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct UserConfig {
    pub(super) api: Option<String>,
    pub(super) token: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    pub(super) account: Option<String>,
}

impl UserConfig {
    /// Reads the text of the file. The error has a line for every mistake.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let root = tree::parse(text, Syntax::Toml).map_err(|error| error.to_string())?;
        let findings = Findings::default();
        let config = Section::of(&root, String::new(), &findings).map(|mut section| {
            let mut text = |key| section.text(key).map(str::to_owned);
            let config = Self {
                api: text("api"),
                token: text("token"),
                token_file: text("token_file").map(PathBuf::from),
                ca: text("ca").map(PathBuf::from),
                account: text("account"),
            };
            section.finish();
            config
        });
        let mut errors = findings.errors.into_inner();
        errors.sort_by_key(|problem| problem.line);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() { Ok(config.unwrap_or_default()) } else { Err(errors.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_line_and_key_without_the_token() {
        for text in [
            "api = \"x\"\ntoken = hunter2",
            "api = \"x\"\ntoken = \"hunter2",
            "api = \"x\"\ntoken = [\"hunter2\"]",
            "api = \"x\"\ntoken = hunter2 # \"",
        ] {
            let error = UserConfig::read(text).unwrap_err();
            assert!(error.starts_with("line 2") && !error.contains("hunter"), "{text} gives {error}");
        }
        assert_eq!(
            UserConfig::read("tokn = \"hunter2\"\naccount = 77"),
            Err("line 1: tokn: unknown key; did you mean \"token\"?; line 2: account: must be a text, not a number"
                .to_owned())
        );
    }

    #[test]
    fn every_setting_is_optional() {
        assert_eq!(UserConfig::read(""), Ok(UserConfig::default()));
        let config = UserConfig::read("api = \"http://x\"\ntoken_file = \"t\"").unwrap();
        assert_eq!((config.api.as_deref(), config.token_file), (Some("http://x"), Some(PathBuf::from("t"))));
    }
}
