//! KV over REST.
//!
//! **Owns** the calls below `/storage/kv`. **Must not know** where entries are stored. **Enter at** [`mount`].

use super::endpoint::Endpoints;

mod bulk;
mod namespaces;
mod values;

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    namespaces::mount(endpoints);
    values::mount(endpoints);
    bulk::mount(endpoints);
}
