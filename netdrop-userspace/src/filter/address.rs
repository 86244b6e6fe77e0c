//! Addresses and names of a filter.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use regex::Regex;

use super::compile::FilterError;
use super::fields::Address;
use super::pattern::bounded;

/// An address filter. Hubble compares an exact one as text: `2001:DB8::1` does not match `2001:db8::1`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum IpMatch {
    /// The text, and the address where that is printed just so.
    Exact(String, Option<IpAddr>),
    Prefix(IpNet),
}

impl IpMatch {
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.contains('/') {
            return prefix(text).map(Self::Prefix).ok_or_else(|| {
                FilterError(format!(
                    "invalid IP prefix {text:?} in filter: want ADDRESS/LENGTH, as 10.0.0.0/8"
                ))
            });
        }
        match text.parse::<IpAddr>() {
            Ok(address) => {
                let printed = address.to_string() == text;
                Ok(Self::Exact(text.to_owned(), printed.then_some(address)))
            }
            Err(_) if has_zone(text) => Ok(Self::Exact(text.to_owned(), None)),
            Err(_) => Err(FilterError(format!(
                "invalid IP address {text:?} in filter: want an address, as 10.0.0.1 or fd00::1"
            ))),
        }
    }

    pub(super) fn matches(&self, have: Address<'_>) -> bool {
        match (self, have) {
            (Self::Exact(_, want), Address::Parsed(have)) => *want == Some(have),
            (Self::Exact(want, _), Address::Text(have)) => want == have,
            (Self::Prefix(net), Address::Parsed(have)) => net.contains(&have),
            (Self::Prefix(net), Address::Text(have)) => have.parse().is_ok_and(|a: IpAddr| net.contains(&a)),
        }
    }
}

/// `fe80::1%eth0`.
fn has_zone(text: &str) -> bool {
    text.split_once('%')
        .is_some_and(|(address, zone)| !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok())
}

/// A length has no sign and no leading zeros.
fn prefix(text: &str) -> Option<IpNet> {
    let (address, length) = text.rsplit_once('/')?;
    let plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    if !plain {
        return None;
    }
    // By the standard library's rules, which know no leading zeros.
    IpNet::new(address.parse().ok()?, length.parse().ok()?).ok().map(|net| net.trunc())
}

/// `namespace/name`, both may be empty; the name is a prefix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    namespace: String,
    prefix: String,
}

impl Named {
    /// A name without a namespace is in `default`.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError("invalid filter, name must not be empty".into()));
        }
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        let (namespace, prefix) = parts.next().map_or(("default", first), |second| (first, second));
        Ok(Self { namespace: namespace.to_owned(), prefix: prefix.to_owned() })
    }

    /// A filter for any name still asks for some name.
    pub(super) fn matches(&self, (namespace, name): (&str, &str)) -> bool {
        !(namespace.is_empty() && name.is_empty())
            && (self.namespace.is_empty() || self.namespace == namespace)
            && name.starts_with(&self.prefix)
    }
}

/// What an empty part of a node pattern stands for.
const ANY_NAME: &str = r"(?:[-0-9_a-z]+(?:\.[-0-9_a-z]+)*)";

/// DNS name patterns, of which one must match the whole name.
pub(super) fn fqdns(patterns: &[String]) -> Result<Regex, FilterError> {
    whole(patterns, fqdn)
}

/// `[cluster/]node` patterns, of which one must match the whole of `cluster/node`.
pub(super) fn nodes(patterns: &[String]) -> Result<Regex, FilterError> {
    whole(patterns, |pattern| {
        if pattern.is_empty() {
            return Err(FilterError("empty pattern".into()));
        }
        let parts: Vec<&str> = pattern.split('/').collect();
        let (cluster, node) = match parts[..] {
            [node] => ("", node),
            [cluster, node] => (cluster, node),
            _ => return Err(FilterError("too many slashes in pattern".into())),
        };
        let part = |text: &str| if text.is_empty() { Ok(ANY_NAME.to_owned()) } else { fqdn(text) };
        Ok(format!("{}/{}", part(cluster)?, part(node)?))
    })
}

fn whole(
    patterns: &[String],
    one: impl Fn(&str) -> Result<String, FilterError>,
) -> Result<Regex, FilterError> {
    let all = patterns.iter().map(|p| one(p)).collect::<Result<Vec<_>, _>>()?;
    bounded(&format!(r"\A(?:{})\z", all.join("|")))
        .map_err(|_| FilterError("too many or too long patterns of names in one filter".into()))
}

/// In lower case, without one dot at the end; `*` stands for any run of letters, digits, dashes and dots.
fn fqdn(pattern: &str) -> Result<String, FilterError> {
    let trimmed = pattern.trim();
    let name = trimmed.strip_suffix('.').unwrap_or(trimmed).to_lowercase();
    if name.is_empty() {
        return Err(FilterError("empty pattern".into()));
    }
    if name.ends_with('.') {
        return Err(FilterError("multiple trailing dots in pattern".into()));
    }
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '.' => out.push_str(r"\."),
            '*' => out.push_str("[-.0-9a-z]*"),
            '-' | '_' | '0'..='9' | 'a'..='z' => out.push(c),
            c => return Err(FilterError(format!("{c:?}: invalid rune in pattern"))),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes_and_of_dns() {
        let node = |pattern: &str, name: &str| nodes(&[pattern.to_owned()]).unwrap().is_match(name);
        assert!(node("k8s*", "default/k8s1") && node("east/*", "east/a.b") && node("/", "a/b"));
        assert!(!node("k8s*", "default/K8s1") && !node("east/*", "west/a") && !node("*", "a/b/c"));
        let name = |pattern: &str, name: &str| fqdns(&[pattern.to_owned()]).unwrap().is_match(name);
        assert!(name("*.Example.com.", "a.b.example.com") && !name("*.example.com", "a_b.example.com"));
        for (pattern, error) in [
            ("", "empty pattern"),
            ("a..", "multiple trailing dots in pattern"),
            ("a b", "' ': invalid rune in pattern"),
        ] {
            assert_eq!(fqdns(&[pattern.to_owned()]).unwrap_err().0, error);
        }
        assert_eq!(nodes(&["a/b/c".to_owned()]).unwrap_err().0, "too many slashes in pattern");
    }

    #[test]
    fn addresses_are_as_strict_as_they_are_printed() {
        for good in ["10.0.0.1", "FD00::1", "fe80::1%eth0", "10.0.0.0/8", "::/0"] {
            IpMatch::parse(good).unwrap();
        }
        for bad in [
            "",
            "10.0.0",
            "010.0.0.1",
            "010.0.0.0/8",
            "::ffff:010.0.0.0/104",
            "fe80::1%eth0/64",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "fe80::%",
            "1.2.3.4%a",
            "/",
        ] {
            IpMatch::parse(bad).unwrap_err();
        }
    }
}
