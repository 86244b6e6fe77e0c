use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(name: &str, node: &str) -> Arc<EndpointInfo> {
    Arc::new(EndpointInfo {
        namespace: "production".into(),
        pod_name: name.into(),
        node: Some(node.into()),
        ..EndpointInfo::default()
    })
}

fn names() -> Names {
    let n = Names::default();
    n.expect_kubernetes(Some("n1".into()));
    n.set_nodes(
        [(ip("192.168.0.1"), Arc::from("n1")), (ip("192.168.0.2"), Arc::from("n2"))].into_iter().collect(),
        vec![("10.0.1.0/24".parse().unwrap(), "n1".into()), ("10.0.2.0/24".parse().unwrap(), "n2".into())],
    );
    n.set_api_servers(vec![ip("192.168.0.9")]);
    n.set_services(
        [(ip("10.96.0.10"), Arc::new(ServiceName { name: "dns".into(), namespace: "kube-system".into() }))]
            .into_iter()
            .collect(),
    );
    n
}

#[test]
fn the_owner_is_the_one_at_the_packets_time() {
    let n = names();
    let address = [ip("10.0.1.5")];
    let (old, new) = (Arc::from("uid-old"), Arc::from("uid-new"));
    n.set_pod(&old, &pod("old", "n1"), &address, at(0), at(0));
    n.end_pod("uid-old", &address, at(100));
    let who = |t| n.endpoint(address[0], t).pod_name().to_owned();
    assert_eq!((who(at(50)), who(at(101))), ("old".into(), "old".into()));
    n.set_pod(&new, &pod("new", "n1"), &address, at(110), at(110));
    assert_eq!((who(at(99)), who(at(105)), who(at(111))), ("old".into(), "old".into(), "new".into()));
    // A deletion that arrives late does not end the next tenant's stay.
    n.end_pod("uid-old", &address, at(112));
    assert_eq!(who(at(113)), "new");
}

#[test]
fn the_deleted_are_forgotten_after_a_minute() {
    let n = names();
    for i in 0..200u8 {
        n.set_pod(&Arc::from(format!("u{i}")), &pod("p", "n1"), &[IpAddr::from([10, 0, 1, i])], at(0), at(0));
        n.end_pod(&format!("u{i}"), &[IpAddr::from([10, 0, 1, i])], at(1));
    }
    assert_eq!(n.status().pods, 200);
    n.set_pod(&Arc::from("x"), &pod("x", "n1"), &[ip("10.0.2.1")], at(120), at(120));
    assert_eq!(n.status().pods, 1);
    assert_eq!(n.endpoint(ip("10.0.1.7"), at(121)).info, None);
}

#[test]
fn an_address_passes_on_without_a_deletion() {
    let n = names();
    let a = [ip("10.0.1.5")];
    n.set_pod(&Arc::from("one"), &pod("one", "n1"), &a, at(0), at(0));
    n.set_pod(&Arc::from("two"), &pod("two", "n1"), &a, at(10), at(10));
    assert_eq!(n.endpoint(a[0], at(5)).pod_name(), "one");
    assert_eq!(n.endpoint(a[0], at(15)).pod_name(), "two");
}

#[test]
fn reserved_identities() {
    let n = names();
    let id = |a: &str| n.endpoint(ip(a), at(0)).identity;
    assert_eq!(id("192.168.0.1"), Identity::HOST);
    assert_eq!(id("127.0.0.1"), Identity::HOST);
    assert_eq!(id("192.168.0.2"), Identity::REMOTE_NODE);
    assert_eq!(id("192.168.0.9"), Identity::KUBE_APISERVER);
    assert_eq!(id("8.8.8.8"), Identity::UNKNOWN, "nothing is the world's before all is known");
    n.set_synced();
    assert_eq!(id("8.8.8.8"), Identity::WORLD);
    for inside in
        ["10.96.0.10", "10.0.2.77", "224.0.0.1", "255.255.255.255", "fe80::1", "ff02::2", "169.254.1.1"]
    {
        assert_eq!(id(inside), Identity::UNKNOWN, "{inside}");
    }
    assert_eq!(n.endpoint(ip("192.168.0.2"), at(0)).pod_name(), "", "a node's address is no pod's");
    assert_eq!(&*n.service(ip("10.96.0.10")).unwrap().name, "dns");
}

#[test]
fn nodes_of_addresses() {
    let n = names();
    n.set_pod(&Arc::from("u"), &pod("p", "n2"), &[ip("10.7.7.7")], at(0), at(0));
    let node = |a: &str| n.node_of(ip(a), at(1)).map(|s| s.to_string());
    assert_eq!(node("10.7.7.7"), Some("n2".into()));
    assert_eq!(node("192.168.0.1"), Some("n1".into()));
    assert_eq!(node("10.0.2.1"), Some("n2".into()));
    assert_eq!(node("8.8.8.8"), None);
}
