//! How new the catalog was when this node last took entries of a namespace that was new to it.
//!
//! **Owns** `DIR/kv.mark`. **Must not know** entries. **Enter at** [`Mark::admit`] and [`Mark::reached`].
//!
//! A node's catalog can be older than its entries: it starts with what it had persisted, and goes back when a revision
//! breaks it. Such a catalog does not list the newest namespaces, and they would look deleted. So a node notes the revision
//! before it takes entries, and calls nothing deleted before it sees that revision again.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use skerry_proto::{
    id::{NamespaceId, Revision},
    kv as pb,
    versioned::{Kind, decode, encode},
};

use crate::store::{Privacy, read_file, write_file};

/// BOUND: namespaces that are remembered as admitted; beyond it each is looked at once more, which costs no write.
const ADMITTED_MAX: usize = 10_000;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// There is none: this node took no entries, or an older build did.
    Never,
    /// Every entry is of a namespace that a catalog of this revision knows.
    At(Revision),
    /// It can not be read.
    Damaged,
}

/// The newest revision under which a namespace was admitted.
pub(super) struct Mark {
    path: PathBuf,
    admitted: Mutex<HashSet<NamespaceId>>,
    /// Held while the file is written, by threads that may block.
    reached: Mutex<Reached>,
}

impl Mark {
    /// Reads the file. Blocking.
    pub(super) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join("kv.mark");
        let reached = match read_file(&path) {
            Ok(Some(bytes)) => decode::<pb::Mark>(Kind::KvMark, &bytes)
                .map_or(Reached::Damaged, |mark| Reached::At(Revision(mark.revision))),
            Ok(None) => Reached::Never,
            Err(_) => Reached::Damaged,
        };
        Self { path, admitted: Mutex::default(), reached: Mutex::new(reached) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether entries of a namespace may be taken as it is.
    pub(super) fn has_admitted(&self, namespace: &NamespaceId) -> bool {
        lock(&self.admitted).contains(namespace)
    }

    /// Lets entries of a namespace in that a catalog of this revision lists; durable when this returns. Blocking.
    pub(super) fn admit(&self, namespace: &NamespaceId, revision: Revision) -> io::Result<()> {
        self.raise(revision)?;
        let mut admitted = lock(&self.admitted);
        if admitted.len() >= ADMITTED_MAX {
            admitted.clear();
        }
        admitted.insert(namespace.clone());
        Ok(())
    }

    /// Never lowers it, and leaves a damaged one alone. Blocking.
    pub(super) fn raise(&self, revision: Revision) -> io::Result<()> {
        let mut reached = lock(&self.reached);
        let is_behind = match *reached {
            Reached::Never => true,
            Reached::At(before) => before < revision,
            Reached::Damaged => false,
        };
        if is_behind {
            let mark = pb::Mark { revision: revision.0 };
            write_file(&self.path, &encode(Kind::KvMark, &mark), Privacy::Public)?;
            *reached = Reached::At(revision);
        }
        Ok(())
    }

    /// What the mark is now.
    pub(super) fn reached(&self) -> Reached {
        *lock(&self.reached)
    }
}

/// What they guard is changed in one step, so a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn namespace(digit: char) -> NamespaceId {
        NamespaceId::new(&digit.to_string().repeat(32)).unwrap()
    }

    #[test]
    fn the_mark_rises_before_entries_come_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::open(folder.path());
        assert_eq!(mark.reached(), Reached::Never);
        mark.admit(&namespace('a'), Revision(7)).unwrap();
        assert!(mark.has_admitted(&namespace('a')) && !mark.has_admitted(&namespace('b')));
        mark.admit(&namespace('b'), Revision(5)).unwrap();
        let again = Mark::open(folder.path());
        assert_eq!(again.reached(), Reached::At(Revision(7)));
        assert!(!again.has_admitted(&namespace('a')), "after a start every namespace is looked at again");
    }

    #[test]
    fn a_damaged_mark_is_left_alone_and_keeps_entries_from_no_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kv.mark"), b"7").unwrap();
        let mark = Mark::open(folder.path());
        mark.admit(&namespace('a'), Revision(7)).unwrap();
        assert_eq!((mark.reached(), fs::read(mark.path()).unwrap()), (Reached::Damaged, b"7".to_vec()));
    }

    #[test]
    fn a_namespace_is_not_admitted_when_the_mark_can_not_be_written() {
        let mark = Mark::open(Path::new("/nowhere"));
        mark.admit(&namespace('a'), Revision(7)).unwrap_err();
        assert!(!mark.has_admitted(&namespace('a')));
        assert_eq!(mark.reached(), Reached::Never);
    }
}
