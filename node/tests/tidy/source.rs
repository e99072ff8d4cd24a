//! The workspace's own source files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::workspace_root;

/// One file of ours: Rust, JavaScript or C.
pub(crate) struct Source {
    /// Relative to the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// Whether the file promises to be free of I/O, clocks and randomness.
    pub(crate) fn is_pure(&self) -> bool {
        self.text.starts_with("//! Pure.")
    }

    /// Lines of code with their numbers, comments and the trailing unit tests left out.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(place, line)| (place + 1, line))
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether this is a source of the library or program `name`, not one of its tests.
    pub(crate) fn is_library_of(&self, name: &str) -> bool {
        self.path.starts_with(Path::new(name).join("src"))
            && self.extension() == "rs"
            && !self.path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
    }

    /// Whether this file names the crate's modules in order.
    pub(crate) fn is_root_of(&self, name: &str) -> bool {
        let lib = Path::new(name).join("src/lib.rs");
        let main = Path::new(name).join("src/main.rs");
        self.path == lib || (self.path == main && !workspace_root().join(lib).exists())
    }

    /// The top-level module that this file belongs to; `None` for the crate's root.
    pub(crate) fn top_module(&self) -> Option<String> {
        let below_src = self.path.components().nth(2)?;
        let name = below_src.as_os_str().to_string_lossy();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        (module != "lib" && module != "main").then(|| module.to_owned())
    }

    /// Whether this file is a crate's root or stands for a folder of modules.
    pub(crate) fn opens_a_folder(&self) -> bool {
        let in_src = self.path.components().nth(1).is_some_and(|part| part.as_os_str() == "src");
        let is_root = self.path.components().count() == 3 && self.path.ends_with("src/lib.rs");
        self.extension() == "rs" && in_src && (is_root || workspace_root().join(self.path.with_extension("")).is_dir())
    }

    /// The module's doc, wrapped lines joined.
    pub(crate) fn header(&self) -> String {
        let lines = self.text.lines().take_while(|line| line.starts_with("//!"));
        lines.map(|line| line.trim_start_matches("//!").trim()).collect::<Vec<_>>().join(" ")
    }

    /// `rs`, `js`, `c`, ...
    pub(crate) fn extension(&self) -> &str {
        self.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
    }

    /// Whether the file holds only tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "tests")
            || self.path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
    }
}

/// Every Rust, JavaScript and C file that we wrote.
pub(crate) fn workspace_sources() -> Vec<Source> {
    let mut found = Vec::new();
    for name in ["proto", "control", "node", "deploy", "chaos-tests"] {
        collect(&workspace_root().join(name), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("our own folders can be read") {
        let path = entry.expect("our own folders can be read").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let generated =
            ["node_modules", "target", "examples", "fixtures", "wit", "components", "npm"].contains(&name.as_str());
        if path.is_dir() && !generated && !name.starts_with('.') {
            collect(&path, found);
        } else if ["rs", "js", "c", "h"]
            .iter()
            .any(|known| path.extension().is_some_and(|extension| extension == *known))
        {
            let text = fs::read_to_string(&path).expect("our sources are UTF-8");
            let path = path.strip_prefix(workspace_root()).expect("found below the workspace").to_owned();
            found.push(Source { path, text });
        }
    }
}
