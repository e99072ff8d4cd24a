//! Pure. The kinds of connection between two nodes.
//!
//! **Owns** which method travels on which, and how a connection says what it is. **Must not know** QUIC. **Enter at**
//! [`Class`].

use std::fmt;

use skerry_proto::mesh::Method;

/// A kind of connection. Each has its own congestion control, so bulk never delays a heartbeat (quinn#949).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Agreement and leases: small, and late is lost.
    Raft,
    /// What objects and KV ask each other.
    Objects,
    /// The catalog's feed, membership, and gossip's datagrams.
    Feed,
    /// What is large: bundles, snapshots, forwarded API calls, tails.
    Bulk,
    /// Of a node that has no certificate yet.
    Join,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Raft, Self::Objects, Self::Feed, Self::Bulk, Self::Join];

    /// The protocol's name in the TLS handshake (ALPN).
    #[must_use]
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Raft => b"skerry-raft/1",
            Self::Objects => b"skerry-objects/1",
            Self::Feed => b"skerry-feed/1",
            Self::Bulk => b"skerry-bulk/1",
            Self::Join => b"skerry-join/1",
        }
    }

    /// The class with this name in the TLS handshake.
    #[must_use]
    pub fn from_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.alpn() == name)
    }

    /// Its place in [`Class::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raft => "raft",
            Self::Objects => "objects",
            Self::Feed => "feed",
            Self::Bulk => "bulk",
            Self::Join => "join",
        })
    }
}

/// The class that a method travels on; `None` when it is none.
#[must_use]
pub fn class_of(method: Method) -> Option<Class> {
    match method {
        Method::Unspecified => None,
        Method::RaftAppend | Method::RaftVote | Method::RaftPreVote | Method::RaftTransfer => Some(Class::Raft),
        Method::Kv => Some(Class::Objects),
        Method::FeedSubscribe | Method::Propose | Method::Renew | Method::VoterKeys | Method::Trust | Method::Role => {
            Some(Class::Feed)
        }
        Method::RaftSnapshot
        | Method::BundleGet
        | Method::BundlePut
        | Method::BundlesLacking
        | Method::ApiForward
        | Method::Tail => Some(Class::Bulk),
        Method::Join => Some(Class::Join),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_says_what_it_is() {
        for class in Class::ALL {
            assert_eq!(Class::from_alpn(class.alpn()), Some(class));
            assert_eq!(Class::ALL[class.index()], class);
        }
        assert_eq!(Class::from_alpn(b"h3"), None);
    }

    #[test]
    fn only_joining_is_done_without_a_certificate() {
        let numbers = (0..1000).filter_map(|number| Method::try_from(number).ok());
        let joining: Vec<_> = numbers.filter(|method| class_of(*method) == Some(Class::Join)).collect();
        assert_eq!(joining, [Method::Join]);
    }
}
