//! `skerry-node init`.
//!
//! **Owns** writing a new configuration file. **Must not know** the keys in it. **Enter at** [`write()`].

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::config::TEMPLATE;

/// Why no file was written. State: unchanged. Retry: with another name.
#[derive(Debug, thiserror::Error)]
#[error("{path} can not be written")]
pub struct InitError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the commented configuration; an existing file is left alone and is an error.
pub fn write(path: &Path) -> Result<(), InitError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(TEMPLATE.as_bytes()))
        .map_err(|source| InitError { path: path.to_owned(), source })
}
