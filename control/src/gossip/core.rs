//! Pure. foca with our parts in it.
//!
//! **Owns** how they are put together. **Must not know** when foca is called. **Enter at** [`core()`].

use foca::Foca;

use super::{
    codec::Codec,
    dice::Dice,
    identity::Identity,
    news::{NewsHandler, SharedNews},
    profile::foca_config,
    roster::Profile,
};

/// SWIM as we speak it.
pub(super) type Core = Foca<Identity, Codec, Dice, NewsHandler>;

/// One that knows nobody, for a cluster of `size` members.
pub(super) fn core(identity: Identity, profile: Profile, size: usize, dice: Dice, news: &SharedNews) -> Core {
    let handler = NewsHandler { own: identity.node, shared: news.clone() };
    Foca::with_custom_broadcast(identity, foca_config(profile, size), dice, Codec, handler)
}

/// Logs foca's own failures, which leave it usable. Only a broken codec or driver could cause one.
pub(super) fn complain(outcome: Result<(), foca::Error>, what: &str) {
    if let Err(error) = outcome {
        tracing::warn!(error = &error as &dyn std::error::Error, "{what}");
    }
}
