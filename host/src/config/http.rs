//! The address that the metrics and the health document are served on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `9187` (loopback), `localhost:9187`, `127.0.0.1:9187`, `[::]:9187`. Port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("type" = ["string", "integer"]))]
pub struct HttpAddress(SocketAddr);

impl HttpAddress {
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for HttpAddress {
    type Err = HttpAddressError;

    fn from_str(text: &str) -> Result<Self, HttpAddressError> {
        let port = text.strip_prefix("localhost:").unwrap_or(text);
        if let Ok(port) = port.parse::<u16>() {
            return Ok(Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse().map(Self).map_err(|_| HttpAddressError)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address: write a port (`9187`, served on loopback) or an IP address and a port (`0.0.0.0:9187`)"
)]
pub struct HttpAddressError;

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for HttpAddress {
    type Error = HttpAddressError;

    fn try_from(text: String) -> Result<Self, HttpAddressError> {
        text.parse()
    }
}

impl From<HttpAddress> for String {
    fn from(address: HttpAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_loopback() {
        for (text, socket) in [
            ("9187", "127.0.0.1:9187"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:80", "[::]:80"),
        ] {
            assert_eq!(text.parse::<HttpAddress>().unwrap().to_string(), socket);
        }
        for text in ["", "off", "99999", "example.org:80", "127.0.0.1"] {
            assert!(text.parse::<HttpAddress>().is_err(), "{text}");
        }
    }
}
