//! Pure. What nodes say about themselves: the newest of each is kept, and handed on once.
//!
//! **Owns** which news is newer, and how much of it is kept. **Must not know** who spreads it. **Enter at** [`News`].
//!
//! The mesh proves who sent a datagram, but not who wrote the news in it: news of a third node comes second hand, and any
//! member could have made it up. So news is a hint that decides nothing. "A newer revision exists" makes a node ask, and the
//! answer is verified; a load orders peers that could all be asked.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foca::{BroadcastHandler, Invalidates};
use prost::Message as _;
use skerry_proto::{
    gossip as wire,
    id::{NodeId, Revision},
};

use super::{identity::Identity, roster::Roster};
use crate::limits::{NEWS_BYTES_MAX, NEWS_VERSION_BYTES_MAX, UNLISTED_NODES_MAX};

/// What a node said last about itself. A hint: see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who said it.
    pub node: NodeId,
    /// In which boot.
    pub boot: u64,
    /// Counts the node's news within a boot.
    pub sequence: u64,
    /// The newest revision that it serves.
    pub revision: Revision,
    /// Requests in flight.
    pub load: u32,
    /// The newest feature level that its build knows.
    pub feature_level: u32,
    /// The version of its build.
    pub version: Box<str>,
    /// When its certificate ends, seconds since the Unix epoch; `None` when it does not say.
    pub certificate_ends_s: Option<NonZeroU64>,
}

