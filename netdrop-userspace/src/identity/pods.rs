//! Names of this node's pods, as kubelet leaves them on the disk: the folder of each pod's logs is called
//! `NAMESPACE_NAME_UID` (kubelet since 1.14, pkg/kubelet/kuberuntime/helpers.go).

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::EndpointInfo;

/// An unknown pod makes the folder be read again, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);
/// A pod whose folder is gone is remembered for so long.
const TOMBSTONE: Duration = Duration::from_mins(1);

/// Pods by uid.
#[derive(Debug)]
pub struct PodFolders {
    folder: PathBuf,
    known: HashMap<Arc<str>, (Arc<EndpointInfo>, Instant)>,
    read_at: Option<Instant>,
}

impl PodFolders {
    /// Those of this machine's kubelet.
    pub fn of_machine() -> Self {
        Self::at("/var/log/pods".into())
    }

    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder, known: HashMap::new(), read_at: None }
    }

    /// Namespace and name of a pod. `None`: nobody knows.
    pub fn pod(&mut self, uid: &str) -> Option<Arc<EndpointInfo>> {
        self.pod_at(uid, Instant::now())
    }

    fn pod_at(&mut self, uid: &str, now: Instant) -> Option<Arc<EndpointInfo>> {
        let is_due = self.read_at.is_none_or(|at| now.duration_since(at) > REFRESH);
        if is_due && !self.known.contains_key(uid) {
            self.read(now);
        }
        // No uid is given twice.
        self.known.get(uid).map(|(info, _)| Arc::clone(info))
    }

    fn read(&mut self, now: Instant) {
        self.read_at = Some(now);
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some([namespace, pod_name, uid]) = name.to_str().and_then(parts) else { continue };
            let known = self.known.entry(uid.into()).or_insert_with(|| {
                let (namespace, pod_name) = (namespace.into(), pod_name.into());
                (Arc::new(EndpointInfo { namespace, pod_name, ..EndpointInfo::default() }), now)
            });
            known.1 = now;
        }
        self.known.retain(|_, (_, seen)| now.duration_since(*seen) <= TOMBSTONE);
    }
}

/// None of the three has an underscore.
fn parts(name: &str) -> Option<[&str; 3]> {
    let parts: Vec<&str> = name.split('_').collect();
    <[&str; 3]>::try_from(parts).ok().filter(|parts| parts.iter().all(|part| !part.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_by_its_folder_and_for_a_while_without() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["default_web-0_1-2-3", "x", "a_b", "a__c", "kube-system_etcd-n1_0123abcd"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut pods = PodFolders::at(folder.path().to_owned());
        let begin = Instant::now();
        let name = |pods: &mut PodFolders, uid: &str, seconds| {
            let pod = pods.pod_at(uid, begin + Duration::from_secs(seconds));
            pod.map(|pod| format!("{}/{}", pod.namespace, pod.pod_name))
        };
        assert_eq!(name(&mut pods, "1-2-3", 0).as_deref(), Some("default/web-0"));
        assert_eq!(name(&mut pods, "0123abcd", 0).as_deref(), Some("kube-system/etcd-n1"));
        assert_eq!(name(&mut pods, "c", 0), None);
        fs::remove_dir(folder.path().join("default_web-0_1-2-3")).unwrap();
        assert_eq!(name(&mut pods, "other", 5), None, "looked for");
        assert_eq!(name(&mut pods, "1-2-3", 50).as_deref(), Some("default/web-0"));
        assert_eq!(name(&mut pods, "other", 100), None);
        assert_eq!(name(&mut pods, "1-2-3", 100), None);
        let mut none = PodFolders::at(folder.path().join("none"));
        assert_eq!(none.pod("c"), None);
    }
}
