//! Which hosts requests go to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

use super::super::super::grants::HttpHost;
use super::client::Client;

/// The hosts that a step was granted, and the way to them.
pub struct HttpAccess {
    hosts: Vec<HttpHost>,
    client: Client,
}

impl HttpAccess {
    pub fn new(hosts: Vec<HttpHost>) -> io::Result<Self> {
        Ok(Self { hosts, client: Client::start()? })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Judges the very URL that is used.
    pub(super) fn allows(&self, url: &Url) -> bool {
        let is_plain =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let of_scheme = if url.scheme() == "https" { 443 } else { 80 };
        is_plain && self.hosts.iter().any(|host| host.host == name && host.port.unwrap_or(of_scheme) == port)
    }
}

/// Whether a name may stand for an address. Who answers for a name can point it anywhere: not at this machine, nor at what
/// only machines of one network see, such as the metadata of a cloud. Private networks stay: hosts are named for being
/// there.
pub(super) fn may_stand_for(name: &str, address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let is_local = v4.is_loopback() && is_this_machine(name);
            is_local
                || !(v4.is_loopback()
                    || v4.octets()[0] == 0
                    || v4.is_link_local()
                    || v4.octets()[0] >= 224
                    || METADATA_V4.contains(&v4))
        }
        IpAddr::V6(v6) => {
            let is_local = v6.is_loopback() && is_this_machine(name);
            is_local
                || !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unicast_link_local()
                    || v6.segments()[..2] == AWS_METADATA_V6
                    || v6 == GOOGLE_METADATA_V6
                    || embedded(v6).is_some_and(|v4| !may_stand_for(name, v4.into())))
        }
    }
}

/// Where large clouds have their metadata, but for link-local addresses: Alibaba's, and the agent of Azure's machines.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
/// The first of the segments.
const AWS_METADATA_V6: [u16; 2] = [0xfd00, 0x0ec2];
const GOOGLE_METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254);

/// The address that packets get to where a gateway translates: NAT64 (RFC 6052 and 8215), 6to4, and IPv4-compatible ones.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x0064, 0xff9b, 0 | 1, .., high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        _ => None,
    }
}

fn is_this_machine(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_hosts_and_ports_are_allowed() {
        let host = |host: &str, port| HttpHost { host: host.to_owned(), port };
        let hosts =
            vec![host("api.example.com", None), host("localhost", Some(8080)), host("[::1]", Some(1))];
        let access = HttpAccess::new(hosts).unwrap();
        let allows = |url: &str| access.allows(&Url::parse(url).unwrap());
        for url in [
            "https://api.example.com/a?b",
            "http://api.example.com/",
            "https://API.example.com:443/",
            "http://localhost:8080",
            "https://localhost:8080",
            "http://[::1]:1/",
        ] {
            assert!(allows(url), "{url}");
        }
        for url in [
            "https://api.example.com:80/",
            "http://api.example.com:443/",
            "https://example.com/",
            "https://x.api.example.com/",
            "https://api.example.com./",
            "https://api.example.com.evil.org/",
            "https://api.example.com@evil.org/",
            "https://user@api.example.com/",
            "https://:word@api.example.com/",
            "http://localhost/",
            "http://127.0.0.1:8080/",
            "http://0x7f.1:8080/",
            "http://[::1]/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
        ] {
            assert!(!allows(url), "{url}");
        }
    }

    #[test]
    fn names_do_not_lead_to_this_machine_or_to_metadata() {
        let may = |name, address: &str| may_stand_for(name, address.parse().unwrap());
        for address in [
            "93.184.216.34",
            "10.0.0.1",
            "192.168.1.1",
            "100.100.100.201",
            "168.63.129.17",
            "2606:2800::1",
            "fd00::1",
            "fd00:ec3::254",
            "fd20:ce::253",
            "64:ff9b::93.184.216.34",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
        ] {
            assert!(may("api.example.com", address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::253",
            "fd00:ec2:1::23",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "64:ff9b::169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::100.100.100.200",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert!(!may("api.example.com", address), "{address}");
        }
        assert!(
            may("localhost", "127.0.0.1")
                && may("x.localhost", "::1")
                && may("localhost", "::ffff:127.0.0.1")
        );
        assert!(!may("localhost", "169.254.169.254") && !may("mylocalhost", "127.0.0.1"));
    }
}
