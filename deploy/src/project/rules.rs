//! Pure. Which files become which kind of module.
//!
//! **Owns** module kinds, their content types and the globs that choose them. **Must not know** the file system.
//! **Enter at** [`Rules`].

/// What a module is to the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModuleKind {
    Esm,
    /// CommonJS; the bundler turns it into ES modules, so it is never uploaded as such.
    CommonJs,
    /// The older `addEventListener("fetch")` script.
    Script,
    Text,
    Data,
    Json,
    Wasm,
    Component,
    SourceMap,
}

impl ModuleKind {
    /// The kind a rule's `type` names.
    pub(crate) fn of_rule(name: &str) -> Option<Self> {
        Some(match name {
            "ESModule" => Self::Esm,
            "CommonJS" => Self::CommonJs,
            "CompiledWasm" => Self::Wasm,
            "Text" => Self::Text,
            "Data" => Self::Data,
            "Json" | "JSON" => Self::Json,
            _ => return None,
        })
    }

    /// The content type of the module's part in an upload.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Esm => "application/javascript+module",
            Self::Script | Self::CommonJs => "application/javascript",
            Self::Text => "text/plain",
            Self::Data => "application/octet-stream",
            Self::Json => "application/json",
            Self::Wasm => "application/wasm",
            Self::Component => "application/wasm+component",
            Self::SourceMap => "application/source-map",
        }
    }

    /// A word for tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Esm => "esm",
            Self::CommonJs => "cjs",
            Self::Script => "script",
            Self::Text => "text",
            Self::Data => "data",
            Self::Json => "json",
            Self::Wasm => "wasm",
            Self::Component => "component",
            Self::SourceMap => "source map",
        }
    }
}

/// A line of `rules`: the first that matches a file decides, unless an earlier one of its kind stops the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) kind: ModuleKind,
    pub(crate) globs: Vec<String>,
    /// Whether later rules of the same kind still count.
    pub(crate) fallthrough: bool,
}

/// The project's rules followed by wrangler's defaults.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// A project's rule of a kind without `fallthrough` switches the default of that kind off, as in wrangler.
    pub(crate) fn new(project: &[Rule]) -> Self {
        let defaults = [
            (ModuleKind::Text, vec!["**/*.txt", "**/*.html", "**/*.sql"]),
            (ModuleKind::Data, vec!["**/*.bin"]),
            (ModuleKind::Wasm, vec!["**/*.wasm", "**/*.wasm?module"]),
        ];
        let mut rules = project.to_vec();
        for (kind, globs) in defaults {
            if !project.iter().any(|rule| rule.kind == kind && !rule.fallthrough) {
                let globs = globs.into_iter().map(str::to_owned).collect();
                rules.push(Rule { kind, globs, fallthrough: true });
            }
        }
        Self(rules)
    }

    /// The kind of the module at `path`, written with `/` and relative to the entry's folder or as imported.
    pub(crate) fn kind_of(&self, path: &str) -> Option<ModuleKind> {
        let path = path.trim_start_matches("./").trim_start_matches("../");
        let rule = self.0.iter().find(|rule| rule.globs.iter().any(|glob| matches(glob, path)))?;
        Some(rule.kind)
    }
}

fn matches(glob: &str, path: &str) -> bool {
    let glob = glob.trim_start_matches("./");
    // In wrangler's defaults a `?` is the start of a query (`x.wasm?module`), not "any one character".
    match glob.split_once('?') {
        Some((file, query)) => {
            path.split_once('?').is_some_and(|(path, given)| given == query && fast_glob::glob_match(file, path))
        }
        None => fast_glob::glob_match(glob, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_take_text_data_and_wasm_at_any_depth() {
        let rules = Rules::new(&[]);
        assert_eq!(rules.kind_of("./page.html"), Some(ModuleKind::Text));
        assert_eq!(rules.kind_of("a/b/c.bin"), Some(ModuleKind::Data));
        assert_eq!(rules.kind_of("x.wasm?module"), Some(ModuleKind::Wasm));
        assert_eq!(rules.kind_of("../lib/x.wasm"), Some(ModuleKind::Wasm));
        assert_eq!(rules.kind_of("x.ts"), None);
    }

    #[test]
    fn a_rule_of_the_project_comes_first_and_may_switch_the_default_off() {
        let rule = |fallthrough| Rule { kind: ModuleKind::Text, globs: vec!["**/*.md".to_owned()], fallthrough };
        assert_eq!(Rules::new(&[rule(true)]).kind_of("a.md"), Some(ModuleKind::Text));
        assert_eq!(Rules::new(&[rule(true)]).kind_of("a.txt"), Some(ModuleKind::Text));
        assert_eq!(Rules::new(&[rule(false)]).kind_of("a.txt"), None);
    }
}
