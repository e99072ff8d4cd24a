//! Pure. Seeded choices, so that a run can be repeated.
//!
//! **Owns** the one source of variety in workloads. **Must not know** what is chosen. **Enter at** [`Rng`].

/// SplitMix64 (Steele, Lea, Flood 2014): tiny, seedable, good enough to pick faults with.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The same seed gives the same choices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, `end` excluded and above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }
}
