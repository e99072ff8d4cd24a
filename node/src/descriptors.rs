//! Open files, sockets among them, that the process may have.
//!
//! **Owns** raising the limit as far as the system lets us. **Must not know** who opens them. **Enter at** [`raise`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a node needs beside connections: stores, listeners, the mesh.
const OWN: u64 = 1024;

/// Raises the soft limit to the hard one; the limit then, or `None` when there is none. Debian's soft limit is 1024, meant for
/// programs that use `select`; the hard one is 524 288 for a service.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files can not be raised");
        return limit.current;
    }
    limit.maximum
}

/// Says so when `connections_max` end users' connections would not fit, beside `outgoing_max` of workers.
pub fn check(limit: Option<u64>, connections_max: usize, outgoing_max: usize) {
    let connections = connections_max.saturating_add(outgoing_max);
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OWN);
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            connections_max,
            "too few open files are allowed: raise LimitNOFILE or lower connections_max"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let lower = before.maximum.map_or(1 << 20, |hard| hard - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum: before.maximum }).unwrap();
        assert_eq!(raise(), before.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
