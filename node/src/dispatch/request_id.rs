//! Names for requests.
//!
//! **Owns** how they are made. **Must not know** what carries them. **Enter at** [`RequestIds`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Makes names that no other start of this or any node makes: 16 random digits, then 16 that count.
#[derive(Debug)]
pub struct RequestIds {
    prefix: [u8; 16],
    seed: u64,
    count: AtomicU64,
}

/// One request's name, with a random number that was drawn with it.
#[derive(Debug, Clone)]
pub struct RequestId {
    /// 32 hexadecimal digits.
    pub text: Arc<str>,
    /// For the split between versions; not for secrets.
    pub random: u32,
}

impl RequestIds {
    /// Draws the random part.
    #[must_use]
    pub fn new() -> Self {
        let mut random = [0; 16];
        // Without randomness names are still unique within this start.
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::warn!(%error, "the system has no randomness for request ids");
        }
        let (prefix, seed) = random.split_at(8);
        let mut digits = [0; 16];
        hex::encode_to_slice(prefix, &mut digits).expect("8 bytes are 16 digits");
        let seed = seed.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self { prefix: digits, seed, count: AtomicU64::new(0) }
    }

    /// The next name.
    pub fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 32];
        digits[..16].copy_from_slice(&self.prefix);
        hex::encode_to_slice(count.to_be_bytes(), &mut digits[16..]).expect("8 bytes are 16 digits");
        let text = std::str::from_utf8(&digits).expect("hexadecimal digits are ASCII");
        RequestId { text: Arc::from(text), random: scramble(self.seed.wrapping_add(count)) }
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64's finaliser: neighbouring counts give unrelated numbers.
fn scramble(count: u64) -> u32 {
    let mut z = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_numbers_spread() {
        let ids = RequestIds::new();
        let (mut names, mut low) = (std::collections::HashSet::new(), 0);
        for _ in 0..10_000 {
            let id = ids.next();
            assert_eq!(id.text.len(), 32);
            low += usize::from(id.random % 10_000 < 1000);
            names.insert(id.text);
        }
        assert_eq!(names.len(), 10_000);
        assert!((800..1200).contains(&low), "{low} of 10000 fell on a tenth");
    }
}
