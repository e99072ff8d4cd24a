//! Which licences our dependencies have.

use std::{path::Path, process::Command};

/// Licences that Skerry may link, as SPDX names.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "MPL-2.0+",
    "Zlib",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "0BSD",
    "Unlicense",
    "BSL-1.0",
];

/// Every package in the lock file whose licence is not one of them.
pub(crate) fn refused(workspace: &Path) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(workspace)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(may_use))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect()
}

/// Whether an SPDX expression offers a choice that is allowed. Old crates write `/` for `OR`.
fn may_use(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    plain.split(" AND ").all(|part| {
        let mut choices = part.split(" OR ").map(|choice| choice.split_whitespace().collect::<Vec<_>>().join(" "));
        choices.any(|choice| ALLOWED.contains(&choice.as_str()))
    })
}