/// Why news is not accepted. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NewsError {
    /// More bytes than news may have.
    #[error("news has {length} bytes, more than {NEWS_BYTES_MAX}")]
    TooLarge {
        /// How many.
        length: usize,
    },
    /// Not a message of ours.
    #[error("news does not parse")]
    Parse(#[source] prost::DecodeError),
    /// A field has a value that it can not have.
    #[error("field {field} of news is missing or too long")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl News {
    pub(super) fn encode(&self) -> Vec<u8> {
        let message = wire::News {
            node_id: self.node.0,
            boot: self.boot,
            sequence: self.sequence,
            revision: self.revision.0,
            load: self.load,
            feature_level: self.feature_level,
            version: self.version.to_string(),
            certificate_ends_s: self.certificate_ends_s.map_or(0, NonZeroU64::get),
        };
        message.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NewsError> {
        if bytes.len() > NEWS_BYTES_MAX {
            return Err(NewsError::TooLarge { length: bytes.len() });
        }
        let message = wire::News::decode(bytes).map_err(NewsError::Parse)?;
        if message.node_id == 0 {
            return Err(NewsError::Field { field: "node_id" });
        }
        if message.version.len() > NEWS_VERSION_BYTES_MAX {
            return Err(NewsError::Field { field: "version" });
        }
        Ok(Self {
            node: NodeId(message.node_id),
            boot: message.boot,
            sequence: message.sequence,
            revision: Revision(message.revision),
            load: message.load,
            feature_level: message.feature_level,
            version: message.version.into(),
            certificate_ends_s: NonZeroU64::new(message.certificate_ends_s),
        })
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        (self.boot, self.sequence) > (other.boot, other.sequence)
    }
}

/// The newest news of each node. BOUND: the nodes that the catalog lists, and [`UNLISTED_NODES_MAX`].
#[derive(Debug, Default)]
pub(super) struct NewsTable {
    roster: Arc<Roster>,
    newest: BTreeMap<NodeId, Arc<News>>,
    unlisted: usize,
}

impl NewsTable {
    pub(super) fn of(&self, node: NodeId) -> Option<&Arc<News>> {
        self.newest.get(&node)
    }

    /// The newest revision that anyone claims to serve.
    pub(super) fn newest_revision(&self) -> Revision {
        self.newest.values().map(|news| news.revision).max().unwrap_or_default()
    }

    /// Forgets nodes that were removed.
    pub(super) fn follow(&mut self, roster: Arc<Roster>) {
        self.newest.retain(|node, _| !roster.removed(*node));
        self.unlisted = self.newest.keys().filter(|node| !roster.lists(**node)).count();
        self.roster = roster;
    }

    /// Whether this was news, and so is to be handed on.
    fn learn(&mut self, news: News) -> bool {
        let listed = self.roster.lists(news.node);
        match self.newest.get_mut(&news.node) {
            Some(known) if news.is_newer_than(known) => *known = Arc::new(news),
            Some(_) => return false,
            None if self.roster.removed(news.node) => return false,
            None if !listed && self.unlisted >= UNLISTED_NODES_MAX => return false,
            None => {
                self.unlisted += usize::from(!listed);
                self.newest.insert(news.node, Arc::new(news));
            }
        }
        true
    }
}

/// The table, for foca (which owns its handler and gives no access to it) and for the machine around it. One task uses both.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedNews(Arc<Mutex<NewsTable>>);

impl SharedNews {
    pub(super) fn table(&self) -> MutexGuard<'_, NewsTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides for foca which news to hand on.
#[derive(Debug)]
pub(super) struct NewsHandler {
    pub(super) own: NodeId,
    pub(super) shared: SharedNews,
}

/// Whose news it is: newer news takes the place of older in the queue.
#[derive(Debug)]
pub(super) struct NewsKey(NodeId);

impl Invalidates for NewsKey {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl BroadcastHandler<Identity> for NewsHandler {
    type Key = NewsKey;
    type Error = NewsError;

    /// `None` for whatever is known already: otherwise members would hand it round for ever.
    fn receive_item(&mut self, bytes: &[u8], sender: Option<&Identity>) -> Result<Option<NewsKey>, NewsError> {
        let news = News::decode(bytes)?;
        let node = news.node;
        // Nobody else knows better how this node is.
        let echo = node == self.own && sender.is_some();
        Ok((!echo && self.shared.table().learn(news)).then_some(NewsKey(node)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gossip::roster::Profile;

    fn news(node: u64, boot: u64, sequence: u64) -> News {
        let (revision, version) = (Revision(sequence), "1".into());
        let certificate_ends_s = None;
        News { node: NodeId(node), boot, sequence, revision, load: 0, feature_level: 1, version, certificate_ends_s }
    }

    fn handler() -> NewsHandler {
        NewsHandler { own: NodeId(1), shared: SharedNews::default() }
    }

    fn spreads(handler: &mut NewsHandler, news: &News) -> bool {
        let sender = Identity::started(NodeId(2), 1);
        handler.receive_item(&news.encode(), Some(&sender)).unwrap().is_some()
    }

    #[test]
    fn news_is_handed_on_once_and_old_news_never() {
        let mut handler = handler();
        assert!(spreads(&mut handler, &news(3, 5, 2)));
        assert!(!spreads(&mut handler, &news(3, 5, 2)), "the same again");
        assert!(!spreads(&mut handler, &news(3, 5, 1)), "an older sequence");
        assert!(!spreads(&mut handler, &news(3, 4, 9)), "an older boot");
        assert!(spreads(&mut handler, &news(3, 6, 1)), "a newer boot");
        assert_eq!(handler.shared.table().of(NodeId(3)).unwrap().boot, 6);
    }

    #[test]
    fn nobody_else_tells_how_this_node_is() {
        let mut handler = handler();
        assert!(!spreads(&mut handler, &news(1, 9, 9)));
        assert!(handler.receive_item(&news(1, 1, 1).encode(), None).unwrap().is_some());
    }

    #[test]
    fn removed_nodes_are_forgotten_and_stay_so() {
        let mut handler = handler();
        spreads(&mut handler, &news(3, 1, 1));
        let roster = Arc::new(Roster::new([NodeId(1), NodeId(5)], Profile::Lan));
        handler.shared.table().follow(roster);
        assert!(handler.shared.table().of(NodeId(3)).is_none());
        assert!(!spreads(&mut handler, &news(3, 1, 2)));
        assert!(spreads(&mut handler, &news(6, 1, 1)), "a node that is too new to be listed");
    }

    #[test]
    fn invented_nodes_do_not_grow_the_table_nor_keep_listed_ones_out() {
        let mut handler = handler();
        for node in 0..UNLISTED_NODES_MAX as u64 + 10 {
            spreads(&mut handler, &news(100 + node, 1, 1));
        }
        assert_eq!(handler.shared.table().newest.len(), UNLISTED_NODES_MAX);
        let roster = Arc::new(Roster::new([NodeId(1), NodeId(2)], Profile::Lan));
        handler.shared.table().follow(roster);
        assert!(spreads(&mut handler, &news(2, 1, 1)));
    }

    #[test]
    fn the_longest_news_fits() {
        let longest = News {
            node: NodeId(u64::MAX),
            boot: u64::MAX,
            sequence: u64::MAX,
            revision: Revision(u64::MAX),
            load: u32::MAX,
            feature_level: u32::MAX,
            version: "x".repeat(NEWS_VERSION_BYTES_MAX).into(),
            certificate_ends_s: NonZeroU64::new(u64::MAX),
        };
        assert_eq!(News::decode(&longest.encode()), Ok(longest.clone()));
        let longer = News { version: "x".repeat(NEWS_VERSION_BYTES_MAX + 1).into(), ..longest };
        assert_eq!(News::decode(&longer.encode()), Err(NewsError::Field { field: "version" }));
        assert_eq!(News::decode(&[0; NEWS_BYTES_MAX + 1]), Err(NewsError::TooLarge { length: NEWS_BYTES_MAX + 1 }));
    }

    proptest! {
        #[test]
        fn random_bytes_are_an_error_or_news(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = handler().receive_item(&bytes, None);
        }
    }
}
