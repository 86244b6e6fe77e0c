//! From the user's filter to the stages of the prefilter in the kernel.

use ipnet::IpNet;

use super::compile::{One, Protocol};
use super::side::IpMatch;
use crate::flow::Verdict;

/// What may pass in the kernel; `None`: that stage is off. A drop passes when every stage that is on lets it pass, so a stage is
/// only on where every filter of the allow list asks for something of its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prefilter {
    /// Raw reasons.
    pub reasons: Option<Vec<u32>>,
    /// Namespace inodes.
    pub netns: Option<Vec<u32>>,
    /// Prefixes that source or destination lies in.
    pub prefixes: Option<Vec<IpNet>>,
    /// Ports that source or destination is.
    pub ports: Option<Vec<u16>>,
    /// IP protocol numbers.
    pub protocols: Option<Vec<u8>>,
    /// Indices of the device or the incoming device.
    pub interfaces: Option<Vec<u32>>,
    /// The filter matches no drop at all.
    pub nothing: bool,
}

/// The union of what every filter asks; `None` if one asks nothing.
fn union<T: Ord>(filters: &[One], ask: impl Fn(&One) -> Option<Vec<T>>) -> Option<Vec<T>> {
    if filters.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    for filter in filters {
        all.extend(ask(filter)?);
    }
    all.sort();
    all.dedup();
    Some(all)
}

fn asked<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

pub(super) fn lower(allow: &[One], codes: &dyn Fn(&str) -> Vec<u32>) -> Prefilter {
    Prefilter {
        reasons: union(allow, |f| reasons(f, codes)),
        netns: union(allow, |f| asked(&f.netns)),
        prefixes: union(allow, prefixes),
        ports: union(allow, |f| asked(&f.source.port).or_else(|| asked(&f.destination.port))),
        protocols: union(allow, protocols),
        interfaces: union(allow, interfaces),
        nothing: !allow.is_empty()
            && allow.iter().all(|f| !f.verdict.is_empty() && !f.verdict.contains(&Verdict::Dropped)),
    }
}

/// A pattern may match the `SUBSYS:NUMBER` of reasons that nobody has listed: off then.
fn reasons(f: &One, codes: &dyn Fn(&str) -> Vec<u32>) -> Option<Vec<u32>> {
    let names = asked(&f.reason)?;
    if names.iter().any(|n| n.contains('*')) {
        return None;
    }
    Some(names.iter().flat_map(|n| codes(n)).collect())
}

/// Of the source's filter, or else the destination's: either must hold, so one of them is enough to ask for.
fn prefixes(f: &One) -> Option<Vec<IpNet>> {
    let side = if f.source.ip.is_empty() { &f.destination.ip } else { &f.source.ip };
    asked(side).map(|list| {
        list.iter()
            .filter_map(|m| match m {
                IpMatch::Exact(a) => Some(IpNet::from(*a)),
                IpMatch::Prefix(p) => Some(*p),
                IpMatch::NeverPrinted => None,
            })
            .collect()
    })
}

fn protocols(f: &One) -> Option<Vec<u8>> {
    let numbers = |p: &Protocol| match p {
        Protocol::Tcp => vec![6],
        // UDP-Lite is shown as UDP.
        Protocol::Udp => vec![17, 136],
        Protocol::Sctp => vec![132],
        Protocol::Icmp => vec![1, 58],
        Protocol::IcmpV4 => vec![1],
        Protocol::IcmpV6 => vec![58],
        Protocol::Vrrp => vec![112],
        Protocol::Igmp => vec![2],
        Protocol::L7 => vec![],
    };
    asked(&f.protocol).map(|list| list.iter().flat_map(numbers).collect())
}

/// Names differ between namespaces; only indices can be asked for.
fn interfaces(f: &One) -> Option<Vec<u32>> {
    asked(&f.interface)?.iter().map(|i| (i.index != 0).then_some(i.index)).collect()
}
