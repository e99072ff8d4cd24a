//! What the disk itself takes.
//!
//! **Owns** the time of an append that is made durable. **Must not know** who writes so. **Enter at** [`median_us`].

use std::{fs::File, io::Write, path::Path};

use anyhow::{Context, Result};

use crate::{bench::spread::Spread, clock};

/// Appends that are timed.
const APPENDS: usize = 200;
/// Bytes of each; an entry of a log has about as many.
const BYTES: usize = 256;

/// Half of the appends to a file in `folder` took at most so many microseconds. Blocking.
///
/// # Errors
/// When the disk refuses.
pub fn median_us(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("fsync")).context("make a file")?;
    let append = || {
        let start = clock::now();
        file.write_all(&[7; BYTES])?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    let times: Vec<_> = std::iter::repeat_with(append).take(APPENDS).collect::<Result<_>>()?;
    Ok(times.into_iter().collect::<Spread>().p50_ms() * 1e3)
}
