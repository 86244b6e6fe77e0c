//! Which blocks and records a filter can match, without decoding them.
//!
//! A plan lets pass what the filter matches, and perhaps more; the filter itself decides. So it asks only for what is cheap to look
//! up: addresses and ports where they lie in a record, names once a block, and other headers once for each of the few that there
//! are. Whether these fit, the filter's own rules say: a part of the filter that asks for nothing else is tried on a flow that has
//! nothing else.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use rustc_hash::FxHashMap;

use super::block::Block;
use super::codec::{Dictionary, Hot, Kind, Name};
use crate::filter::{Compiled, Filters, FlowFilter};
use crate::flow::{Flow, Ip, L4, Verdict};

/// Filters that are planned for; beyond, each record is decoded.
const MOST_ASKS: usize = 32;

/// What a list of filters asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan(Vec<Ask>);

/// What one filter asks for. `None`: nothing that is cheap to look up.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    /// Their numbers.
    pub(super) verdicts: Option<Vec<i32>>,
    /// Of source and destination.
    pub(super) addresses: [Option<Vec<Prefix>>; 2],
    pub(super) ports: [Option<Vec<u16>>; 2],
    /// Parts of the filter that ask for the reason, and for the names of source and destination.
    pub(super) reason: Option<Compiled>,
    pub(super) names: [Option<Compiled>; 2],
    /// Parts that ask for a place or a process; looked up for a block, not for each record.
    places: Vec<(Kind, Compiled)>,
    /// That asks for the protocol, TCP's flags and the address family.
    headers: Option<Compiled>,
    /// That asks for what no flow of this machine has, as a layer 7 proxy's, and does not fit a flow without.
    never: bool,
}

/// All values, if there are any and each makes sense.
fn parsed<T>(values: &[String], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if values.is_empty() { None } else { values.iter().map(|v| parse(v)).collect() }
}

/// Addresses whose first bits are alike; compared as numbers, since that is done for each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    v4: bool,
    bits: u128,
    mask: u128,
    /// The address, if it is a single one.
    exact: Option<IpAddr>,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Prefix {
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && number(address) & self.mask == self.bits
    }
}

fn prefix(text: &str) -> Option<Prefix> {
    let net: IpNet =
        if text.contains('/') { text.parse().ok()? } else { IpNet::from(text.parse::<IpAddr>().ok()?) };
    let (bits, mask) = (number(net.network()), number(net.netmask()));
    let exact = (net.prefix_len() == net.max_prefix_len()).then(|| net.addr());
    Some(Prefix { v4: net.addr().is_ipv4(), bits, mask, exact })
}

/// A part of a filter, if it asks for anything.
fn part(filter: FlowFilter) -> Option<Compiled> {
    let asks = filter != FlowFilter::default();
    asks.then(|| Filters { allow: vec![filter], deny: Vec::new() }.compile().ok())?
}

/// What is asked for that no flow of this machine has.
fn foreign(f: &FlowFilter) -> FlowFilter {
    FlowFilter {
        source_ip_xlated: f.source_ip_xlated.clone(),
        source_cluster_name: f.source_cluster_name.clone(),
        destination_cluster_name: f.destination_cluster_name.clone(),
        http_status_code: f.http_status_code.clone(),
        http_method: f.http_method.clone(),
        http_path: f.http_path.clone(),
        http_url: f.http_url.clone(),
        http_header: f.http_header.clone(),
        dns_query: f.dns_query.clone(),
        node_labels: f.node_labels.clone(),
        trace_id: f.trace_id.clone(),
        ip_trace_id: f.ip_trace_id.clone(),
        encrypted: f.encrypted.clone(),
        ..FlowFilter::default()
    }
}

/// What is asked of the place where a packet died, and of who was there.
fn places(f: &FlowFilter) -> Vec<(Kind, Compiled)> {
    let of = FlowFilter::default;
    let parts = [
        (Kind::Site, FlowFilter { site: f.site.clone(), ..of() }),
        (Kind::Interface, FlowFilter { interface: f.interface.clone(), ..of() }),
        (Kind::Netns, FlowFilter { netns: f.netns.clone(), ..of() }),
        (Kind::Process, FlowFilter { pid: f.pid.clone(), comm: f.comm.clone(), ..of() }),
        (Kind::Text, FlowFilter { node_name: f.node_name.clone(), ..of() }),
    ];
    parts.into_iter().filter_map(|(kind, filter)| Some((kind, part(filter)?))).collect()
}

/// A flow of which nothing is known.
fn blank() -> Flow {
    Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped)
}

