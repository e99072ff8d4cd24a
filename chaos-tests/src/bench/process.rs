//! What a process has used, as Linux counts it.
//!
//! **Owns** reading `/proc`. **Must not know** whose process it is. **Enter at** [`cpu_time`].

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// User and system time of the process since it started (proc(5), `stat` fields 14 and 15).
///
/// # Errors
/// When the process is gone.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The program's name stands in parentheses and may hold spaces; the counted fields start behind it.
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| -> Result<u64> { Ok(fields.get(place).context("stat is short")?.parse()?) };
    // CLK_TCK is 100 on every Linux that Rust supports.
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// Memory that is the process's own: `Pss`, so that pages shared with others count by their share.
///
/// # Errors
/// When the process is gone.
pub fn memory_bytes(pid: u32) -> Result<u64> {
    rollup(pid, "Pss:")
}

/// Memory that the process has mapped and that is there: `Rss`, with all of every page that it shares.
///
/// # Errors
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    rollup(pid, "Rss:")
}

fn rollup(pid: u32, label: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(label)).with_context(|| format!("no line {label}"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().with_context(|| format!("{label}{line}"))?;
    Ok(kib * 1024)
}
