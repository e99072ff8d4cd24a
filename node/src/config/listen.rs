//! Where a listener listens.
//!
//! **Owns** the syntax of listener addresses. **Must not know** which listener it is. **Enter at** [`Listen`].

use std::{fmt, net::SocketAddr, str::FromStr};

/// An address to listen on, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// No listener.
    Off,
    /// This address; port 0 picks a free port.
    At(SocketAddr),
}

impl Listen {
    /// The address, unless it is off.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "off" {
            return Ok(Self::Off);
        }
        // `SKERRY_API` means a URL to the CLI; one shell may set it for both programs.
        let address = text.trim_start_matches("http://").trim_start_matches("https://");
        match address.parse() {
            Ok(address) => Ok(Self::At(address)),
            Err(_) => Err("write ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:443 (port 0 picks one), or off"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}
