//! Names for what a drop has of this machine: its network namespace, its socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::home::Home;
use super::netns::inode_of;
use super::{Cgroups, Namespaces, Owner, PodFolders, Processes};
use crate::enrich::Names;
use crate::flow::{Endpoint, EndpointInfo, Identity, Netns};

/// How long a namespace's name holds without being asked for again.
const TRUST: Duration = Duration::from_millis(50);
/// How often this machine's addresses are asked for, at most.
const REFRESH: Duration = Duration::from_secs(1);
/// Most names that are kept so.
const MOST: usize = 4096;
/// What is read again takes at most one part in so many of the time.
const SHARE: u32 = 50;
const HOST: &str = "reserved:host";

/// All that is known of this machine. Reads files, at most for a small share of the time.
pub struct Locals {
    namespaces: Namespaces,
    cgroups: Cgroups,
    processes: Processes,
    pods: PodFolders,
    names: Names,
    /// This process's own namespace, and what it is called.
    own: Option<u32>,
    host: Arc<str>,
    named: HashMap<u32, (Option<Arc<str>>, Instant)>,
    /// Host-network pods: names, and the same with the host's label.
    hosted: HashMap<Arc<str>, [Arc<EndpointInfo>; 2]>,
    /// When this machine's addresses may be asked for again.
    due: Option<Instant>,
}

impl Locals {
    /// Those of this machine; pods are called as `names` has them, else as kubelet's folders are.
    pub fn of_machine(names: Names) -> Self {
        Self {
            namespaces: Namespaces::of_machine(),
            cgroups: Cgroups::of_machine(),
            processes: Processes::of_machine(),
            pods: PodFolders::of_machine(),
            names,
            own: inode_of(Path::new("/proc/self/ns/net")),
            host: "host".into(),
            named: HashMap::new(),
            hosted: HashMap::new(),
            due: None,
        }
    }

    /// The namespace of an inode, with a name if anybody knows one: of the pod, as in `/run/netns`, of the container, of the unit.
    pub fn netns(&mut self, inode: u32) -> Netns {
        let now = Instant::now();
        if let Some((name, at)) = self.named.get(&inode)
            && now.duration_since(*at) <= TRUST
        {
            return Netns { inode, name: name.clone() };
        }
        let owner = self.namespaces.owner(inode).cloned();
        let name = self.name(inode, owner.unwrap_or_default());
        if self.named.len() >= MOST {
            self.named.clear();
        }
        self.named.insert(inode, (name.clone(), now));
        Netns { inode, name }
    }

    fn name(&mut self, inode: u32, owner: Owner) -> Option<Arc<str>> {
        if self.own == Some(inode) {
            return Some(owner.name.unwrap_or_else(|| Arc::clone(&self.host)));
        }
        let home = owner.home.as_deref().filter(|home| !home.is_host());
        if let Some(pod) = home.and_then(|home| home.pod.as_ref()) {
            return Some(match self.pod(&pod.uid) {
                Some(info) => format!("{}/{}", info.namespace, info.pod_name).into(),
                None => owner.name.unwrap_or_else(|| format!("pod {}", pod.uid).into()),
            });
        }
        owner.name.or_else(|| home.map(|home| home.to_string().into()))
    }

    fn pod(&mut self, uid: &str) -> Option<Arc<EndpointInfo>> {
        self.names.pod(uid).or_else(|| self.pods.pod(uid))
    }

    /// Who has an address that is this machine's own, though nobody knew it: the namespace of this inode is its own. `None`: it is not.
    pub fn own_end(&mut self, inode: u32, address: IpAddr, at: Timestamp) -> Option<Endpoint> {
        let now = Instant::now();
        if self.own != Some(inode) || self.due.is_some_and(|due| now < due) {
            return None;
        }
        self.names.refresh_own_addresses();
        self.due = Some(now + REFRESH.max(now.elapsed() * SHARE));
        Some(self.names.endpoint(address, at)).filter(|end| end.identity == Identity::HOST)
    }

