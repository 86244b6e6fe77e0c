//! What is heard of a cluster that comes, goes and is lost for a while.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::enrich::change::Service as Reached;

/// A cluster as its watchers tell of it.
struct Cluster {
    shared: Shared,
    heard: Arc<Mutex<Vec<Change>>>,
}

impl Cluster {
    fn new() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&heard);
        let (events, _) = mpsc::channel(1);
        let names = Names::default();
        names.expect_kubernetes(Some("n1".into()));
        let shared = Shared {
            names,
            reporter: Some("n1".into()),
            server: String::new(),
            events,
            state: Mutex::default(),
            namespaces: Mutex::default(),
            namespaces_known: flag::channel(false).0,
            listener: Listener::new(move |change| to.lock().unwrap().push(change)),
            reserved: Mutex::default(),
        };
        Self { shared, heard }
    }

    /// Everything that was heard since the last time, a word each.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap()).iter().map(word).collect()
    }

    /// A list of all objects of a kind, as after every connection.
    fn list<K: DeserializeOwned, S: State<K>>(&self, state: &mut S, objects: &[Value]) {
        state.begin();
        for object in objects {
            state.apply(made(object), &self.shared);
        }
        state.complete(&self.shared);
        self.shared.listed(S::KIND);
    }

    fn apply<K: DeserializeOwned, S: State<K>>(&self, state: &mut S, object: &Value) {
        state.apply(made(object), &self.shared);
    }

    fn delete<K: DeserializeOwned, S: State<K>>(&self, state: &mut S, object: &Value) {
        state.delete(made(object), &self.shared);
    }
}

fn made<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

fn word(change: &Change) -> String {
    let of = |a: &Address| {
        let before = a.before.map(|i| format!(" was {}", i.0)).unwrap_or_default();
        let pod = a.pod.as_ref().map_or("", |p| &p.pod_name);
        format!("{} {}{before} {pod}", a.address, a.identity.0)
    };
    match change {
        Change::EndpointCreated(pod) => format!("+pod {}", pod.pod_name),
        Change::EndpointDeleted(pod) => format!("-pod {}", pod.pod_name),
        Change::AddressTaken(a) => format!("+ip {}", of(a)).trim_end().to_owned(),
        Change::AddressFreed(a) => format!("-ip {}", of(a)).trim_end().to_owned(),
        Change::ServiceUpserted(s) => {
            let Reached { id, address, port, kind, external_policy, .. } = &**s;
            format!("+svc {id} {address}:{port} {kind} {external_policy}")
        }
        Change::ServiceDeleted(id) => format!("-svc {id}"),
        Change::PolicyUpdated(p) => format!("+policy {} {} r{}", p.name, p.rules, p.revision),
        Change::PolicyDeleted(p) => format!("-policy {} {} r{}", p.name, p.rules, p.revision),
    }
}

fn pod(name: &str, node: &str, ip: Option<&str>) -> Value {
    let ips: Vec<Value> = ip.iter().map(|ip| json!({"ip": ip})).collect();
    json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
        "spec": {"containers": [], "nodeName": node},
        "status": {"phase": "Running", "hostIP": "192.168.0.1", "podIPs": ips}})
}

#[test]
fn pods_come_and_go() {
    let cluster = Cluster::new();
    let mut pods = PodState::default();
    let many: Vec<Value> = (0..1000)
        .map(|n| pod(&format!("p{n}"), "n1", Some(&format!("10.0.{}.{}", n / 250, n % 250))))
        .collect();
    cluster.list(&mut pods, &many);
    assert_eq!(cluster.heard(), [""; 0], "what was there is no news");
    // Made here: first without an address.
    cluster.apply(&mut pods, &pod("new", "n1", None));
    assert_eq!(cluster.heard(), [""; 0]);
    cluster.apply(&mut pods, &pod("new", "n1", Some("10.0.9.1")));
    cluster.apply(&mut pods, &pod("new", "n1", Some("10.0.9.1")));
    assert_eq!(cluster.heard(), ["+pod new", "+ip 10.0.9.1 0 new"], "once");
    // Another node's is no endpoint of this one, but its address is known.
    cluster.apply(&mut pods, &pod("far", "n2", Some("10.0.9.2")));
    assert_eq!(cluster.heard(), ["+ip 10.0.9.2 0 far"]);
    // The next pod with an address may be heard of before the end of the last.
    cluster.apply(&mut pods, &pod("next", "n1", Some("10.0.9.1")));
    assert_eq!(cluster.heard(), ["+pod next", "+ip 10.0.9.1 0 next"]);
    cluster.delete(&mut pods, &pod("new", "n1", Some("10.0.9.1")));
    assert_eq!(cluster.heard(), ["-pod new"], "the address is not free");
    let mut done = pod("next", "n1", Some("10.0.9.1"));
    done["status"]["phase"] = "Succeeded".into();
    cluster.apply(&mut pods, &done);
    cluster.delete(&mut pods, &done);
    assert_eq!(cluster.heard(), ["-pod next", "-ip 10.0.9.1 0 next"]);
    // After a time without a connection: what has changed meanwhile is told, and nothing else.
    let mut list = many.clone();
    list.remove(7);
    list.push(pod("late", "n1", Some("10.0.9.3")));
    cluster.list(&mut pods, &list);
    let mut heard = cluster.heard();
    heard.sort();
    assert_eq!(
        heard,
        ["+ip 10.0.9.3 0 late", "+pod late", "-ip 10.0.0.7 0 p7", "-ip 10.0.9.2 0 far", "-pod p7"]
    );
}

