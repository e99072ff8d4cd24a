//! Disks that fail: a small one that can be filled, and one that can only be read.
//!
//! **Owns** what is mounted, and that it is unmounted. **Must not know** what is stored there. **Enter at** [`Volume`] and
//! [`Frozen`].

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
        unmount(&self.path);
    }
}

/// A folder that can only be read, by root as well. As it was once dropped. Processes see it from their start on.
#[derive(Debug)]
pub(super) struct Frozen {
    path: PathBuf,
}

impl Frozen {
    pub(super) fn mount(path: &Path) -> Result<Self> {
        let target = path.display().to_string();
        run("mount", &["--bind", &target, &target])?;
        let frozen = Self { path: path.to_owned() };
        run("mount", &["-o", "remount,bind,ro", &target])?;
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// Lazily: a process that was just killed may hold it for a moment.
fn unmount(path: &Path) {
    if let Err(error) = run("umount", &["--lazy", &path.display().to_string()]) {
        eprintln!("a disk of a test was not removed: {error:#}");
    }
}
