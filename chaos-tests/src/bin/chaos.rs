//! Puts clusters of real nodes through every scenario.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::Parser;
use skerry_chaos_tests::{
    clock,
    cluster::network,
    programs::Programs,
    scenario::{Scenario, Size},
};

/// How a run ends in which nothing could be tried, as automake has it: neither well nor badly.
const SKIPPED: u8 = 77;

/// Puts clusters of real nodes through every scenario.
#[derive(Debug, Parser)]
#[command(
    after_help = "Exit codes: 0 nothing is broken, 1 something is, 2 wrong arguments, 77 nothing was tried: this \
                        machine allows no network namespaces, which need root."
)]
struct Options {
    /// Folder with skerry-node and skerry; this program's own when absent.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Chooses whom faults hit and where deploys go; the same seed makes the same choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the scenarios with these names.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The sizes of `make test`.
    #[arg(long)]
    small: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Options { bin_dir, seed, only, small } = Options::parse();
    if !network::is_allowed() {
        return Ok(ExitCode::from(SKIPPED));
    }
    let unknown = only.iter().find(|name| Scenario::ALL.iter().all(|scenario| scenario.name() != **name));
    if let Some(name) = unknown {
        let names: Vec<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        bail!("there is no scenario {name}: use {}", names.join(", "));
    }
    let programs = match bin_dir {
        Some(folder) => Programs::in_folder(&folder, &folder)?,
        None => Programs::beside_this_one()?,
    };
    let size = if small { Size::SMALL } else { Size::LARGE };
    let mut failed = 0;
    let chosen = |scenario: &Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name());
    for scenario in Scenario::ALL.into_iter().filter(chosen) {
        let start = clock::now();
        match scenario.run(&programs, seed, size).await {
            Ok(report) => println!("{} seed {seed}, {:.0?}: {report}", scenario.name(), start.elapsed()),
            Err(error) => {
                failed += 1;
                println!("{} seed {seed}, {:.0?}: FAILED: {error:#}", scenario.name(), start.elapsed());
            }
        }
    }
    if failed > 0 {
        println!("{failed} scenarios failed with seed {seed}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
