//! The C compiler for `wasm32-wasi`, with a cache of objects by the hash of everything that goes into them.

use std::{
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// Shadow stack of an isolate. BOUND: JavaScript gets a RangeError shortly before its end (docs/001-engine-image.md).
const STACK_BYTES: u32 = 1024 * 1024;

const FLAGS: &[&str] = &[
    "-O3",
    "-DNDEBUG",
    "-D_GNU_SOURCE",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    // Optimised C has undefined-behaviour traps off, as in QuickJS's own build.
    "-fno-sanitize=all",
    "-fvisibility=hidden",
    "-Wno-everything",
];

/// A found compiler.
pub(crate) struct Compiler {
    command: Vec<OsString>,
    version: String,
    cache: PathBuf,
}

impl Compiler {
    /// `SKERRY_WASI_CC`, else zig from the tools' virtual environment.
    pub(crate) fn find(manifest: &Path, cache: &Path) -> Result<Self, Box<dyn Error>> {
        let command = match std::env::var_os("SKERRY_WASI_CC") {
            Some(clang) => vec![clang, "--target=wasm32-wasi".into()],
            None => zig(manifest)?,
        };
        let output = Command::new(&command[0]).args(&command[1..]).arg("--version").output()?;
        if !output.status.success() {
            return Err(format!("{command:?} does not run; run `make setup`").into());
        }
        fs::create_dir_all(cache)?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Self { command, version, cache: cache.to_owned() })
    }

    /// Compiles each unit, or takes its object from the cache. Every header in `includes` counts as an input of all.
    pub(crate) fn compile(&self, units: &[PathBuf], includes: &[PathBuf]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        let mut base = blake3::Hasher::new();
        base.update(self.version.as_bytes());
        base.update(format!("{FLAGS:?}{STACK_BYTES}").as_bytes());
        for folder in includes {
            let mut headers: Vec<PathBuf> =
                fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
            headers.retain(|path| path.extension().is_some_and(|extension| extension == "h"));
            headers.sort();
            for header in headers {
                // engine.h is ours and the engine does not see it: a change to it must not recompile the engine.
                if !header.ends_with("engine.h") {
                    base.update(&fs::read(header)?);
                }
            }
        }
        thread::scope(|scope| {
            let handles: Vec<_> = units
                .iter()
                .map(|unit| {
                    let base = base.clone();
                    scope.spawn(move || self.object(unit, includes, base).map_err(|error| error.to_string()))
                })
                .collect();
            handles
                .into_iter()
                .map(|handle| Ok(handle.join().map_err(|_ignored| "a compiler thread panicked")??))
                .collect()
        })
    }

    fn object(&self, unit: &Path, includes: &[PathBuf], mut hash: blake3::Hasher) -> Result<PathBuf, Box<dyn Error>> {
        let text = fs::read(unit)?;
        hash.update(&text);
        if text.windows(10).any(|window| window == b"\"engine.h\"") {
            for folder in includes {
                hash.update(&fs::read(folder.join("engine.h")).unwrap_or_default());
            }
        }
        let object = self.cache.join(format!("{}.o", &hash.finalize().to_hex()[..32]));
        if object.is_file() {
            return Ok(object);
        }
        // Another build may make the same object: each writes its own file and the rename is atomic.
        let partial = object.with_extension(format!("{}.partial", std::process::id()));
        let mut arguments: Vec<OsString> = FLAGS.iter().map(Into::into).collect();
        arguments.push(format!("-DSK_STACK_BYTES={STACK_BYTES}").into());
        for folder in includes {
            arguments.push("-I".into());
            arguments.push(folder.into());
        }
        arguments.extend(["-c".into(), unit.into(), "-o".into(), partial.clone().into()]);
        self.run(&arguments)?;
        fs::rename(&partial, &object)?;
        Ok(object)
    }

    /// Links a reactor: a module with exports and without `main`.
    pub(crate) fn link(&self, objects: &[PathBuf], to: &Path) -> Result<(), Box<dyn Error>> {
        let mut arguments: Vec<OsString> = vec!["-mexec-model=reactor".into(), "-O3".into(), "-s".into()];
        // The linker lays the stack out first, so that running past its end traps instead of writing over data.
        arguments.push(format!("-Wl,-z,stack-size={STACK_BYTES}").into());
        arguments.extend(objects.iter().map(Into::into));
        arguments.extend(["-o".into(), to.into()]);
        self.run(&arguments)
    }

    fn run(&self, arguments: &[OsString]) -> Result<(), Box<dyn Error>> {
        let output = Command::new(&self.command[0]).args(&self.command[1..]).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr);
        let message: Vec<&str> = message.lines().take(40).collect();
        Err(format!("the C compiler failed ({:?}):\n{}", arguments.last(), message.join("\n")).into())
    }
}

fn zig(manifest: &Path) -> Result<Vec<OsString>, Box<dyn Error>> {
    let venv = match std::env::var_os("SKERRY_ZIG_VENV") {
        Some(venv) => PathBuf::from(venv),
        None => manifest.parent().ok_or("the crate has no parent folder")?.join(".tools/venv"),
    };
    let python = venv.join("bin/python");
    if !python.is_file() {
        return Err(format!(
            "no compiler for wasm32-wasi: {} is missing; run `make setup`, or set SKERRY_WASI_CC to a clang with a wasi sysroot",
            python.display()
        )
        .into());
    }
    Ok(vec![python.into(), "-m".into(), "ziglang".into(), "cc".into(), "-target".into(), "wasm32-wasi".into()])
}
