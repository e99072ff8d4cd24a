//! Gossip's datagrams over the mesh.
//!
//! **Owns** the way to the mesh, and what gossip is told of the catalog. **Must not know** what is gossiped. **Enter at**
//! [`MeshDatagrams`] and [`roster`].

use bytes::Bytes;
use skerry_proto::id::NodeId;

use crate::{
    catalog::Catalog,
    gossip::{Datagrams, Profile, Roster},
    limits::DATAGRAM_BYTES_MAX,
    mesh::Mesh,
};

/// Sends datagrams over the mesh.
pub(crate) struct MeshDatagrams {
    pub(crate) mesh: Mesh,
}

impl Datagrams for MeshDatagrams {
    fn send(&self, to: NodeId, bytes: Bytes) {
        if let Err(error) = self.mesh.send_datagram(to, bytes) {
            // Gossip expects losses; the mesh counts them.
            tracing::trace!(%error, "a datagram was dropped");
        }
    }

    fn bytes_max(&self) -> usize {
        DATAGRAM_BYTES_MAX
    }
}

/// The nodes, and how far apart they are: all in one region, or not.
pub(crate) fn roster(catalog: &Catalog) -> Roster {
    let mut regions: Vec<&str> = catalog.nodes().map(|node| node.region.as_str()).collect();
    regions.dedup();
    let profile = if regions.windows(2).all(|pair| pair[0] == pair[1]) { Profile::Lan } else { Profile::Wan };
    Roster::new(catalog.nodes().map(|node| node.id), profile)
}