#[test]
fn services_are_told_by_their_places() {
    let cluster = Cluster::new();
    let mut services = ServiceState::default();
    let service = |name: &str, ip: &str, ports: &[u16], policy: &str| {
        let ports: Vec<Value> = ports.iter().map(|p| json!({"port": p})).collect();
        json!({"metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"clusterIP": ip, "ports": ports, "externalTrafficPolicy": policy}})
    };
    let web = |ports: &[u16], policy: &str| service("web", "10.96.0.2", ports, policy);
    cluster.list(&mut services, &[service("old", "10.96.0.1", &[443], "Cluster")]);
    assert_eq!(cluster.heard(), [""; 0]);
    cluster.apply(&mut services, &service("headless", "None", &[80], "Cluster"));
    cluster.apply(&mut services, &web(&[80, 81], "Cluster"));
    cluster.apply(&mut services, &web(&[80, 81], "Cluster"));
    assert_eq!(
        cluster.heard(),
        ["+svc 1 10.96.0.2:80 ClusterIP Cluster", "+svc 2 10.96.0.2:81 ClusterIP Cluster"]
    );
    cluster.apply(&mut services, &web(&[81, 82], "Cluster"));
    assert_eq!(cluster.heard(), ["-svc 1", "+svc 3 10.96.0.2:82 ClusterIP Cluster"]);
    cluster.apply(&mut services, &web(&[81, 82], "Local"));
    let both = ["+svc 2 10.96.0.2:81 ClusterIP Local", "+svc 3 10.96.0.2:82 ClusterIP Local"];
    assert_eq!(cluster.heard(), both);
    cluster.list(&mut services, &[web(&[82], "Local")]);
    let mut heard = cluster.heard();
    heard.sort();
    assert_eq!(heard, ["-svc 2", "-svc 4"], "one of them was there before anybody looked");
    cluster.delete(&mut services, &web(&[82], "Local"));
    assert_eq!(cluster.heard(), ["-svc 3"]);
}

#[test]
fn nodes_and_the_api_server_have_identities() {
    let cluster = Cluster::new();
    let node = |name: &str, ip: &str, beat: u32| {
        json!({"metadata": {"name": name, "uid": name, "annotations": {"beat": beat.to_string()}},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]}})
    };
    let slice = |ip: &str| json!({"metadata": {"name": "kubernetes", "uid": "k"}, "addressType": "IPv4", "endpoints": [{"addresses": [ip]}]});
    let (mut nodes, mut slices) = (NodesState::default(), SliceState::default());
    cluster.list(&mut nodes, &[node("n1", "192.168.0.1", 0), node("n2", "192.168.0.2", 0)]);
    cluster.list(&mut slices, &[slice("192.168.0.9")]);
    cluster.list(&mut ServiceState::default(), &[]);
    cluster.list(&mut NamespaceState::default(), &[]);
    assert_eq!(cluster.heard(), [""; 0]);
    assert!(!cluster.shared.names.status().synced);
    cluster.list(&mut PodState::default(), &[]);
    assert!(cluster.shared.names.status().synced);
    // Nodes say every few minutes that they live.
    cluster.apply(&mut nodes, &node("n2", "192.168.0.2", 1));
    assert_eq!(cluster.heard(), [""; 0]);
    cluster.apply(&mut nodes, &node("n3", "192.168.0.3", 0));
    assert_eq!(cluster.heard(), ["+ip 192.168.0.3 6"]);
    // The API server has moved to a node, and the node goes.
    cluster.apply(&mut slices, &slice("192.168.0.3"));
    let mut heard = cluster.heard();
    heard.sort();
    assert_eq!(heard, ["+ip 192.168.0.3 7 was 6", "-ip 192.168.0.9 7"]);
    cluster.delete(&mut nodes, &node("n3", "192.168.0.3", 0));
    assert_eq!(cluster.heard(), [""; 0]);
    cluster.delete(&mut nodes, &node("n2", "192.168.0.2", 0));
    assert_eq!(cluster.heard(), ["-ip 192.168.0.2 6"]);
}

#[test]
fn policies_change_by_what_they_say() {
    let cluster = Cluster::new();
    let policy = |name: &str, generation: i64, peers: usize| {
        let from: Vec<Value> = (0..peers).map(|_| json!({"podSelector": {}})).collect();
        json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "generation": generation},
            "spec": {"podSelector": {}, "ingress": [{"from": from}]}})
    };
    let mut policies = PolicyState::default();
    cluster.list(&mut policies, &[policy("old", 1, 1)]);
    cluster.apply(&mut policies, &policy("old", 1, 1));
    assert_eq!(cluster.heard(), [""; 0]);
    cluster.apply(&mut policies, &policy("deny", 1, 2));
    cluster.apply(&mut policies, &policy("deny", 2, 3));
    cluster.delete(&mut policies, &policy("deny", 2, 3));
    assert_eq!(cluster.heard(), ["+policy deny 2 r2", "+policy deny 3 r3", "-policy deny 3 r4"]);
    cluster.list(&mut policies, &[]);
    assert_eq!(cluster.heard(), ["-policy old 1 r5"]);
}

#[test]
fn what_an_account_may_not_read_is_no_broken_connection() {
    let refused = |code: u16| {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    };
    assert!(is_forbidden(&refused(403)) && is_forbidden(&refused(404)));
    assert!(!is_forbidden(&refused(500)) && !is_forbidden(&watcher::Error::NoResourceVersion));
}
