//! A folder that appears whole or not at all.
//!
//! **Owns** that nothing is left half-done. **Must not know** what is put into it. **Enter at** [`Staging::beside`].

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::store::{create_folder, sync_folder};

/// A folder beside its place to be, for the owner only. Dropped before [`Staging::settle`], it goes with all that is in it.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    place: PathBuf,
}

impl Staging {
    /// Makes it; the folder above `place` is made too where it does not exist.
    pub(super) fn beside(place: &Path) -> io::Result<Self> {
        let (Some(above), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no folder"));
        };
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        create_folder(above)?;
        let suffix = hex::encode(crate::mint::random::<8>());
        let path = above.join(format!(".{}.{suffix}.unfinished", name.to_string_lossy()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, place: place.to_path_buf() })
    }

    /// Where to put what belongs into it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, which is empty or does not exist; durable when this returns.
    pub(super) fn settle(self) -> io::Result<()> {
        sync_folder(&self.path)?;
        // rename(2) takes the place of an empty folder, and of no other.
        fs::rename(&self.path, &self.place)?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a folder is left over");
            }
            _ => {}
        }
    }
}
