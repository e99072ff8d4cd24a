//! The random choices of gossip.
//!
//! **Owns** the generator; its seed is an input. **Must not know** what is chosen. **Enter at** [`Dice`].

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

/// Picks peers. Not for secrets.
pub(super) type Dice = Xoshiro256PlusPlus;

/// The same choices for the same seed.
pub(super) fn dice(seed: [u8; 32]) -> Dice {
    Dice::from_seed(seed)
}

/// Another generator, whose choices follow from this one's.
pub(super) fn another(dice: &mut Dice) -> Dice {
    Dice::from_rng(dice)
}
