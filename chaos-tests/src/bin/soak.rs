//! Kills a real node over and over while changes are made, and checks that nothing acknowledged is missing.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use skerry_chaos_tests::{
    crash::{self, Plan},
    programs::Programs,
};

/// Kills a real node over and over while changes are made.
#[derive(Debug, Parser)]
struct Options {
    /// Folder with skerry-node and skerry.
    #[arg(long)]
    bin_dir: PathBuf,
    /// Chooses when to kill; the same seed chooses the same moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Deploys to make at least.
    #[arg(long, default_value_t = 200)]
    deploys: u64,
    /// KV values to write at least.
    #[arg(long, default_value_t = 2000)]
    writes: u64,
    /// Kills to survive at least.
    #[arg(long, default_value_t = 10)]
    kills: u64,
    /// Longest time between a start and a kill, in milliseconds.
    #[arg(long, default_value_t = 400)]
    kill_within_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let programs = Programs::in_folder(&options.bin_dir, &options.bin_dir)?;
    let folder = tempfile::tempdir().context("make a folder for the run")?;
    let Options { seed, deploys, writes, kills, kill_within_ms, .. } = options;
    let plan = Plan { seed, deploys, writes, kills, kill_within_ms };
    let survived = crash::run(&programs, &folder.path().join("node"), plan).await?;
    println!(
        "seed {seed}: {} kills, {} deploys and {} KV writes acknowledged, {} cut off and repeated; nothing is missing",
        survived.kills, survived.deploys, survived.writes, survived.unknown,
    );
    Ok(())
}
