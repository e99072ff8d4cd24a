//! From a request to a running worker.
//!
//! **Owns** which version answers. **Must not know** sockets, TLS or HTTP framing. **Enter at** [`pick::Split`].

pub mod overrides;
pub mod pick;
