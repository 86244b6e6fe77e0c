//! From the user's filter to the stages of the prefilter in the kernel.

use ipnet::IpNet;

use super::address::IpMatch;
use super::compile::{Ask, One, Protocol};
use super::fields::{Side, Which};
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

pub(super) fn lower(allow: &[One], codes: &dyn Fn(&str) -> Vec<u32>) -> Prefilter {
    Prefilter {
        reasons: union(allow, |f| reasons(f, codes)),
        netns: union(allow, |f| asked(f, |a| if let Ask::Netns(n) = a { Some(n.clone()) } else { None })),
        prefixes: union(allow, prefixes),
        ports: union(allow, ports),
        protocols: union(allow, protocols),
        interfaces: union(allow, interfaces),
        nothing: !allow.is_empty() && allow.iter().all(asks_for_no_drop),
    }
}

/// What a filter asks of some kind, if it does.
fn asked<'a, T>(f: &'a One, kind: impl Fn(&'a Ask) -> Option<T>) -> Option<T> {
    f.asks.iter().find_map(kind)
}

fn asks_for_no_drop(f: &One) -> bool {
    f.asks.iter().any(|a| matches!(a, Ask::Verdict(wanted) if !wanted.contains(&(Verdict::Dropped as i32))))
}

/// A pattern may match the `SUBSYS:NUMBER` of reasons that nobody has listed: off then.
fn reasons(f: &One, codes: &dyn Fn(&str) -> Vec<u32>) -> Option<Vec<u32>> {
    let names = asked(f, |a| if let Ask::Reason(names) = a { Some(names) } else { None })?;
    if names.iter().any(|n| n.contains('*')) {
        return None;
    }
    Some(names.iter().flat_map(|n| codes(n)).collect())
}

/// Of the source's filter, or else the destination's: either must hold, so one of them is enough to ask for. An address that is
/// never printed as it was written matches nothing.
fn prefixes(f: &One) -> Option<Vec<IpNet>> {
    let of = |side: Which| {
        asked(f, |a| {
            if let Ask::Address(w, list) = a
                && *w == side
            {
                Some(list)
            } else {
                None
            }
        })
    };
    let list = of(Which::Source).or_else(|| of(Which::Destination))?;
    let net = |m: &IpMatch| match m {
        IpMatch::Exact(_, address) => address.map(IpNet::from),
        IpMatch::Prefix(net) => Some(*net),
    };
    Some(list.iter().filter_map(net).collect())
}

fn ports(f: &One) -> Option<Vec<u16>> {
    let of = |side: Side| {
        asked(f, |a| {
            if let Ask::Port(s, list) = a
                && *s == side
            {
                Some(list.clone())
            } else {
                None
            }
        })
    };
    of(Side::Source).or_else(|| of(Side::Destination))
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
        Protocol::Dns | Protocol::Http | Protocol::Kafka => vec![],
    };
    let list = asked(f, |a| if let Ask::Protocol(list) = a { Some(list) } else { None })?;
    Some(list.iter().flat_map(numbers).collect())
}

/// Names differ between namespaces; only indices can be asked for.
fn interfaces(f: &One) -> Option<Vec<u32>> {
    let list = asked(f, |a| if let Ask::Interface(list) = a { Some(list) } else { None })?;
    list.iter().map(|i| (i.index != 0).then_some(i.index)).collect()
}