impl Ask {
    pub(super) fn new(f: &FlowFilter) -> Self {
        let of = FlowFilter::default;
        let port = |text: &str| text.parse().ok();
        Self {
            verdicts: (!f.verdict.is_empty()).then(|| f.verdict.clone()),
            addresses: [parsed(&f.source_ip, prefix), parsed(&f.destination_ip, prefix)],
            ports: [parsed(&f.source_port, port), parsed(&f.destination_port, port)],
            reason: part(FlowFilter { reason: f.reason.clone(), ..of() }),
            names: [
                part(FlowFilter {
                    source_pod: f.source_pod.clone(),
                    source_label: f.source_label.clone(),
                    source_workload: f.source_workload.clone(),
                    ..of()
                }),
                part(FlowFilter {
                    destination_pod: f.destination_pod.clone(),
                    destination_label: f.destination_label.clone(),
                    destination_workload: f.destination_workload.clone(),
                    ..of()
                }),
            ],
            places: places(f),
            headers: part(FlowFilter {
                protocol: f.protocol.clone(),
                tcp_flags: f.tcp_flags.clone(),
                ip_version: f.ip_version.clone(),
                ..of()
            }),
            never: part(foreign(f)).is_some_and(|part| !part.matches(&blank())),
        }
    }

    /// Exact addresses and ports that the block has not, or reasons.
    fn may_be_in(&self, block: &Block, dictionary: &mut Dictionary<'_>) -> bool {
        let exact = |nets: &Vec<Prefix>| {
            nets.iter().any(|net| net.exact.is_none_or(|address| block.summary.addresses.may_have(address)))
        };
        let port = |ports: &Vec<u16>| ports.iter().any(|port| block.summary.ports.may_have(*port));
        !self.never
            && self.addresses.iter().flatten().all(exact)
            && self.ports.iter().flatten().all(port)
            && self
                .reason
                .as_ref()
                .is_none_or(|part| any_name(Kind::Reason, dictionary, |name| fits_reason(part, name)))
            && self
                .places
                .iter()
                .all(|(kind, part)| any_name(*kind, dictionary, |name| fits_place(part, name)))
            && self.names.iter().enumerate().all(|(side, part)| {
                part.as_ref().is_none_or(|part| {
                    any_name(Kind::Endpoint, dictionary, |name| fits_end(part, name, side))
                })
            })
    }
}

/// Whether a flow without such a name fits, or one with a name of the block: far fewer than there are records.
fn any_name(kind: Kind, names: &mut Dictionary<'_>, fits: impl Fn(Option<&Name>) -> bool) -> bool {
    fits(None)
        || (0..names.written.len()).any(|id| {
            names.written.kind(id) == Some(kind) && names.get(id).is_none_or(|name| fits(Some(name)))
        })
}

/// Whether a part fits a flow that has this name only.
fn fits_reason(part: &Compiled, name: Option<&Name>) -> bool {
    let mut flow = blank();
    if let Some(Name::Reason(reason)) = name {
        flow.reason = Some(reason.clone());
    }
    part.matches(&flow)
}

fn fits_place(part: &Compiled, name: Option<&Name>) -> bool {
    let mut flow = blank();
    match name {
        Some(Name::Site(site)) => flow.site = Some(site.clone()),
        Some(Name::Interface(interface)) => flow.interface = Some(interface.clone()),
        Some(Name::Netns(netns)) => flow.netns = Some(netns.clone()),
        Some(Name::Process(process)) => flow.process = Some(process.clone()),
        Some(Name::Text(text)) => flow.node_name = Some(text.clone()),
        _ => {}
    }
    part.matches(&flow)
}

fn fits_end(part: &Compiled, name: Option<&Name>, side: usize) -> bool {
    let mut flow = blank();
    if let Some(Name::Endpoint(info)) = name {
        let end = if side == 0 { &mut flow.source } else { &mut flow.destination };
        end.info = Some(info.clone());
    }
    part.matches(&flow)
}

fn fits_headers(part: &Compiled, hot: &Hot<'_>) -> bool {
    let mut flow = blank();
    flow.packet.l4 = hot.l4;
    flow.packet.ip = hot.addresses.map(|[source, destination]| Ip {
        source,
        destination,
        protocol: 0,
        ttl: 0,
        total_length: 0,
        fragment: None,
    });
    part.matches(&flow)
}

