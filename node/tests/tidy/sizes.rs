//! How long our files and functions are.

use std::fmt;

use syn::{spanned::Spanned, visit::Visit};

use super::source::Source;

/// BOUND: lines of a file; past it a reader no longer holds the noun in mind.
const FILE_LINES_MAX: usize = 800;
/// BOUND: 95 of 100 files are at most this long.
const FILE_LINES_P95_MAX: usize = 500;
/// BOUND: half of the files are at most this long.
const FILE_LINES_MEDIAN_MAX: usize = 150;
/// BOUND: lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// BOUND: lines of a `lib.rs`: doc, modules, re-exports.
const LIB_LINES_MAX: usize = 60;

/// The sizes of the workspace's files and functions, tests left out.
pub(crate) struct Figures {
    files: Vec<(usize, String)>,
    functions: Vec<(usize, String)>,
    long_libs: Vec<String>,
}

impl Figures {
    pub(crate) fn of(sources: &[Source]) -> Self {
        let mut figures = Self { files: Vec::new(), functions: Vec::new(), long_libs: Vec::new() };
        for source in sources.iter().filter(|source| !source.is_test()) {
            let lines = source.text.lines().count();
            let path = source.path.display().to_string();
            if source.path.ends_with("src/lib.rs") && lines > LIB_LINES_MAX {
                figures.long_libs.push(format!("{path}: {lines} lines, at most {LIB_LINES_MAX}"));
            }
            if source.extension() == "rs" {
                let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{path}: {error}"));
                Functions { path: &path, found: &mut figures.functions }.visit_file(&file);
            }
            figures.files.push((lines, path));
        }
        figures.files.sort();
        figures.functions.sort();
        figures
    }

    /// Every rule that does not hold, in words.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = self.long_libs.clone();
        let too_long = |list: &[(usize, String)], max: usize| -> Vec<String> {
            let long = list.iter().filter(|(lines, _)| *lines > max);
            long.map(|(lines, place)| format!("{place}: {lines} lines, at most {max}")).collect()
        };
        broken.extend(too_long(&self.files, FILE_LINES_MAX));
        broken.extend(too_long(&self.functions, FUNCTION_LINES_MAX));
        for (share, max) in [(50, FILE_LINES_MEDIAN_MAX), (95, FILE_LINES_P95_MAX)] {
            let lines = percentile(&self.files, share);
            if lines > max {
                broken.push(format!("{share} % of the files have at most {lines} lines; it should be {max}"));
            }
        }
        broken
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, list) in [("files", &self.files), ("functions", &self.functions)] {
            let (longest, place) = list.last().cloned().unwrap_or_default();
            writeln!(
                f,
                "{name}: {} of them, lines median {}, p95 {}, p99 {}, max {longest} ({place})",
                list.len(),
                percentile(list, 50),
                percentile(list, 95),
                percentile(list, 99),
            )?;
        }
        Ok(())
    }
}

/// The smallest size that `share` percent of the sorted list do not pass.
fn percentile(sorted: &[(usize, String)], share: usize) -> usize {
    let place = (sorted.len() * share).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0, |(lines, _)| *lines)
}

/// Collects the length of every function that is not a test.
struct Functions<'a> {
    path: &'a str,
    found: &'a mut Vec<(usize, String)>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.span().end().line.saturating_sub(signature.span().start().line) + 1;
        self.found.push((lines, format!("{} fn {}", self.path, signature.ident)));
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let test_only = module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"));
        if !test_only {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }
}
