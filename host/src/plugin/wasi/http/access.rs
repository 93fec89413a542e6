//! Which hosts requests go to.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

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
                || !(v4.is_loopback() || v4.octets()[0] == 0 || v4.is_link_local() || v4.octets()[0] >= 224)
        }
        IpAddr::V6(v6) => {
            let is_local = v6.is_loopback() && is_this_machine(name);
            is_local
                || !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unicast_link_local()
                    || v6 == METADATA)
        }
    }
}

/// Where a large cloud has its metadata, in a network that is private otherwise.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

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
        for address in ["93.184.216.34", "10.0.0.1", "192.168.1.1", "2606:2800::1", "fd00::1"] {
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
