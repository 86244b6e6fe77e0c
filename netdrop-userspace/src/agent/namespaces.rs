//! Namespaces of which flows were seen of late.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::flow::Flow;
use crate::proto::observer::Namespace;

/// How long one is told after its last flow.
const KEPT: Duration = Duration::from_hours(1);
/// How often those that are older are cleared away.
const SWEEP: Duration = Duration::from_mins(5);
/// Most that are kept; a cluster of so many namespaces is beyond what Kubernetes bears.
const MOST: usize = 20_000;
/// The cluster's name; netdrop knows of one only.
const CLUSTER: &str = "default";

/// When each was seen last.
#[derive(Debug)]
pub struct Namespaces(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    last: FxHashMap<Arc<str>, Instant>,
    swept: Instant,
    /// Names that found no place.
    turned_away: u64,
}

impl Namespaces {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Seen { last: FxHashMap::default(), swept: now, turned_away: 0 }))
    }

    /// Notes those of some flows.
    pub fn see<'a>(&self, flows: impl Iterator<Item = &'a Flow>, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for flow in flows {
            for end in [&flow.source, &flow.destination] {
                if let Some(info) = &end.info {
                    seen.note(&info.namespace, now);
                }
            }
        }
        if now.duration_since(seen.swept) >= SWEEP {
            seen.sweep(now);
        }
    }

    /// For GetNamespaces, in order.
    pub fn list(&self, now: Instant) -> Vec<Namespace> {
        let mut names: Vec<Arc<str>> = {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.sweep(now);
            seen.last.keys().cloned().collect()
        };
        names.sort_unstable();
        names
            .into_iter()
            .map(|name| Namespace { cluster: CLUSTER.to_owned(), namespace: name.to_string() })
            .collect()
    }
}

impl Seen {
    fn note(&mut self, name: &Arc<str>, now: Instant) {
        if name.is_empty() {
            return;
        }
        if let Some(last) = self.last.get_mut(name) {
            *last = now;
        } else if self.last.len() < MOST {
            self.last.insert(Arc::clone(name), now);
        } else {
            self.turned_away += 1;
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.last.retain(|_, last| now.duration_since(*last) < KEPT);
        if self.turned_away > 0 {
            tracing::warn!(
                flows = self.turned_away,
                "more than {MOST} namespaces: those of some flows are not listed"
            );
            self.turned_away = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Endpoint, EndpointInfo, Verdict};
    use jiff::Timestamp;

    fn flow(source: &str, destination: &str) -> Flow {
        let end = |namespace: &str| {
            let info = EndpointInfo { namespace: namespace.into(), ..EndpointInfo::default() };
            Endpoint { info: Some(Arc::new(info)), ..Endpoint::default() }
        };
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        (flow.source, flow.destination) = (end(source), end(destination));
        flow
    }

    fn names(namespaces: &Namespaces, now: Instant) -> Vec<String> {
        namespaces.list(now).into_iter().map(|n| format!("{}/{}", n.cluster, n.namespace)).collect()
    }

    #[test]
    fn those_of_the_last_hour_are_told_in_order() {
        let start = Instant::now();
        let at = |minutes| start + Duration::from_mins(minutes);
        let namespaces = Namespaces::new(start);
        namespaces.see([flow("b", "a"), flow("", "b")].iter(), at(0));
        namespaces.see([flow("c", "")].iter(), at(30));
        assert_eq!(names(&namespaces, at(59)), ["default/a", "default/b", "default/c"]);
        namespaces.see([flow("a", "a")].iter(), at(59));
        assert_eq!(names(&namespaces, at(61)), ["default/a", "default/c"]);
        assert_eq!(names(&namespaces, at(119)), Vec::<String>::new());
    }

    #[test]
    fn old_ones_are_cleared_away_and_new_ones_bounded() {
        let start = Instant::now();
        let namespaces = Namespaces::new(start);
        let many: Vec<Flow> = (0..MOST + 5).map(|n| flow(&n.to_string(), "")).collect();
        namespaces.see(many.iter(), start);
        assert_eq!(namespaces.0.lock().unwrap().last.len(), MOST);
        assert_eq!(namespaces.0.lock().unwrap().turned_away, 5);
        namespaces.see([flow("new", "")].iter(), start + KEPT);
        assert_eq!(
            namespaces.0.lock().unwrap().last.len(),
            0,
            "the sweep comes after: the next flow finds place"
        );
        namespaces.see([flow("new", "")].iter(), start + KEPT);
        assert_eq!(names(&namespaces, start + KEPT), ["default/new"]);
    }
}
