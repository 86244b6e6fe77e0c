//! Services: their names, and the places where they are reached.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service as Object;

use super::few::{Few, Turn};
use super::objects::{self, Place, ServiceFacts};
use super::{Shared, State};
use crate::enrich::change::{Change, Service};

#[derive(Default)]
pub(super) struct ServiceState {
    few: Few<ServiceFacts>,
    /// Numbers of the places that are there.
    ids: HashMap<Place, u32>,
    last: u32,
}

impl ServiceState {
    fn publish(&self, shared: &Shared) {
        let names = |facts: &ServiceFacts| {
            facts.addresses.iter().map(|ip| (*ip, Arc::clone(&facts.name))).collect::<Vec<(IpAddr, _)>>()
        };
        shared.names.set_services(self.few.all().flat_map(names).collect());
    }

    fn id(&mut self, place: &Place) -> u32 {
        if let Some(id) = self.ids.get(place) {
            return *id;
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.ids.insert(place.clone(), self.last);
        self.last
    }

    fn turn(&mut self, Turn { before, now }: &Turn<ServiceFacts>, shared: &Shared) {
        if !shared.listener.is_there() {
            return;
        }
        let places =
            |facts: &Option<ServiceFacts>| facts.as_ref().map(|f| f.places.clone()).unwrap_or_default();
        let (old, new) = (places(before), places(now));
        for place in old.keys().filter(|place| !new.contains_key(*place)) {
            let id = self.id(place);
            self.ids.remove(place);
            shared.listener.tell(Change::ServiceDeleted(id));
        }
        let Some(facts) = now else { return };
        let same = before.as_ref().is_some_and(|b| {
            b.external_policy == facts.external_policy && b.internal_policy == facts.internal_policy
        });
        for (place, kind) in new.iter().filter(|(place, kind)| !same || old.get(*place) != Some(*kind)) {
            let service = Service {
                id: self.id(place),
                address: place.address,
                port: place.port,
                kind,
                external_policy: Arc::clone(&facts.external_policy),
                internal_policy: Arc::clone(&facts.internal_policy),
                name: Arc::clone(&facts.name),
            };
            shared.listener.tell(Change::ServiceUpserted(Arc::new(service)));
        }
    }
}

impl State<Object> for ServiceState {
    const KIND: &'static str = "services";

    fn begin(&mut self) {
        self.few.begin();
    }

    fn apply(&mut self, service: Object, shared: &Shared) {
        let facts = objects::service(&service);
        if let Some(turn) = self.few.set(service.metadata.uid.unwrap_or_default(), facts) {
            self.publish(shared);
            self.turn(&turn, shared);
        }
    }

    fn delete(&mut self, service: Object, shared: &Shared) {
        if let Some(turn) = self.few.remove(&service.metadata.uid.unwrap_or_default()) {
            self.publish(shared);
            self.turn(&turn, shared);
        }
    }

    fn complete(&mut self, shared: &Shared) {
        let turns = self.few.complete();
        self.publish(shared);
        for turn in &turns {
            self.turn(turn, shared);
        }
    }
}
