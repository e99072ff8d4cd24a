//! Pure. The line by which a node says that it has started.
//!
//! **Owns** where the addresses stand in its two forms, for people and as JSON. **Must not know** the process. **Enter at** [`Addresses::read`].

use serde_json::{Map, Value};

/// Where a node listens, each as `HOST:PORT`; `None` for what is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) api: Option<String>,
    pub(crate) mesh: Option<String>,
}

impl Addresses {
    /// Reads `ready node=NAME http=ADDRESS ...`, or `{"event":"ready","http":"ADDRESS",...}` where the node's log is JSON;
    /// `None` for any other line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let line = line.trim_end();
        let mut addresses = Self::default();
        if let Some(words) = line.strip_prefix("ready ") {
            words.split(' ').filter_map(|word| word.split_once('=')).for_each(|(name, at)| addresses.set(name, at));
            return Some(addresses);
        }
        let object: Map<String, Value> = serde_json::from_str(line).ok()?;
        if object.get("event").and_then(Value::as_str) != Some("ready") {
            return None;
        }
        object
            .iter()
            .filter_map(|(name, at)| Some((name, at.as_str()?)))
            .for_each(|(name, at)| addresses.set(name, at));
        Some(addresses)
    }

    fn set(&mut self, name: &str, address: &str) {
        let place = match name {
            "http" => &mut self.http,
            "https" => &mut self.https,
            "api" => &mut self.api,
            "mesh" => &mut self.mesh,
            _ => return,
        };
        *place = (address != "off").then(|| address.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_every_listener_that_is_on() {
        let line = "ready node=my node http=127.0.0.1:1 https=off api=[::1]:3 metrics=off mesh=127.0.0.1:5 dns=off\n";
        let some = |text: &str| Some(text.to_owned());
        let (http, api, mesh) = (some("127.0.0.1:1"), some("[::1]:3"), some("127.0.0.1:5"));
        assert_eq!(Addresses::read(line), Some(Addresses { http, https: None, api, mesh }));
        let json =
            r#"{"event":"ready","node":"n","http":"127.0.0.1:1","https":"off","api":"[::1]:3","mesh":"127.0.0.1:5"}"#;
        assert_eq!(Addresses::read(json), Addresses::read(line));
        for other in ["", "2026-01-01 INFO ready", "already http=127.0.0.1:1", "ready", "{}", r#"{"event":"stopped"}"#]
        {
            assert_eq!(Addresses::read(other), None, "{other:?}");
        }
    }
}
