//! Network policies: that they come, change and go. What they say is for the engine that enforces them.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::few::{Few, Turn};
use super::{Shared, State};
use crate::enrich::change::{Change, Policy};

/// What is kept of a policy: enough to see that it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    namespace: Arc<str>,
    name: Arc<str>,
    uid: Arc<str>,
    rules: u32,
    /// Grows with each change of what it says.
    generation: i64,
}

#[derive(Default)]
pub(super) struct PolicyState {
    few: Few<Facts>,
    revision: u64,
}

impl Facts {
    fn of(policy: &NetworkPolicy) -> Self {
        let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
        let about = &policy.metadata;
        Self {
            namespace: text(&about.namespace),
            name: text(&about.name),
            uid: text(&about.uid),
            rules: rules(policy),
            generation: about.generation.unwrap_or_default(),
        }
    }
}

/// One for each peer of each rule, one for a rule without peers, and one for a direction that has no rules and is denied by that.
fn rules(policy: &NetworkPolicy) -> u32 {
    let Some(spec) = &policy.spec else { return 1 };
    let peers = |n: usize| n.max(1);
    let ingress: usize = spec.ingress.iter().flatten().map(|r| peers(r.from.iter().flatten().count())).sum();
    let egress: usize = spec.egress.iter().flatten().map(|r| peers(r.to.iter().flatten().count())).sum();
    let has = |kind: &str| spec.policy_types.iter().flatten().any(|t| t == kind);
    let denied_in = ingress == 0 && (has("Ingress") || !has("Egress"));
    let denied_out = egress == 0 && has("Egress");
    u32::try_from(ingress + egress + usize::from(denied_in) + usize::from(denied_out)).unwrap_or(u32::MAX)
}

impl PolicyState {
    fn turn(&mut self, Turn { before, now }: Turn<Facts>, shared: &Shared) {
        self.revision += 1;
        let policy = |facts: Facts| Policy {
            namespace: facts.namespace,
            name: facts.name,
            uid: facts.uid,
            rules: facts.rules,
            revision: self.revision,
        };
        match (before, now) {
            (_, Some(now)) => shared.listener.tell(Change::PolicyUpdated(policy(now))),
            (Some(before), None) => shared.listener.tell(Change::PolicyDeleted(policy(before))),
            (None, None) => {}
        }
    }
}

impl State<NetworkPolicy> for PolicyState {
    const KIND: &'static str = "networkpolicies";

    fn begin(&mut self) {
        self.few.begin();
    }

    fn apply(&mut self, policy: NetworkPolicy, shared: &Shared) {
        let facts = Facts::of(&policy);
        if let Some(turn) = self.few.set(facts.uid.to_string(), facts) {
            self.turn(turn, shared);
        }
    }

    fn delete(&mut self, policy: NetworkPolicy, shared: &Shared) {
        if let Some(turn) = self.few.remove(policy.metadata.uid.as_deref().unwrap_or_default()) {
            self.turn(turn, shared);
        }
    }

    fn complete(&mut self, shared: &Shared) {
        for turn in self.few.complete() {
            self.turn(turn, shared);
        }
        self.revision = self.revision.max(1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_counted_by_their_peers() {
        let count = |spec: serde_json::Value| {
            rules(&serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap())
        };
        let selector = json!({"podSelector": {}});
        assert_eq!(count(json!({"podSelector": {}})), 1, "no type: all that comes in is denied");
        assert_eq!(count(json!({"podSelector": {}, "policyTypes": ["Egress"]})), 1);
        assert_eq!(count(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})), 2);
        assert_eq!(count(json!({"podSelector": {}, "ingress": [{}, {"from": [selector, selector]}]})), 3);
        let both = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [selector]}], "egress": [{"to": [selector]}, {"ports": [{"port": 53}]}]});
        assert_eq!(count(both), 3);
    }
}
