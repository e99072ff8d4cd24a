//! The line that says a node has started.
//!
//! **Owns** its two forms. **Must not know** where it is printed. **Enter at** [`Ready`].

use std::{fmt, net::SocketAddr};

use crate::ingress::Addresses;

/// What a start came to.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Where it listens.
    pub addresses: Addresses,
    /// Where its mesh listens.
    pub mesh: Option<SocketAddr>,
}

impl Ready<'_> {
    /// For programs: one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let mut object = serde_json::json!({ "event": "ready", "node": self.node });
        for (name, address) in self.listeners() {
            object[name] = text(address).into();
        }
        object.to_string()
    }

    fn listeners(&self) -> [(&'static str, Option<SocketAddr>); 6] {
        let Addresses { http, https, api, metrics } = self.addresses;
        let mesh = self.mesh;
        [("http", http), ("https", https), ("api", api), ("metrics", metrics), ("mesh", mesh), ("dns", None)]
    }
}

impl fmt::Display for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready node={}", self.node)?;
        self.listeners().into_iter().try_for_each(|(name, address)| write!(f, " {name}={}", text(address)))
    }
}

fn text(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_every_listener() {
        let http = Some("127.0.0.1:1".parse().unwrap());
        let ready =
            Ready { node: "n1", addresses: Addresses { http, https: None, api: None, metrics: None }, mesh: None };
        assert_eq!(ready.to_string(), "ready node=n1 http=127.0.0.1:1 https=off api=off metrics=off mesh=off dns=off");
        let json: serde_json::Value = serde_json::from_str(&ready.json()).unwrap();
        assert_eq!(
            (&json["event"], &json["http"], &json["dns"]),
            (&"ready".into(), &"127.0.0.1:1".into(), &"off".into())
        );
    }
}
