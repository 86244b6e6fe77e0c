//! One metric's series: found by a small key, without a text being made for each flow; bounded in number.
//!
//! A series beyond the bound is counted in one whose labels for who (and which port) say `overflow`. Its labels for what (reason,
//! protocol) stay right, as those are few by nature.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Context, Needs, NeedsOf};
use crate::flow::{Endpoint, EndpointInfo, Flow, TrafficDirection};

/// Value of the labels of what has no series of its own.
const OVERFLOW: &str = "overflow";

/// Namespace and name of a pod.
pub type PodName = (Arc<str>, Arc<str>);

/// Label values of a series, escaped as the text format wants them.
pub(super) type Values = Arc<[Arc<str>]>;

/// What a flow's values depend on. Endpoints are compared by address: the entry holds them, so that none is used again.
#[derive(Clone, Debug)]
struct Key {
    what: u64,
    ends: [Option<Arc<EndpointInfo>>; 2],
    ips: [Option<IpAddr>; 2],
    direction: TrafficDirection,
}

fn address(end: Option<&Arc<EndpointInfo>>) -> *const EndpointInfo {
    end.map_or(std::ptr::null(), Arc::as_ptr)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = |at: usize| address(self.ends[at].as_ref()) == address(other.ends[at].as_ref());
        self.what == other.what
            && self.direction == other.direction
            && same(0)
            && same(1)
            && self.ips == other.ips
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.what ^ (self.direction as u64) << 62);
        for end in &self.ends {
            state.write_usize(address(end.as_ref()).addr());
        }
        for ip in self.ips.iter().flatten() {
            match ip {
                IpAddr::V4(a) => state.write_u32(a.to_bits()),
                IpAddr::V6(a) => state.write_u128(a.to_bits()),
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Series {
    values: Values,
    count: u64,
    /// The pods that the labels name.
    pods: [Option<PodName>; 2],
    /// It is of what has none of its own.
    overflow: bool,
}

/// Labels for what happened, of a number that stands for them.
pub(super) trait What: std::fmt::Debug + Send {
    /// Appends the values of [`Family::what_names`].
    fn values(&self, what: u64, values: &mut Vec<Arc<str>>);
}

/// One metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Names of the labels, in the order of the values.
    pub(super) names: Vec<&'static str>,
    context: Context,
    needs: Needs,
    /// Labels for who come before those for what.
    context_first: bool,
    /// Labels that say `overflow` beyond the bound.
    unbounded: Vec<bool>,
    most: usize,
    series: Vec<Series>,
    /// Where a series is.
    places: FxHashMap<Values, usize>,
    /// Where the series of a flow is.
    known: FxHashMap<Key, usize>,
    /// The last one: drops of a kind come in a row.
    last: Option<(Key, usize)>,
}

/// How a metric is called and what it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) what_names: &'static [&'static str],
    pub(super) context_first: bool,
}

impl Family {
    pub(super) fn new(shape: Shape, context: &Context, most: usize) -> Self {
        let Shape { name, help, what_names, context_first } = shape;
        let who = context.names();
        let unbounded_what = what_names.iter().map(|n| *n == "port");
        let unbounded_who = who.iter().map(|n| *n != "traffic_direction");
        let (names, unbounded) = if context_first {
            ([&who, what_names].concat(), unbounded_who.chain(unbounded_what).collect())
        } else {
            ([what_names, &who].concat(), unbounded_what.chain(unbounded_who).collect())
        };
        Self {
            name,
            help,
            names,
            context: context.clone(),
            needs: context.needs(),
            context_first,
            unbounded,
            most,
            series: Vec::new(),
            places: FxHashMap::default(),
            known: FxHashMap::default(),
            last: None,
        }
    }

    /// Counts a flow's drops.
    pub(super) fn add(&mut self, flow: &Flow, what: u64, meaning: &dyn What) {
        let count = flow.tally.count;
        if let Some((key, at)) = &self.last
            && self.is_key_of(key, flow, what)
        {
            self.series[*at].count += count;
            return;
        }
        let Some(key) = self.key(flow, what) else {
            // DNS names are a list of their own in each flow.
            let at = self.place(flow, what, meaning);
            self.series[at].count += count;
            return;
        };
        let at = if let Some(at) = self.known.get(&key) {
            *at
        } else {
            let at = self.place(flow, what, meaning);
            if self.known.len() >= self.most * 4 + 1024 {
                self.known.clear();
            }
            self.known.insert(key.clone(), at);
            at
        };
        self.series[at].count += count;
        self.last = Some((key, at));
    }

