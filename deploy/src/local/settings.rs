//! The settings of one node of a local cluster, as `skerry-node --config` reads them.
//!
//! **Owns** which keys are written, and reading them back. **Must not know** files, ports or processes. **Enter at**
//! [`NodeSettings`].
//!
//! The files are all that a local cluster remembers of itself, so what a person adds to one stays there.

use std::net::SocketAddr;
use std::path::Path;

use toml_edit::{DocumentMut, value};

/// What a new file begins with.
const HEAD: &str = "# Written by `skerry cluster up`, which keeps what you add here.\n";

/// What a node may do in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Voter,
    Edge,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Edge => "edge",
        }
    }
}

/// One node: what it is, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeSettings {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Empty where there are no regions.
    pub(crate) region: String,
    pub(crate) domain: String,
    pub(crate) ports: Ports,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) mesh: SocketAddr,
}

/// How a node becomes part of the cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    Founds,
    /// At the mesh address of the founder, with the token in a file.
    Joins {
        at: SocketAddr,
        token_file: &'a str,
    },
}

impl NodeSettings {
    /// Reads a file. The error names the key.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let file: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
        let text = |key: &str| {
            let text = file.get(key).and_then(|item| item.as_str());
            text.ok_or_else(|| format!("{key} is missing or not a text"))
        };
        let address = |key: &str| {
            let address = text(key)?.parse::<SocketAddr>();
            address.map_err(|_wrong| format!("{key} must be ADDRESS:PORT, such as \"127.0.0.1:8080\""))
        };
        let role = match text("role")? {
            "voter" => Role::Voter,
            "edge" => Role::Edge,
            _ => return Err("role must be \"voter\" or \"edge\"".to_owned()),
        };
        Ok(Self {
            name: text("node_name")?.to_owned(),
            role,
            region: text("region")?.to_owned(),
            domain: text("domain")?.to_owned(),
            ports: Ports {
                http: address("http")?,
                https: address("https")?,
                api: address("api")?,
                metrics: address("metrics")?,
                mesh: address("mesh")?,
            },
        })
    }

    /// The text of its file: what was there, `None` for a new one, with these settings.
    pub(crate) fn write(&self, before: Option<&str>, folder: &Path, entry: Entry<'_>) -> Result<String, String> {
        let mut file: DocumentMut = before.unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        let path = |name: &str| {
            let path = folder.join(name);
            path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not text", path.display()))
        };
        file["node_name"] = value(&self.name);
        file["role"] = value(self.role.as_str());
        file["region"] = value(&self.region);
        file["domain"] = value(&self.domain);
        file["data_dir"] = value(path(&self.name)?);
        // Compiled code is the same for all nodes of a machine.
        file["cache_dir"] = value(path("cache")?);
        let Ports { http, https, api, metrics, mesh } = &self.ports;
        for (key, address) in [("http", http), ("https", https), ("api", api), ("metrics", metrics), ("mesh", mesh)] {
            file[key] = value(address.to_string());
        }
        match entry {
            Entry::Founds => file["bootstrap"] = value(true),
            Entry::Joins { at, token_file } => {
                file["join"] = value(at.to_string());
                file["join_token_file"] = value(path(token_file)?);
            }
        }
        if before.is_none() {
            // One machine, and a person who waits for the end.
            file["drain_timeout_ms"] = value(5000);
            return Ok(format!("{HEAD}{file}"));
        }
        Ok(file.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> NodeSettings {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        NodeSettings {
            name: "edge-1".to_owned(),
            role: Role::Edge,
            region: "eu".to_owned(),
            domain: "workers.localhost".to_owned(),
            ports: Ports { http: at(1), https: at(2), api: at(3), metrics: at(4), mesh: at(5) },
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_what_a_person_added_stays() {
        let entry = Entry::Joins { at: SocketAddr::from(([127, 0, 0, 1], 9)), token_file: "join.token" };
        let first = settings().write(None, Path::new("/a b/\"c"), entry).unwrap();
        assert_eq!(NodeSettings::read(&first), Ok(settings()));
        assert!(first.starts_with(HEAD), "{first}");
        let edited = format!("{first}\n# Noisy.\nlog = \"debug\"\n").replace("drain_timeout_ms = 5000", "");
        let moved = settings().write(Some(&edited), Path::new("/elsewhere"), entry).unwrap();
        assert_eq!(NodeSettings::read(&moved), Ok(settings()));
        assert!(moved.contains("# Noisy.\nlog = \"debug\"") && !moved.contains("drain_timeout_ms"), "{moved}");
        assert!(moved.contains("\"/elsewhere/edge-1\"") && !moved.contains("/a b"), "{moved}");
        assert_eq!(settings().write(Some(&moved), Path::new("/elsewhere"), entry).unwrap(), moved);
    }

    #[test]
    fn a_file_that_is_wrong_is_told_by_its_key() {
        let good = settings().write(None, Path::new("/d"), Entry::Founds).unwrap();
        for (from, to, says) in [
            ("role = \"edge\"", "role = \"king\"", "role must be"),
            ("http = \"127.0.0.1:1\"", "http = \"off\"", "http must be ADDRESS:PORT"),
            ("region = \"eu\"", "region = 7", "region is missing or not a text"),
            ("domain = \"workers.localhost\"", "", "domain is missing"),
            ("domain = ", "domain = = ", "TOML parse error"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = NodeSettings::read(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
