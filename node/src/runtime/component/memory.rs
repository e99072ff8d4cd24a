//! How much memory one instance may have.
//!
//! **Owns** the sum over an instance's linear memories and its table sizes. **Must not know** who asks. **Enter at**
//! [`MemoryLimit`].

use wasmtime::ResourceLimiter;

/// BOUND: table elements of one instance; the engine pool's tables are of this size. CPython, the largest seen, needs 20 000.
pub(super) const TABLE_ELEMENTS_MAX: usize = 64 * 1024;

/// Refuses growth past a limit. A refused guest sees its allocation fail, and most then abort.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    limit_bytes: usize,
    used_bytes: usize,
    was_refused: bool,
}

impl MemoryLimit {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, used_bytes: 0, was_refused: false }
    }

    /// Whether a growth was ever refused.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used_bytes = self.used_bytes.saturating_add(desired.saturating_sub(current));
        if used_bytes > self.limit_bytes {
            self.was_refused = true;
            return Ok(false);
        }
        self.used_bytes = used_bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_limit() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(!limit.was_refused());
        assert!(!limit.memory_growing(60, 61, None).unwrap());
        assert!(limit.was_refused());
    }
}
