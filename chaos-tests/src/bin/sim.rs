//! Simulates a cluster with many seeds.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use skerry_chaos_tests::sim;

/// Simulates a cluster with many seeds.
#[derive(Debug, Parser)]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after another.
    #[arg(long, default_value_t = 20)]
    runs: u64,
}

// One thread: what happens at once depends less on the machine.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let Options { seed, runs } = Options::parse();
    let mut failed = Vec::new();
    for seed in (seed..).take(usize::try_from(runs)?) {
        match sim::run(seed).await {
            Ok(survived) => println!("simulation seed {seed}: {survived}; nothing broken"),
            Err(error) => {
                println!("simulation FAILED: {error:#}");
                failed.push(seed);
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("seeds {failed:?} failed");
    Ok(ExitCode::FAILURE)
}
