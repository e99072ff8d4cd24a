//! The load generator: wrk, from Debian.
//!
//! **Owns** running it and reading its report. **Must not know** what it loads. **Enter at** [`run`].

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// What one run asked and got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Answers a second.
    pub requests_per_second: f64,
    /// Answers in all.
    pub requests: u64,
    /// Half of the answers took at most this long.
    pub p50: Duration,
    /// 99 of 100 answers took at most this long.
    pub p99: Duration,
}

/// Loads `address` with `connections` keep-alive connections for `seconds`, asking for `/` of `host`.
///
/// # Errors
/// When wrk is missing, or when any answer failed or was not 2xx: a figure made of errors is no figure.
pub async fn run(address: SocketAddr, host: &str, connections: usize, seconds: u64) -> Result<Load> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Host: {host}")])
        .arg(format!("http://{address}/"))
        .output()
        .await
        .context("run wrk: `.ci/setup bench` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    parse(&text).with_context(|| format!("wrk at {host} said:\n{text}"))
}

/// Reads wrk's report.
///
/// # Errors
/// When a line is missing or tells of failed requests.
pub fn parse(text: &str) -> Result<Load> {
    for failure in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(failure), "some requests failed");
    }
    let after = |label: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(label));
        line.map(str::trim).with_context(|| format!("no line `{label}`"))
    };
    let total = text.lines().find(|line| line.contains(" requests in ")).context("no line with the total")?;
    let requests = total.split_whitespace().next().context("the total is empty")?;
    Ok(Load {
        requests_per_second: after("Requests/sec:")?.parse().context("requests/sec is not a number")?,
        requests: requests.parse().context("the total is not a number")?,
        p50: duration(after("50%")?)?,
        p99: duration(after("99%")?)?,
    })
}

/// wrk writes `803.00us`, `1.21ms`, `1.02s` or `1.50m`.
fn duration(text: &str) -> Result<Duration> {
    let unit = text.find(|c: char| c.is_alphabetic()).with_context(|| format!("`{text}` has no unit"))?;
    let value: f64 = text[..unit].parse().with_context(|| format!("`{text}` is not a number"))?;
    let seconds = match &text[unit..] {
        "us" => value / 1e6,
        "ms" => value / 1e3,
        "s" => value,
        "m" => value * 60.0,
        other => anyhow::bail!("unknown unit `{other}`"),
    };
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2s test @ http://127.0.0.1:8080/\n  1 threads and 32 connections\n  Thread Stats   Avg      \
        Stdev     Max   +/- Stdev\n    Latency     1.33ms  2.41ms  40.12ms   94.65%\n    Req/Sec    36.24k     3.98k   \
        41.30k    85.00%\n  Latency Distribution\n     50%  803.00us\n     75%    1.10ms\n     90%    2.21ms\n     99%   \
        12.81ms\n  72103 requests in 2.00s, 10.31MB read\nRequests/sec:  36036.80\nTransfer/sec:      5.15MB\n";

    #[test]
    fn a_report_is_read_with_its_units() {
        let load = parse(REPORT).unwrap();
        assert_eq!(load.requests, 72103);
        assert_eq!(load.requests_per_second, 36036.80);
        assert_eq!(load.p50, Duration::from_micros(803));
        assert_eq!(load.p99, Duration::from_micros(12810));
    }

    #[test]
    fn a_run_with_failed_requests_is_no_figure() {
        assert!(parse(&format!("{REPORT}  Non-2xx or 3xx responses: 7\n")).is_err());
    }
}