    /// The pod that has the host's network and this socket: by the socket's cgroup; where pods are in cgroups of version 1, which
    /// no socket knows, by the process that sent.
    pub fn hosted_pod(&mut self, cgroup: Option<u64>, owner: Option<u32>) -> Option<Arc<EndpointInfo>> {
        let of_cgroup = cgroup.and_then(|id| self.cgroups.home(id));
        let uid = |home: &Home| home.pod.as_ref().map(|pod| Arc::clone(&pod.uid));
        let uid = of_cgroup.as_deref().and_then(uid).or_else(|| {
            let of_process = owner.and_then(|pid| self.processes.home(pid));
            of_process.as_deref().and_then(uid)
        })?;
        let info = self.pod(&uid)?;
        if let Some([plain, hosted]) = self.hosted.get(&uid)
            && Arc::ptr_eq(plain, &info)
        {
            return Some(Arc::clone(hosted));
        }
        let mut labels = info.labels.clone();
        labels.push(HOST.into());
        labels.sort_unstable();
        let hosted = Arc::new(EndpointInfo { labels, ..(*info).clone() });
        if self.hosted.len() >= MOST {
            self.hosted.clear();
        }
        self.hosted.insert(uid, [info, Arc::clone(&hosted)]);
        Some(hosted)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::identity::machine::{Machine, UID};

    fn locals_of(machine: &Machine) -> Locals {
        Locals {
            namespaces: Namespaces::at(machine.folder("proc"), machine.folder("netns")),
            cgroups: Cgroups::at(Some(machine.folder("cgroup"))),
            processes: Processes::at(Some(machine.folder("proc"))),
            pods: PodFolders::at(machine.folder("pods")),
            own: Some(1),
            ..Locals::of_machine(Names::default())
        }
    }

    fn name(locals: &mut Locals, inode: u32) -> Option<String> {
        locals.netns(inode).name.as_deref().map(str::to_owned)
    }

    #[test]
    fn a_namespace_is_called_by_whose_it_is() {
        let machine = Machine::new();
        machine.start(1, 1, "/init.scope");
        machine.start(30, 11, "/kubepods/podUID");
        machine.start(40, 12, "/system.slice/dns.service");
        machine.start(50, 13, "/");
        machine.start(60, 14, &format!("/docker/{}", "ab".repeat(32)));
        let mut locals = locals_of(&machine);
        assert_eq!(name(&mut locals, 1).as_deref(), Some("host"));
        assert_eq!(name(&mut locals, 11), Some(format!("pod {UID}")));
        assert_eq!(name(&mut locals, 12).as_deref(), Some("dns.service"));
        assert_eq!(name(&mut locals, 13), None, "of the machine, and no more is known");
        assert_eq!(name(&mut locals, 14).as_deref(), Some("container abababababab"));
        assert_eq!(name(&mut locals, 15), None);
        machine.folder("pods/default_web-0_UID");
        assert_eq!(name(&mut locals_of(&machine), 11).as_deref(), Some("default/web-0"));
    }

    #[test]
    fn an_address_that_came_later_is_the_machines() {
        let mut locals = Locals::of_machine(Names::default());
        let own = locals.own.unwrap();
        // What every namespace has, once its loopback is up; asked of the kernel either way.
        let (local, at) = ("127.0.0.1".parse().unwrap(), Timestamp::UNIX_EPOCH);
        assert_eq!(locals.own_end(own + 1, local, at), None, "not its namespace");
        assert_eq!(locals.own_end(own, local, at).map(|end| end.identity), Some(Identity::HOST));
        assert_eq!(locals.own_end(own, local, at), None, "not again at once");
        let mut locals = Locals::of_machine(Names::default());
        assert_eq!(locals.own_end(own, "192.0.2.1".parse().unwrap(), at), None, "nobody's");
    }

    #[test]
    fn a_pod_of_the_hosts_network_is_told_by_its_socket_or_its_process() {
        let machine = Machine::new();
        let cgroup = machine.folder("cgroup/kubepods/podUID");
        let id = fs::metadata(&cgroup).unwrap().ino();
        machine.start(30, 1, "/kubepods/podUID");
        machine.start(31, 1, "/system.slice/ssh.service");
        let mut locals = locals_of(&machine);
        assert_eq!(locals.hosted_pod(Some(id), None), None, "it has no name");
        machine.folder("pods/kube-system_proxy_UID");
        let mut locals = locals_of(&machine);
        let of_socket = locals.hosted_pod(Some(id), None).unwrap();
        assert_eq!((&*of_socket.namespace, &*of_socket.pod_name), ("kube-system", "proxy"));
        assert_eq!(of_socket.labels, [HOST.into()]);
        let of_process = locals.hosted_pod(Some(1), Some(30)).unwrap();
        assert!(Arc::ptr_eq(&of_socket, &of_process), "one and the same");
        assert_eq!(locals.hosted_pod(Some(1), Some(31)), None);
        assert_eq!(locals.hosted_pod(None, None), None);
        // What the API server says goes first.
        let named = Arc::new(EndpointInfo {
            namespace: "kube-system".into(),
            pod_name: "kube-proxy-n1".into(),
            labels: vec!["k8s:app=proxy".into(), "s:x".into()],
            ..EndpointInfo::default()
        });
        locals.names.set_uid(&UID.into(), &named);
        let told = locals.hosted_pod(Some(id), Some(31)).unwrap();
        assert_eq!(&*told.pod_name, "kube-proxy-n1");
        assert_eq!(told.labels, ["k8s:app=proxy", HOST, "s:x"].map(Arc::from));
    }
}
