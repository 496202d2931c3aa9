//! Which addresses may be called. Applied to literal addresses before a call, to every address a name resolves to, and to
//! every hop of a redirect, so that a URL given by someone (webhook target, CRM address, media link) can't reach inside.
//! Must not touch: sockets, DNS. Values only.
//! Sources: IANA special-purpose address registries for IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Neither `http` nor `https`.
    #[error("only http and https are allowed")]
    Scheme,
    /// The URL has no host.
    #[error("the address has no host")]
    NoHost,
    /// User name or password inside the URL.
    #[error("credentials in an address are not allowed")]
    Credentials,
    /// This machine.
    #[error("loopback addresses are not allowed")]
    Loopback,
    /// Private networks (RFC 1918, RFC 6598, unique local IPv6).
    #[error("addresses of private networks are not allowed")]
    Private,
    /// Link-local, where cloud metadata services live.
    #[error("link-local addresses are not allowed")]
    LinkLocal,
    /// Multicast, broadcast, unspecified, documentation, transition and reserved ranges.
    #[error("reserved addresses are not allowed")]
    Reserved,
    /// The host is allowed by name, but with another port.
    #[error("this host is only allowed with another port")]
    Port,
}

/// An entry of the allow list could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address, a network (10.0.0.0/8), a host name or host:port")]
pub struct PolicyError(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Network { base: IpAddr, bits: u8 },
    Socket { ip: IpAddr, port: u16 },
    Host { name: String, port: Option<u16> },
}

/// The address policy. The default refuses everything that isn't a public unicast address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    allow_loopback: bool,
    allowed: Vec<Allowed>,
}

impl Policy {
    /// A policy with exceptions: addresses (`10.1.2.3`), networks (`10.0.0.0/8`), host names (`crm.internal`), either address
    /// or name with a port (`10.1.2.3:8069`, `[fd00::1]:443`, `crm.internal:8069`).
    ///
    /// # Errors
    /// When an entry is none of these.
    pub fn new(allow_loopback: bool, allow: &[String]) -> Result<Self, PolicyError> {
        let allowed = allow.iter().map(|entry| parse_entry(entry)).collect::<Result<_, _>>()?;
        Ok(Self { allow_loopback, allowed })
    }

    /// Checks a URL before anything is looked up: scheme, credentials, literal addresses, ports of named hosts.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check_url(&self, url: &reqwest::Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or(Refusal::NoHost)?;
        let port = url.port_or_known_default().unwrap_or(0);
        // The URL parser has already turned 2130706433, 0x7f.1 and their like into dotted form.
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => self.check_ip(ip, Some(port)),
            Err(_) => self.check_named_port(host, port),
        }
    }

    /// Checks one address that `name` resolved to. The port isn't known there, so entries with a port only count by name.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check_resolved(&self, name: &str, ip: IpAddr) -> Result<(), Refusal> {
        let name = plain(name);
        let named = self.allowed.iter().any(|a| matches!(a, Allowed::Host { name: n, .. } if *n == name));
        if named { Ok(()) } else { self.check_ip(ip, None) }
    }

    fn check_named_port(&self, host: &str, port: u16) -> Result<(), Refusal> {
        let host = plain(host);
        let mut ports = self.allowed.iter().filter_map(|a| match a {
            Allowed::Host { name, port } if *name == host => Some(*port),
            _ => None,
        });
        let Some(first) = ports.next() else { return Ok(()) };
        let fits = |p: Option<u16>| p.is_none_or(|p| p == port);
        if fits(first) || ports.any(fits) { Ok(()) } else { Err(Refusal::Port) }
    }

    fn check_ip(&self, ip: IpAddr, port: Option<u16>) -> Result<(), Refusal> {
        let Some(refusal) = refusal_of(ip) else { return Ok(()) };
        let allowed = (self.allow_loopback && refusal == Refusal::Loopback)
            || self.allowed.iter().any(|entry| match entry {
                Allowed::Network { base, bits } => contains(*base, *bits, ip.to_canonical()),
                Allowed::Socket { ip: known, port: p } => *known == ip.to_canonical() && Some(*p) == port,
                Allowed::Host { .. } => false,
            });
        if allowed { Ok(()) } else { Err(refusal) }
    }
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn parse_entry(entry: &str) -> Result<Allowed, PolicyError> {
    let bad = || PolicyError(entry.to_owned());
    let text = entry.trim();
    if let Some((base, bits)) = text.split_once('/') {
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let bits: u8 = bits.parse().map_err(|_| bad())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        return if bits <= most { Ok(Allowed::Network { base, bits }) } else { Err(bad()) };
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        return Ok(Allowed::Network { base: ip, bits });
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Ok(Allowed::Socket { ip: socket.ip().to_canonical(), port: socket.port() });
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse::<u16>().map_err(|_| bad())?)),
        None => (text, None),
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(fine) {
        return Err(bad());
    }
    Ok(Allowed::Host { name: plain(name), port })
}