    /// Whether the flow has this key; cheaper than to make one.
    fn is_key_of(&self, key: &Key, flow: &Flow, what: u64) -> bool {
        let Needs { source, destination, direction } = self.needs;
        let end = |needs: NeedsOf, end: &Endpoint, at: usize| {
            !needs.endpoint || address(end.info.as_ref()) == address(key.ends[at].as_ref())
        };
        let ip = flow.packet.ip;
        key.what == what
            && end(source, &flow.source, 0)
            && end(destination, &flow.destination, 1)
            && (!direction || key.direction == flow.direction)
            && (!source.ip || key.ips[0] == ip.map(|ip| ip.source))
            && (!destination.ip || key.ips[1] == ip.map(|ip| ip.destination))
            && (!source.dns || flow.source_names.is_empty())
            && (!destination.dns || flow.destination_names.is_empty())
    }

    /// `None`: the values depend on more than a key holds.
    fn key(&self, flow: &Flow, what: u64) -> Option<Key> {
        let Needs { source, destination, direction } = self.needs;
        if source.dns && !flow.source_names.is_empty()
            || destination.dns && !flow.destination_names.is_empty()
        {
            return None;
        }
        let end = |needs: NeedsOf, end: &Endpoint| end.info.clone().filter(|_| needs.endpoint);
        let ip = flow.packet.ip;
        Some(Key {
            what,
            ends: [end(source, &flow.source), end(destination, &flow.destination)],
            ips: [
                ip.map(|ip| ip.source).filter(|_| source.ip),
                ip.map(|ip| ip.destination).filter(|_| destination.ip),
            ],
            direction: if direction { flow.direction } else { TrafficDirection::Unknown },
        })
    }

    /// Where the flow's series is, made if need be.
    fn place(&mut self, flow: &Flow, what: u64, meaning: &dyn What) -> usize {
        let mut values = Vec::with_capacity(self.names.len());
        if self.context_first {
            self.context.values(flow, &mut values);
            meaning.values(what, &mut values);
        } else {
            meaning.values(what, &mut values);
            self.context.values(flow, &mut values);
        }
        for value in &mut values {
            escape(value);
        }
        if let Some(at) = self.places.get(&*values) {
            return *at;
        }
        let pod = |needs: NeedsOf, end: &Endpoint| {
            let info = end.info.as_ref().filter(|info| needs.pod && !info.pod_name.is_empty())?;
            Some((Arc::clone(&info.namespace), Arc::clone(&info.pod_name)))
        };
        let overflow = self.series.len() >= self.most && self.unbounded.contains(&true);
        let mut pods = [pod(self.needs.source, &flow.source), pod(self.needs.destination, &flow.destination)];
        if overflow {
            for (value, _) in values.iter_mut().zip(&self.unbounded).filter(|(_, unbounded)| **unbounded) {
                *value = OVERFLOW.into();
            }
            if let Some(at) = self.places.get(&*values) {
                return *at;
            }
            pods = [None, None];
        }
        let values: Values = values.into();
        self.series.push(Series { values: Arc::clone(&values), count: 0, pods, overflow });
        self.places.insert(values, self.series.len() - 1);
        self.series.len() - 1
    }

    /// Drops in series beyond the bound.
    pub(super) fn overflowed(&self) -> u64 {
        self.series.iter().filter(|s| s.overflow).map(|s| s.count).sum()
    }

    /// Whether series end with their pods.
    pub(super) fn names_pods(&self) -> bool {
        self.needs.source.pod || self.needs.destination.pod
    }

    /// Removes the series of pods that are no more.
    pub(super) fn keep_pods(&mut self, there: &FxHashSet<PodName>) {
        let before = self.series.len();
        self.series.retain(|s| s.pods.iter().flatten().all(|pod| there.contains(pod)));
        if self.series.len() < before {
            self.known.clear();
            self.last = None;
            self.places.clear();
            let places = self.series.iter().enumerate().map(|(at, s)| (Arc::clone(&s.values), at));
            self.places.extend(places);
        }
    }

    /// All series, sorted by nothing yet.
    pub(super) fn snapshot(&self) -> Vec<(Values, u64)> {
        self.series.iter().map(|s| (Arc::clone(&s.values), s.count)).collect()
    }
}

/// The encoder writes values as they are.
fn escape(value: &mut Arc<str>) {
    if value.contains(['\\', '"', '\n']) {
        *value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into();
    }
}

#[cfg(test)]
#[path = "family_tests.rs"]
mod tests;
