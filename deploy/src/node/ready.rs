//! Pure. The line by which a node says that it has started.
//!
//! **Owns** where the addresses stand in it. **Must not know** the process. **Enter at** [`Addresses::read`].

/// Where a node listens, each as `HOST:PORT`; `None` for what is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) api: Option<String>,
    pub(crate) mesh: Option<String>,
}

impl Addresses {
    /// Reads `ready node=NAME http=ADDRESS ...`; `None` for any other line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut addresses = Self::default();
        for word in line.trim_end().strip_prefix("ready ")?.split(' ') {
            let Some((name, address)) = word.split_once('=') else { continue };
            let place = match name {
                "http" => &mut addresses.http,
                "https" => &mut addresses.https,
                "api" => &mut addresses.api,
                "mesh" => &mut addresses.mesh,
                _ => continue,
            };
            *place = (address != "off").then(|| address.to_owned());
        }
        Some(addresses)
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
        for other in ["", "2026-01-01 INFO ready", "already http=127.0.0.1:1", "ready"] {
            assert_eq!(Addresses::read(other), None, "{other:?}");
        }
    }
}
