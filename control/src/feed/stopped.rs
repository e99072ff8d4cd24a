//! A non-voting node's copy of the state, while the node does not run.
//!
//! **Owns** reading it without changing it, beginning it, and removing it. **Must not know** backups or roles. **Enter at**
//! [`read`].

use std::{io, path::Path};

use skerry_proto::id::Revision;

use super::{
    rules::{CatalogRules, position},
    store::{self, Limit, load},
};
use crate::{catalog::wire::encode_catalog, state::Head, store::create_folder};

/// The newest state in `DIR/feed`; an empty one where there is no copy. Blocking.
pub(crate) fn read(data_dir: &Path) -> io::Result<Head> {
    let folder = data_dir.join("feed");
    if !folder.exists() || store::newest(&folder)? == Revision(0) {
        return Ok(Head::default());
    }
    // Up to a revision that nothing has: unlike the newest, this cuts nothing off.
    let loaded = load(&folder, Limit::UpTo(Revision(u64::MAX)), &CatalogRules)?;
    Ok(loaded.head)
}

/// Makes `head` the newest state of the copy, unless it has a newer one. Blocking.
pub(crate) fn begin_with(data_dir: &Path, head: &Head) -> io::Result<()> {
    let folder = data_dir.join("feed");
    create_folder(&folder)?;
    if head.catalog.revision() <= store::newest(&folder)? {
        return Ok(());
    }
    store::write_snapshot(&folder, position(head), encode_catalog(&head.catalog).into())
}

/// Removes the copy, not the journal of starts. Blocking.
pub(crate) fn forget(data_dir: &Path) -> io::Result<()> {
    let folder = data_dir.join("feed");
    if folder.exists() { store::forget(&folder) } else { Ok(()) }
}
