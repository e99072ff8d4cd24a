//! Where QuickJS-ng's C source comes from, and our copy of it.

use std::{error::Error, fs, path::Path, path::PathBuf, process::Command};

use crate::patches::PATCHES;

/// The folder with QuickJS-ng's source, inside the crate `rquickjs-sys` that cargo has fetched.
pub(crate) fn quickjs(manifest: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(manifest.join("Cargo.toml"))
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == "rquickjs-sys")
        .ok_or("the crate rquickjs-sys is not among the dependencies")?;
    let path = package["manifest_path"].as_str().ok_or("rquickjs-sys has no path")?;
    let folder = Path::new(path).parent().ok_or("rquickjs-sys has no folder")?.join("quickjs");
    if folder.join("quickjs.c").is_file() { Ok(folder) } else { Err(format!("no quickjs.c in {folder:?}").into()) }
}

/// Our files that see the engine's own structures, because they become part of `quickjs.c`.
const APPENDED: [&str; 2] = ["internals.c", "json.c"];

/// Copies the engine's files to `to`, with [`PATCHES`] applied and [`APPENDED`] at the end of `quickjs.c`.
pub(crate) fn copy_patched(quickjs: &Path, glue: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(quickjs)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let wanted = path.extension().is_some_and(|extension| extension == "h")
            || ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"].contains(&name);
        if !wanted {
            continue;
        }
        let mut text = fs::read_to_string(&path)?;
        if name == "quickjs.c" {
            for patch in PATCHES {
                text = patch.apply(&text)?;
            }
            for part in APPENDED {
                text.push_str(&fs::read_to_string(glue.join(part))?);
            }
        }
        // Unchanged files keep their time, so that a debugger and a reader can trust it.
        if fs::read_to_string(to.join(name)).ok().as_deref() != Some(&text) {
            fs::write(to.join(name), text)?;
        }
    }
    Ok(())
}
