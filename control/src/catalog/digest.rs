//! Pure. A short summary of a whole state, kept up as the state changes.
//!
//! **Owns** what two nodes compare to know that they hold the same. **Must not know** who compares. **Enter at**
//! [`Digest::advance`].
//!
//! The digest is the sum, modulo 2^128, of a hash of every row, so a change costs the rows that it touched and the order
//! of changes does not matter (an incremental multiset hash, Bellare and Micciancio 1997). It finds mistakes, not
//! forgeries: every sender on the mesh is authenticated. The audit log is left out, because it follows from the commands.

use std::{fmt, sync::Arc};

use imbl::{OrdMap, ordmap::DiffItem};
use prost::Message;
use skerry_proto::catalog as pb;

use super::Catalog;

#[cfg(test)]
mod tests;

/// A summary of a state, 16 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// The digest of a whole state; costs as much as encoding it.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        Self::default().advance(&Catalog::default(), catalog)
    }

    /// The digest of `after`, given that this is the digest of `before`.
    #[must_use]
    pub fn advance(self, before: &Catalog, after: &Catalog) -> Self {
        let mut sum = Sum(self.0);
        let cluster = |catalog: &Catalog| catalog.cluster().map(|cluster| pb::Cluster::from(cluster.as_ref()));
        if before.cluster != after.cluster {
            cluster(before).iter().for_each(|row| sum.remove(b'K', row));
            cluster(after).iter().for_each(|row| sum.add(b'K', row));
        }
        sum.table::<_, _, pb::Account>(b'A', &before.accounts, &after.accounts);
        sum.table::<_, _, pb::Service>(b'S', &before.services, &after.services);
        sum.table::<_, _, pb::Namespace>(b'N', &before.namespaces, &after.namespaces);
        sum.table::<_, _, pb::Route>(b'R', &before.routes, &after.routes);
        sum.table::<_, _, pb::Domain>(b'D', &before.domains, &after.domains);
        sum.table::<_, _, pb::Certificate>(b'C', &before.certificates, &after.certificates);
        sum.table::<_, _, pb::Token>(b'T', &before.tokens, &after.tokens);
        sum.table::<_, _, pb::Node>(b'M', &before.nodes, &after.nodes);
        sum.table::<_, _, pb::JoinToken>(b'J', &before.join_tokens, &after.join_tokens);
        sum.table::<_, _, pb::Replay>(b'P', &before.replays, &after.replays);
        Self(sum.0)
    }

    /// Its bytes, for the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the wire; `None` unless there are 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

struct Sum(u128);

impl Sum {
    fn add<M: Message>(&mut self, table: u8, row: &M) {
        self.0 = self.0.wrapping_add(hash(table, row));
    }

    fn remove<M: Message>(&mut self, table: u8, row: &M) {
        self.0 = self.0.wrapping_sub(hash(table, row));
    }

    fn table<K, V, M>(&mut self, table: u8, before: &OrdMap<K, Arc<V>>, after: &OrdMap<K, Arc<V>>)
    where
        K: Ord + Clone,
        V: PartialEq,
        M: Message + for<'a> From<&'a V>,
    {
        if before.ptr_eq(after) {
            return;
        }
        for item in before.diff(after) {
            match item {
                DiffItem::Add(_, row) => self.add(table, &M::from(row)),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    self.remove(table, &M::from(old));
                    self.add(table, &M::from(new));
                }
                DiffItem::Remove(_, row) => self.remove(table, &M::from(row)),
            }
        }
    }
}

fn hash<M: Message>(table: u8, row: &M) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[table]);
    hasher.update(&row.encode_to_vec());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_be_bytes(bytes)
}
