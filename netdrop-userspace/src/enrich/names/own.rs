//! Addresses: which are this machine's, and which may be anybody's.

use std::net::IpAddr;

/// Addresses of the world are unicast and routed.
pub(super) fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !(a.is_multicast() || a.is_broadcast() || a.is_unspecified() || a.is_link_local()),
        IpAddr::V6(a) => !(a.is_multicast() || a.is_unspecified() || a.is_unicast_link_local()),
    }
}

/// This machine's addresses: what the kernel lists as local.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").map(|text| local_v4(&text)).unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").map(|text| local_v6(&text)).unwrap_or_default();
    v4.into_iter().chain(v6).collect()
}

/// A leaf's address stands on the line before its `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<IpAddr> {
    let mut leaf = None;
    let mut out = Vec::new();
    for line in trie.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<IpAddr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf
            && !out.contains(&address)
        {
            out.push(address);
        }
    }
    out
}

fn local_v6(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(|bits| IpAddr::V6(bits.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_of_a_trie() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            local_v6("00000000000000000000000000000001 01 80 10 80       lo\n"),
            ["::1".parse::<IpAddr>().unwrap()]
        );
        assert!(own_addresses().contains(&"127.0.0.1".parse().unwrap()));
    }
}
