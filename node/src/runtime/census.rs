//! How many isolates the node has.
//!
//! **Owns** the count. **Must not know** whose they are. **Enter at** [`Census`].

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Isolates of the whole node.
#[derive(Debug)]
pub(crate) struct Census {
    isolates: AtomicU32,
    isolates_max: u32,
}

impl Census {
    pub(crate) fn new(isolates_max: u32) -> Self {
        Self { isolates: AtomicU32::new(0), isolates_max }
    }

    /// Whether one more isolate may be made.
    pub(crate) fn has_room(&self) -> bool {
        self.isolates.load(Ordering::Relaxed) < self.isolates_max
    }

    /// Counts an isolate until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Resident {
        self.isolates.fetch_add(1, Ordering::Relaxed);
        Resident { census: Arc::clone(self) }
    }
}

/// An isolate exists.
#[derive(Debug)]
pub(crate) struct Resident {
    census: Arc<Census>,
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.census.isolates.fetch_sub(1, Ordering::Relaxed);
    }
}
