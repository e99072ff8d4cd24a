//! The prelude's files as C data.

use std::{error::Error, fmt::Write, fs, path::Path};

/// Writes `to`, a C file that defines `sk_prelude` with every `.js` file below `folder`, named by its path.
pub(crate) fn generate(folder: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort();
    let mut out = String::from("#include \"engine.h\"\nconst PreludeFile sk_prelude[] = {\n");
    for (name, text) in &files {
        writeln!(out, "{{ \"{name}\",")?;
        for line in text.split_inclusive('\n') {
            literal(line, &mut out);
        }
        writeln!(out, "\"\", {} }},", text.len())?;
    }
    out.push_str("{ 0, 0, 0 } };\n");
    fs::write(to, out)?;
    Ok(())
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if name.ends_with(".js") {
            files.push((format!("{prefix}{name}"), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// One C string literal, one line of it: compilers limit neither the count nor, in sum, the length of adjacent ones.
fn literal(line: &str, out: &mut String) {
    out.push('"');
    for byte in line.bytes() {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'?' => out.push_str("\\?"),
            0x20..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push_str("\"\n");
}
