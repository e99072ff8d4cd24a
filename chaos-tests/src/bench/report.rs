//! Pure. The table that `make bench` prints, and its JSON.
//!
//! **Owns** figures, their peers and targets. **Must not know** how they were measured. **Enter at** [`Report`].

use std::fmt;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// Everything one run measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// In the order measured.
    pub figures: Vec<Figure>,
}

/// One measured value beside its peer's.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What was measured, with its unit.
    pub what: String,
    /// Skerry's value.
    pub skerry: f64,
    /// The peer's name, and its value in the same run.
    pub peer: Option<(String, f64)>,
    /// What DESIGN.md section 6 or the issue asks for.
    pub target: Target,
}

/// When a figure is good enough.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Skerry's value over the peer's, at least.
    RatioAtLeast(f64),
    /// Skerry's value over the peer's, at most.
    RatioAtMost(f64),
    /// Skerry's value, at least.
    AtLeast(f64),
    /// Skerry's value, at most.
    AtMost(f64),
    /// Shown for comparison.
    None,
}

impl Report {
    /// Adds a figure that stands beside a peer's.
    pub fn beside(&mut self, what: &str, skerry: f64, peer: &str, value: f64, target: Target) {
        self.figures.push(Figure { what: what.to_owned(), skerry, peer: Some((peer.to_owned(), value)), target });
    }

    /// Adds a figure that stands alone.
    pub fn alone(&mut self, what: &str, skerry: f64, target: Target) {
        self.figures.push(Figure { what: what.to_owned(), skerry, peer: None, target });
    }
}

impl Figure {
    /// Skerry's value over the peer's.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, value)| self.skerry / value)
    }

    /// Whether the target is met; `None` when there is none.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        match self.target {
            Target::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
            Target::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Target::AtLeast(least) => Some(self.skerry >= least),
            Target::AtMost(most) => Some(self.skerry <= most),
            Target::None => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtLeast(least) => write!(f, ">= {least} x"),
            Self::RatioAtMost(most) => write!(f, "<= {most} x"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["figure", "Skerry", "peer", "peer's", "ratio", "target", "met"]);
        for figure in &self.figures {
            let (peer, value) =
                figure.peer.clone().map_or_else(Default::default, |(name, value)| (name, number(value)));
            let ratio = figure.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let met = figure.met().map_or("", |met| if met { "yes" } else { "NO" });
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(&figure.what),
                right(number(figure.skerry)),
                Cell::new(peer),
                right(value),
                right(ratio),
                Cell::new(figure.target),
                Cell::new(met),
            ]);
        }
        table.fmt(f)
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_by_the_ratio_of_the_same_run() {
        let mut report = Report::default();
        report.beside("requests/s", 300.0, "workerd", 100.0, Target::RatioAtLeast(2.5));
        report.beside("p99 ms", 3.0, "workerd", 2.0, Target::RatioAtMost(1.0));
        report.alone("MB", 0.4, Target::AtMost(0.5));
        report.alone("writes/s", 999.0, Target::AtLeast(1000.0));
        let met: Vec<_> = report.figures.iter().map(Figure::met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(true), Some(false)]);
        assert!(report.to_string().contains("NO"));
    }
}