fn contains(base: IpAddr, bits: u8, ip: IpAddr) -> bool {
    match (base, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => in4(ip, base, bits),
        (IpAddr::V6(base), IpAddr::V6(ip)) => in6(ip, base, bits),
        _ => false,
    }
}

fn in4(ip: Ipv4Addr, base: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
    ip.to_bits() & mask == base.to_bits() & mask
}

fn in6(ip: Ipv6Addr, base: Ipv6Addr, bits: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    ip.to_bits() & mask == base.to_bits() & mask
}

/// What is wrong with an address, or `None` when it is public unicast.
fn refusal_of(ip: IpAddr) -> Option<Refusal> {
    match ip {
        IpAddr::V4(ip) => refusal_of_v4(ip),
        IpAddr::V6(ip) => refusal_of_v6(ip),
    }
}

fn refusal_of_v4(ip: Ipv4Addr) -> Option<Refusal> {
    const RESERVED: &[([u8; 4], u8)] = &[
        ([0, 0, 0, 0], 8),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 3),
    ];
    if ip.is_loopback() {
        Some(Refusal::Loopback)
    } else if ip.is_link_local() {
        Some(Refusal::LinkLocal)
    } else if ip.is_private() || in4(ip, Ipv4Addr::new(100, 64, 0, 0), 10) {
        Some(Refusal::Private)
    } else if RESERVED.iter().any(|(base, bits)| in4(ip, Ipv4Addr::from(*base), *bits)) {
        Some(Refusal::Reserved)
    } else {
        None
    }
}

