//! The house rules that no compiler checks: import order, pure files, sizes, folder docs, licences.
//!
//! `cargo test -p skerry-node --test tidy -- --nocapture` prints the size figures.

#[path = "tidy/licences.rs"]
mod licences;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;

use std::{collections::BTreeMap, path::Path};

use source::{Source, workspace_sources};

/// Crates whose module order is also their import order.
const CRATES: [&str; 4] = ["proto", "control", "node", "deploy"];

/// What a file whose first line begins `//! Pure.` never names: I/O, clocks and randomness are inputs there.
const IMPURE: [&str; 12] = [
    "tokio::",
    "quinn::",
    "std::fs",
    "std::net",
    "fs::",
    "Instant::now",
    "SystemTime::now",
    "getrandom",
    "rand::",
    "reqwest::",
    "hyper::",
    "std::process",
];

#[test]
fn pure_files_name_no_io_clock_or_randomness() {
    let mut broken = Vec::new();
    for source in workspace_sources().iter().filter(|source| source.is_pure()) {
        for (number, line) in source.code_lines() {
            for word in IMPURE.iter().filter(|word| names(line, word)) {
                broken.push(format!("{}:{number}: a pure file names `{word}`", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Whether `line` uses the path `word`, not merely an identifier that ends with it.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

#[test]
fn modules_import_only_what_stands_below_them() {
    let sources = workspace_sources();
    let mut broken = Vec::new();
    for name in CRATES {
        let order = module_order(&sources, name);
        for source in sources.iter().filter(|source| source.is_library_of(name)) {
            let Some(own) = source.top_module().and_then(|module| order.get(&module)) else { continue };
            for (number, line) in source.code_lines() {
                for used in crate_paths(line) {
                    if order.get(used).is_some_and(|place| place < own) {
                        broken.push(format!("{}:{number}: `{used}` stands above this module", source.path.display()));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The place of each top-level module in its crate's root, from the highest layer (0) down.
fn module_order(sources: &[Source], name: &str) -> BTreeMap<String, usize> {
    let root = sources
        .iter()
        .find(|source| source.is_root_of(name))
        .unwrap_or_else(|| panic!("the crate {name} has no lib.rs or main.rs"));
    let modules = root.code_lines().filter_map(|(_, line)| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    });
    modules.enumerate().map(|(place, module)| (module, place)).collect()
}

/// The first segment of every `crate::…` path in a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, prefix)| {
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_crate_and_folder_says_what_it_owns() {
    let mut broken = Vec::new();
    for source in workspace_sources().iter().filter(|source| source.opens_a_folder()) {
        for sentence in ["**Owns**", "**Must not know**", "**Enter"] {
            if !source.header().contains(sentence) {
                broken.push(format!("{}: the doc has no {sentence}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn no_module_is_a_drawer() {
    let banned = ["common.rs", "types.rs", "util.rs", "utils.rs", "helpers.rs", "misc.rs", "mod.rs"];
    let broken: Vec<_> = workspace_sources()
        .into_iter()
        .filter(|source| source.path.file_name().is_some_and(|name| banned.iter().any(|banned| name == *banned)))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(broken.is_empty(), "name these for what they hold: {broken:?}");
}

#[test]
fn files_and_functions_stay_readable() {
    let figures = sizes::Figures::of(&workspace_sources());
    println!("{figures}");
    assert!(figures.broken().is_empty(), "\n{}", figures.broken().join("\n"));
}

#[test]
fn every_dependency_has_a_licence_we_may_use() {
    let broken = licences::refused(workspace_root());
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}
