//! Pure. A node's name in certificates.
//!
//! **Owns** its form: `n<id>.<cluster id>.skerry-mesh`. **Must not know** X.509. **Enter at** [`NodeName`].

use std::{fmt, str::FromStr};

use skerry_proto::id::NodeId;

const DOMAIN: &str = "skerry-mesh";

/// A node of a cluster. The domain can not be registered, so no tenant's hostname reads like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeName {
    pub(super) node: NodeId,
    pub(super) cluster: String,
}

impl NodeName {
    pub(super) fn new(node: NodeId, cluster: &str) -> Self {
        Self { node, cluster: cluster.to_owned() }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}.{DOMAIN}", self.node, self.cluster)
    }
}

/// The text is no node's name. State: unchanged. Retry: no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a node")]
pub(super) struct NotANode(String);

impl FromStr for NodeName {
    type Err = NotANode;

    /// Reads exactly what [`NodeName`] prints: one node has one name.
    fn from_str(text: &str) -> Result<Self, NotANode> {
        let parts = || {
            let (node, rest) = text.strip_prefix('n')?.split_once('.')?;
            let (cluster, domain) = rest.split_once('.')?;
            let name = Self::new(NodeId(node.parse().ok()?), cluster);
            (domain == DOMAIN && is_cluster(cluster) && name.to_string() == text).then_some(name)
        };
        parts().ok_or_else(|| NotANode(text.chars().take(120).collect()))
    }
}

/// Whether this is a cluster's id: 32 lower-case hexadecimal digits.
pub(super) fn is_cluster(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(node in any::<u64>(), cluster in "[0-9a-f]{32}") {
            let name = NodeName::new(NodeId(node), &cluster);
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn what_only_looks_like_a_node_is_none() {
        let cluster = "0123456789abcdef".repeat(2);
        for text in [
            String::new(),
            format!("1.{cluster}.skerry-mesh"),
            format!("n+1.{cluster}.skerry-mesh"),
            format!("n01.{cluster}.skerry-mesh"),
            format!("n99999999999999999999.{cluster}.skerry-mesh"),
            format!("n1.{}.skerry-mesh", cluster.to_uppercase()),
            format!("n1.{}.skerry-mesh", &cluster[1..]),
            format!("n1.{cluster}.skerry-mesh.example.com"),
            format!("n1.{cluster}"),
        ] {
            assert!(text.parse::<NodeName>().is_err(), "{text}");
        }
    }
}