fn refusal_of_v6(ip: Ipv6Addr) -> Option<Refusal> {
    const RESERVED: &[([u16; 8], u8)] = &[
        ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
        ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
        ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
        ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
        ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        ([0, 0, 0, 0, 0, 0, 0, 0], 96),
    ];
    if ip.is_loopback() {
        return Some(Refusal::Loopback);
    }
    if let Some(inner) = ip.to_ipv4_mapped() {
        return refusal_of_v4(inner);
    }
    // NAT64: the IPv4 address travels in the last 32 bits.
    if in6(ip, Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
        let [.., a, b, c, d] = ip.octets();
        return refusal_of_v4(Ipv4Addr::new(a, b, c, d));
    }
    if in6(ip, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10) {
        Some(Refusal::LinkLocal)
    } else if in6(ip, Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7) {
        Some(Refusal::Private)
    } else if RESERVED.iter().any(|(base, bits)| in6(ip, Ipv6Addr::from(*base), *bits)) {
        Some(Refusal::Reserved)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(policy: &Policy, url: &str) -> Result<(), Refusal> {
        policy.check_url(&reqwest::Url::parse(url).unwrap())
    }

    fn policy(loopback: bool, allow: &[&str]) -> Policy {
        Policy::new(loopback, &allow.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn inside_addresses_are_refused_in_every_spelling() {
        let p = Policy::default();
        for (url, why) in [
            ("http://127.0.0.1/", Refusal::Loopback),
            ("http://2130706433/", Refusal::Loopback),
            ("http://0x7f000001/", Refusal::Loopback),
            ("http://0x7f.1/", Refusal::Loopback),
            ("http://0177.0.0.1/", Refusal::Loopback),
            ("http://127.1./", Refusal::Loopback),
            ("http://[::1]/", Refusal::Loopback),
            ("http://[::ffff:127.0.0.1]/", Refusal::Loopback),
            ("http://[64:ff9b::7f00:1]/", Refusal::Loopback),
            ("http://169.254.169.254/latest/meta-data", Refusal::LinkLocal),
            ("http://[fe80::1]/", Refusal::LinkLocal),
            ("http://10.0.0.1/", Refusal::Private),
            ("http://172.31.255.255/", Refusal::Private),
            ("http://192.168.1.1/", Refusal::Private),
            ("http://100.100.100.200/", Refusal::Private),
            ("http://[fd00:ec2::254]/", Refusal::Private),
            ("http://0.0.0.0/", Refusal::Reserved),
            ("http://[::]/", Refusal::Reserved),
            ("http://224.0.0.1/", Refusal::Reserved),
            ("http://255.255.255.255/", Refusal::Reserved),
            ("http://[ff02::1]/", Refusal::Reserved),
            ("http://[2002:7f00:1::]/", Refusal::Reserved),
            ("ftp://example.com/", Refusal::Scheme),
            ("http://user:pass@example.com/", Refusal::Credentials),
        ] {
            assert_eq!(check(&p, url), Err(why), "{url}");
        }
        for url in ["https://graph.facebook.com/", "http://1.1.1.1/", "http://[2606:4700::1111]/"] {
            assert_eq!(check(&p, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn exceptions_open_exactly_what_they_name() {
        let p =
            policy(false, &["10.0.0.0/8", "192.168.1.5:8069", "crm.internal:8069", "odoo.internal", "[fd00::1]:443"]);
        for url in [
            "http://10.9.8.7/",
            "http://192.168.1.5:8069/",
            "http://CRM.internal:8069/",
            "http://odoo.internal./",
            "https://[fd00::1]/",
        ] {
            assert_eq!(check(&p, url), Ok(()), "{url}");
        }
        assert_eq!(check(&p, "http://192.168.1.5/"), Err(Refusal::Private));
        assert_eq!(check(&p, "http://crm.internal/"), Err(Refusal::Port));
        assert_eq!(check(&p, "http://127.0.0.1/"), Err(Refusal::Loopback));
        let inside: IpAddr = "192.168.7.7".parse().unwrap();
        assert_eq!(p.check_resolved("odoo.internal", inside), Ok(()));
        assert_eq!(p.check_resolved("evil.example", inside), Err(Refusal::Private));
        assert_eq!(check(&policy(true, &[]), "http://[::ffff:127.0.0.1]:1/"), Ok(()));
        assert_eq!(check(&policy(true, &[]), "http://10.0.0.1/"), Err(Refusal::Private));
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in ["10.0.0.0/33", "a b", "", "host:99999", "x/8", "http://crm.internal"] {
            assert_eq!(Policy::new(false, &[bad.to_owned()]), Err(PolicyError(bad.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_judged_like_the_address(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(refusal_of_v4(v4), refusal_of_v6(v4.to_ipv6_mapped()));
        }

        #[test]
        fn a_network_holds_its_own_addresses(bits in any::<u32>(), len in 0u8..=32) {
            let ip = Ipv4Addr::from_bits(bits);
            prop_assert!(in4(ip, ip, len));
            if len > 0 {
                prop_assert!(!in4(Ipv4Addr::from_bits(bits ^ (1 << (32 - u32::from(len)))), ip, len));
            }
        }
    }
}
