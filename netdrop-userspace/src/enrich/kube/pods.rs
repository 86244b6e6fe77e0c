//! Pods: whose an address is, and what comes and goes.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{Shared, State, objects};
use crate::enrich::change::{Address, Change};
use crate::flow::{EndpointInfo, Identity};

#[derive(Default)]
pub(super) struct PodState {
    /// By uid.
    known: HashMap<Arc<str>, Known>,
    listed: HashSet<Arc<str>>,
    /// A list has come to its end; what differs from then on are changes.
    tells: bool,
}

/// A pod that has not ended.
struct Known {
    info: Arc<EndpointInfo>,
    /// Another name for its uid.
    hash: Option<Arc<str>>,
    addresses: Vec<IpAddr>,
    /// Address of its node.
    host: Option<IpAddr>,
}

impl PodState {
    fn end(&mut self, uid: &str, shared: &Shared) {
        if let Some(pod) = self.known.remove(uid) {
            let now = Timestamp::now();
            shared.names.end_pod(uid, &pod.addresses, now);
            [Some(uid), pod.hash.as_deref()]
                .into_iter()
                .flatten()
                .for_each(|uid| shared.names.end_uid(uid, now));
            self.tell(Some(&pod), None, shared);
        }
    }

    /// Tells how a pod's addresses have changed.
    fn tell(&self, before: Option<&Known>, now: Option<&Known>, shared: &Shared) {
        if !self.tells || !shared.listener.is_there() {
            return;
        }
        let addresses = |pod: Option<&Known>| pod.map(|p| p.addresses.clone()).unwrap_or_default();
        let (old, new) = (addresses(before), addresses(now));
        if let Some(pod) = now.or(before)
            && pod.info.node.is_some()
            && pod.info.node == shared.reporter
        {
            match (old.is_empty(), new.is_empty()) {
                (true, false) => shared.listener.tell(Change::EndpointCreated(Arc::clone(&pod.info))),
                (false, true) => shared.listener.tell(Change::EndpointDeleted(Arc::clone(&pod.info))),
                _ => {}
            }
        }
        let of = |pod: &Known, address: IpAddr| Address {
            address,
            identity: Identity::UNKNOWN,
            before: None,
            host: pod.host,
            pod: Some(Arc::clone(&pod.info)),
        };
        for address in old.iter().filter(|a| !new.contains(a)) {
            // Where the next pod with it was seen first, it is not free.
            if let Some(pod) = before.filter(|_| !shared.names.is_taken(*address)) {
                shared.listener.tell(Change::AddressFreed(of(pod, *address)));
            }
        }
        for address in new.iter().filter(|a| !old.contains(a)) {
            if let Some(pod) = now {
                shared.listener.tell(Change::AddressTaken(of(pod, *address)));
            }
        }
    }
}

impl State<Pod> for PodState {
    const KIND: &'static str = "pods";

    fn begin(&mut self) {
        self.listed.clear();
    }

    fn apply(&mut self, pod: Pod, shared: &Shared) {
        let facts = {
            let namespaces = shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
            objects::pod(&pod, &namespaces)
        };
        let Some(facts) = facts else { return };
        self.listed.insert(Arc::clone(&facts.uid));
        if facts.ended {
            self.end(&facts.uid, shared);
            return;
        }
        let now = Timestamp::now();
        let pod = Known { info: facts.info, hash: facts.hash, addresses: facts.addresses, host: facts.host };
        [Some(&facts.uid), pod.hash.as_ref()]
            .into_iter()
            .flatten()
            .for_each(|uid| shared.names.set_uid(uid, &pod.info));
        let before = self.known.remove(&facts.uid);
        let old = before.as_ref().map_or(&[][..], |b| &b.addresses);
        let gone: Vec<IpAddr> = old.iter().filter(|a| !pod.addresses.contains(a)).copied().collect();
        shared.names.end_pod(&facts.uid, &gone, now);
        shared.names.set_pod(&facts.uid, &pod.info, &pod.addresses, facts.since.unwrap_or(now), now);
        self.tell(before.as_ref(), Some(&pod), shared);
        self.known.insert(facts.uid, pod);
    }

    fn delete(&mut self, pod: Pod, shared: &Shared) {
        if let Some(uid) = &pod.metadata.uid {
            self.end(uid, shared);
        }
    }

    fn complete(&mut self, shared: &Shared) {
        let gone: Vec<Arc<str>> =
            self.known.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
        for uid in gone {
            self.end(&uid, shared);
        }
        self.listed = HashSet::new();
        self.tells = true;
    }
}
