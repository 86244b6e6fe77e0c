//! Pods by uid, also those that have no address of their own.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashMap as HashMap;

use super::Names;
use crate::flow::EndpointInfo;

/// Names, and when the pod ended.
#[derive(Default)]
pub(super) struct Uids(HashMap<Arc<str>, (Arc<EndpointInfo>, Option<Timestamp>)>);

impl Uids {
    /// Forgets what ended longer ago.
    pub(super) fn sweep(&mut self, now: Timestamp, limit: SignedDuration) {
        self.0.retain(|_, (_, until)| until.is_none_or(|until| now.duration_since(until) <= limit));
    }
}

impl Names {
    /// The pod of this uid; of a static pod also of the hash that kubelet calls it by. Known for a while after its end.
    pub fn pod(&self, uid: &str) -> Option<Arc<EndpointInfo>> {
        self.read().uids.0.get(uid).map(|(info, _)| Arc::clone(info))
    }

    /// A pod has this uid.
    pub(crate) fn set_uid(&self, uid: &Arc<str>, info: &Arc<EndpointInfo>) {
        self.write().uids.0.insert(Arc::clone(uid), (Arc::clone(info), None));
    }

    /// It has ended.
    pub(crate) fn end_uid(&self, uid: &str, now: Timestamp) {
        if let Some((_, until)) = self.write().uids.0.get_mut(uid) {
            until.get_or_insert(now);
        }
    }
}