/// The same for headers that are alike in all that is asked of them.
fn likeness(hot: &Hot<'_>) -> u32 {
    let family = match hot.addresses {
        None => 0,
        Some([source, _]) if source.is_ipv4() => 1,
        Some(_) => 2,
    };
    let protocol = match hot.l4 {
        None => 0,
        Some(L4::Tcp { flags, .. }) => 1 | u32::from(flags.0) << 8,
        Some(L4::Udp { .. }) => 2,
        Some(L4::Sctp { .. }) => 3,
        Some(L4::Icmpv4(_)) => 4,
        Some(L4::Icmpv6(_)) => 5,
        Some(L4::Vrrp { .. }) => 6,
        Some(L4::Igmp { .. }) => 7,
    };
    family << 4 | protocol
}

/// What is known of a block's names: for each class of names and each ask whether it was looked up, and what came out.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// Asks that can match anything here.
    asks: u32,
    reasons: Vec<Known>,
    ends: [Vec<Known>; 2],
    headers: FxHashMap<u32, Known>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    tried: u32,
    fits: u32,
}

impl Known {
    fn of(&mut self, ask: u32, try_it: impl FnOnce() -> bool) -> bool {
        if self.tried & ask == 0 {
            self.tried |= ask;
            self.fits |= if try_it() { ask } else { 0 };
        }
        self.fits & ask != 0
    }
}

impl Verdicts {
    /// Whether there is anything in the block that can match.
    pub(super) fn any(&self) -> bool {
        self.asks != 0
    }
}

impl Plan {
    pub(super) fn new(filters: &Filters) -> Self {
        if filters.allow.len() > MOST_ASKS {
            return Self::default();
        }
        Self(filters.allow.iter().map(Ask::new).collect())
    }

    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// What can be said of a block before its records are read.
    pub(super) fn verdicts(&self, block: &Block) -> Verdicts {
        if self.is_all() {
            return Verdicts { asks: u32::MAX, ..Verdicts::default() };
        }
        let mut made = Vec::new();
        let dictionary = &mut Dictionary { written: block.names(), made: &mut made };
        let asks = self.bits().filter(|(_, ask)| ask.may_be_in(block, dictionary));
        let asks = asks.fold(0, |all, (bit, _)| all | bit);
        if asks == 0 {
            return Verdicts::default();
        }
        // One more than there are names: what has none.
        let known =
            |asked: bool| if asked { vec![Known::default(); block.names().len() + 1] } else { Vec::new() };
        Verdicts {
            asks,
            reasons: known(self.0.iter().any(|ask| ask.reason.is_some())),
            ends: [0, 1].map(|side| known(self.0.iter().any(|ask| ask.names[side].is_some()))),
            headers: FxHashMap::default(),
        }
    }

    fn bits(&self) -> impl Iterator<Item = (u32, &Ask)> {
        self.0.iter().enumerate().map(|(i, ask)| (1 << i, ask))
    }

    /// Whether a flow's record can match.
    pub(super) fn may_match(
        &self,
        verdict: Verdict,
        hot: &Hot<'_>,
        names: &mut Dictionary<'_>,
        known: &mut Verdicts,
    ) -> bool {
        let none = names.written.len();
        let ids = [hot.source.unwrap_or(none), hot.destination.unwrap_or(none)];
        let ports = hot.l4.and_then(|l4| l4.ports()).map(|(source, destination)| [source, destination]);
        self.bits().any(|(bit, ask)| {
            known.asks & bit != 0
                && ask.verdicts.as_ref().is_none_or(|list| list.contains(&(verdict as i32)))
                && (0..2).all(|side| {
                    ask.addresses[side].as_ref().is_none_or(|nets| {
                        hot.addresses.is_some_and(|a| nets.iter().any(|net| net.contains(a[side])))
                    }) && ask.ports[side]
                        .as_ref()
                        .is_none_or(|list| ports.is_some_and(|p| list.contains(&p[side])))
                })
                && ask.headers.as_ref().is_none_or(|part| {
                    known.headers.entry(likeness(hot)).or_default().of(bit, || fits_headers(part, hot))
                })
                && ask.reason.as_ref().is_none_or(|part| {
                    let id = hot.reason.unwrap_or(none);
                    known
                        .reasons
                        .get_mut(id)
                        .is_none_or(|known| known.of(bit, || fits_reason(part, names.get(id))))
                })
                && (0..2).all(|side| {
                    ask.names[side].as_ref().is_none_or(|part| {
                        known.ends[side]
                            .get_mut(ids[side])
                            .is_none_or(|known| known.of(bit, || fits_end(part, names.get(ids[side]), side)))
                    })
                })
        })
    }
}
