//! The cluster's machines, as workers' requests to the Internet must not reach them.
//!
//! **Owns** which addresses are theirs. **Must not know** what is refused. **Enter at** [`Machines`].

use std::net::{IpAddr, SocketAddr};

use skerry_control::control::Control;

use crate::bindings::egress::Members;

/// Those of the newest catalog.
pub(super) struct Machines(pub(super) Control);

impl Members for Machines {
    fn have(&self, address: IpAddr) -> bool {
        // Where other nodes reach a node, and where deployers do.
        let catalog = self.0.catalog();
        are_at(catalog.nodes().flat_map(|node| [node.address.as_str(), node.api.as_str()]), address)
    }
}

/// Whether one of these `host:port` has the address. Names are left to their owner: what they mean may change.
fn are_at<'a>(mut places: impl Iterator<Item = &'a str>, address: IpAddr) -> bool {
    places.any(|place| place.parse::<SocketAddr>().is_ok_and(|place| place.ip().to_canonical() == address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_any_of_its_addresses_whatever_the_port() {
        let places = ["9.9.9.9:7946", "", "node.example:8700", "[2620:fe::fe]:8700", "[::ffff:9.9.9.10]:1"];
        let have = |address: &str| are_at(places.into_iter(), address.parse().unwrap());
        assert!(have("9.9.9.9") && have("2620:fe::fe") && have("9.9.9.10"));
        assert!(!have("8.8.8.8") && !have("2620:fe::ff"));
    }
}
