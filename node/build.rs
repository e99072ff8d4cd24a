//! Makes the engine image: QuickJS-ng, our glue and the prelude, as one WebAssembly module in `OUT_DIR/engine.wasm`.
//!
//! **Owns** the order of the build. **Must not know** how the image is pre-initialised and made native: the node does
//! that on the machine it runs on (docs/001-engine-image.md). **Enter at** [`main`].

#[path = "build/compiler.rs"]
mod compiler;
#[path = "build/patches.rs"]
mod patches;
#[path = "build/prelude.rs"]
mod prelude;
#[path = "build/source.rs"]
mod source;

use std::{env, error::Error, path::PathBuf, process::exit};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=js/engine");
    println!("cargo::rerun-if-changed=js/prelude");
    println!("cargo::rerun-if-env-changed=SKERRY_ZIG_VENV");
    println!("cargo::rerun-if-env-changed=SKERRY_WASI_CC");
    if let Err(error) = build() {
        println!("cargo::error=engine image: {error}");
        exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // OUT_DIR is <target>/<profile>/build/<package>/out; the cache is shared by profiles and work trees.
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not inside a target directory")?;
    let compiler = compiler::Compiler::find(&manifest, &target.join("skerry-engine-cache"))?;

    let quickjs = source::quickjs(&manifest)?;
    let patched = out.join("quickjs");
    source::copy_patched(&quickjs, &manifest.join("js/engine"), &patched)?;
    let mut units: Vec<PathBuf> =
        ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"].iter().map(|name| patched.join(name)).collect();
    let glue = manifest.join("js/engine");
    units.extend(
        ["engine.c", "frame.c", "headers.c", "host.c", "jobs.c", "load.c", "modules.c", "shim.c"]
            .iter()
            .map(|name| glue.join(name)),
    );
    let prelude = out.join("prelude.c");
    prelude::generate(&manifest.join("js/prelude"), &prelude)?;
    units.push(prelude);

    let objects = compiler.compile(&units, &[patched, glue])?;
    compiler.link(&objects, &out.join("engine.wasm"))
}
