//! A non-voting node's copy of the state, while the node does not run.
//!
//! **Owns** reading it without changing it. **Must not know** backups. **Enter at** [`read`].

use std::{io, path::Path};

use skerry_proto::id::Revision;

use super::{
    rules::CatalogRules,
    store::{Limit, load},
};
use crate::state::Head;

/// The newest state in `DIR/feed`. Blocking.
pub(crate) fn read(data_dir: &Path) -> io::Result<Head> {
    // Up to a revision that nothing has: unlike the newest, this cuts nothing off.
    let loaded = load(&data_dir.join("feed"), Limit::UpTo(Revision(u64::MAX)), &CatalogRules)?;
    Ok(loaded.head)
}
