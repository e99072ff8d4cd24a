//! A small disk that can be filled.
//!
//! **Owns** a tmpfs, the file that fills it, and that it is unmounted. **Must not know** what is stored there. **Enter at**
//! [`Volume`].

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::network::run;

/// BOUND: bytes written at once; the last ones are written one by one.
const CHUNK: usize = 1 << 16;

/// A mounted tmpfs. Unmounted when dropped.
#[derive(Debug)]
pub(super) struct Volume {
    path: PathBuf,
    size_mib: u32,
}

impl Volume {
    pub(super) fn mount(path: &Path, size_mib: u32) -> Result<Self> {
        std::fs::create_dir_all(path).context("create the mount point")?;
        let target = path.display().to_string();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size_mib}m"), "skerry-chaos", &target])?;
        Ok(Self { path: path.to_owned(), size_mib })
    }

    /// Leaves not one byte; returns how many it took.
    pub(super) fn fill(&self) -> Result<u64> {
        let mut file = File::create(self.path.join("filler")).context("create the filler")?;
        let (mut written, mut piece) = (0_u64, vec![0_u8; CHUNK]);
        let most = u64::from(self.size_mib) << 20;
        while written <= most {
            match file.write(&piece) {
                Ok(count) => written += count as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull && piece.len() > 1 => piece.truncate(1),
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(written),
                Err(error) => return Err(error).context("fill the disk"),
            }
        }
        bail!("{} does not get full", self.path.display())
    }

    pub(super) fn empty(&self) -> Result<()> {
        std::fs::remove_file(self.path.join("filler")).context("remove the filler")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may hold it for a moment.
        if let Err(error) = run("umount", &["--lazy", &self.path.display().to_string()]) {
            eprintln!("the small disk was not removed: {error:#}");
        }
    }
}
