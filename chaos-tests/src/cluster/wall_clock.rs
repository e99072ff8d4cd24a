//! A wall clock that is wrong for one process.
//!
//! **Owns** the file that says how wrong, and the library that makes a process believe it. **Must not know** who is fooled.
//! **Enter at** [`WallClock`].
//!
//! libfaketime answers for the C library's calls; the machine's own clock stays as it is, and so do monotonic clocks, as when an
//! operator or NTP sets the time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Looked for in the folder of each architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// One process's wall clock.
#[derive(Debug)]
pub(super) struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// One that is right, told by `file`.
    pub(super) fn new(file: PathBuf) -> Result<Self> {
        let clock = Self { library: library()?, file };
        clock.set(0)?;
        Ok(clock)
    }

    /// So many seconds are added to the machine's time, from within a second or two.
    pub(super) fn set(&self, seconds: i64) -> Result<()> {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}s\n")).context("write the clock")?;
        // As a whole: the process may read it at any moment.
        std::fs::rename(&next, &self.file).context("set the clock")
    }

    /// What a process's environment must have.
    pub(super) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", shown(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", shown(&self.file)),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ]
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn library() -> Result<PathBuf> {
    let folders = std::fs::read_dir(LIBRARIES).context(LIBRARIES)?;
    let found = folders.filter_map(|folder| Some(folder.ok()?.path().join(LIBRARY))).find(|path| path.exists());
    found.with_context(|| format!("{LIBRARY} is in no folder of {LIBRARIES}: .ci/setup installs Debian's faketime"))
}
