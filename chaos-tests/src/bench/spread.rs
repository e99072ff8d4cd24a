//! Pure. Many measured times.
//!
//! **Owns** the times that stand for all of them. **Must not know** what took so long. **Enter at** [`Spread`].

use std::time::Duration;

/// Measured times, the shortest first.
#[derive(Debug, Clone, Default)]
pub struct Spread(Vec<Duration>);

impl FromIterator<Duration> for Spread {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Spread {
    /// Half of them took at most so many milliseconds.
    #[must_use]
    pub fn p50_ms(&self) -> f64 {
        self.at(50)
    }

    /// 99 of 100 took at most so many milliseconds.
    #[must_use]
    pub fn p99_ms(&self) -> f64 {
        self.at(99)
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.at(100)
    }

    /// The nearest rank; zero when nothing was measured.
    fn at(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_one_of_the_measured_times() {
        let spread: Spread = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!((spread.p50_ms(), spread.p99_ms(), spread.max_ms()), (100.0, 198.0, 200.0));
        let one: Spread = [Duration::from_millis(7)].into_iter().collect();
        assert_eq!((one.p50_ms(), one.max_ms()), (7.0, 7.0));
        assert_eq!(Spread::default().p99_ms(), 0.0);
    }
}
