//! The connections that other nodes made to this one.
//!
//! **Owns** how many there may be, and closing those that lost their right. **Must not know** what they ask. **Enter at**
//! [`Guests`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quinn::{Connection, VarInt};
use skerry_proto::id::NodeId;

use super::{class::Class, code::CloseCode, incoming::Caller, tls::Credentials};
use crate::limits::{JOIN_CONNECTIONS_MAX, PEER_CONNECTIONS_MAX};

/// A connection that another node made.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) caller: Caller,
    pub(super) class: Class,
    /// When the first of the two certificates ends.
    pub(super) ends_ms: i64,
    /// By which its certificate was believed.
    pub(super) believed_by: Arc<Credentials>,
    pub(super) connection: Connection,
}

impl Guest {
    pub(super) fn node(&self) -> Option<NodeId> {
        match self.caller {
            Caller::Node(node) => Some(node),
            Caller::Stranger(_) => None,
        }
    }

    /// Whether its certificate is believed by these too. Strangers have shown none.
    fn is_believed_by(&mut self, current: &Arc<Credentials>) -> bool {
        if self.node().is_none() || Arc::ptr_eq(&self.believed_by, current) {
            return true;
        }
        let is_believed = self.believed_by.believes_as(current) || current.believes(&self.connection);
        if is_believed {
            self.believed_by = Arc::clone(current);
        }
        is_believed
    }

    pub(super) fn close(&self, code: CloseCode) {
        self.connection.close(VarInt::from_u32(code.number()), code.text().as_bytes());
    }
}

/// Every connection that was let in.
#[derive(Debug, Default)]
pub(super) struct Guests {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    guests: BTreeMap<u64, Guest>,
    next: u64,
}

/// A guest's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    guests: Arc<Guests>,
    number: u64,
}

impl Guests {
    /// Lets a connection in. A node's oldest connection of the class makes room for it; strangers have to wait.
    pub(super) fn admit(self: &Arc<Self>, guest: Guest) -> Result<Place, CloseCode> {
        let mut table = self.table();
        let same = |other: &&Guest| other.class == guest.class && other.node() == guest.node();
        let max = if guest.class == Class::Join { JOIN_CONNECTIONS_MAX } else { PEER_CONNECTIONS_MAX };
        if table.guests.values().filter(same).count() >= max {
            match table.guests.values().find(same) {
                Some(oldest) if guest.class != Class::Join => oldest.close(CloseCode::Done),
                _ => return Err(CloseCode::Busy),
            }
        }
        let number = table.next;
        table.next += 1;
        table.guests.insert(number, guest);
        Ok(Place { guests: Arc::clone(self), number })
    }

    /// Closes the connections of nodes that are no members, and those whose certificates have ended or are not believed any
    /// more.
    pub(super) fn sweep(&self, now_ms: i64, current: &Arc<Credentials>, is_member: impl Fn(NodeId) -> bool) {
        for guest in self.table().guests.values_mut() {
            if guest.node().is_some_and(|node| !is_member(node)) {
                guest.close(CloseCode::NotMember);
            } else if guest.ends_ms <= now_ms {
                guest.close(CloseCode::Expired);
            } else if !guest.is_believed_by(current) {
                guest.close(CloseCode::Untrusted);
            }
        }
    }

    /// The newest connection of this class from a node.
    pub(super) fn newest(&self, node: NodeId, class: Class) -> Option<Connection> {
        let table = self.table();
        let mut newest = table.guests.values().rev();
        let guest = newest.find(|guest| guest.class == class && guest.node() == Some(node))?;
        guest.connection.close_reason().is_none().then(|| guest.connection.clone())
    }

    /// Every node that has a connection open.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        let table = self.table();
        let open = table.guests.values().filter(|guest| guest.connection.close_reason().is_none());
        open.filter_map(Guest::node).collect()
    }

    /// Where a node called from last. It listens there: a node has one socket.
    pub(super) fn address(&self, node: NodeId) -> Option<SocketAddr> {
        let table = self.table();
        let mut newest = table.guests.values().rev();
        newest.find(|guest| guest.node() == Some(node)).map(|guest| guest.connection.remote_address())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.table().guests.remove(&self.number);
    }
}
