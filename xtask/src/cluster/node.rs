//! A node: containerd, kubelet, kube-proxy.

use std::fs;
use std::path::Path;

use super::host::{address, at};
use super::{NODES, STATE, binaries, ctr, processes, wait_until};
use crate::shell::{quiet, works};

const CGROUPS: &str = "/sys/fs/cgroup";

fn cgroup(node: u8) -> String {
    format!("netdrop-k8s-n{node}")
}

/// Starts one.
pub fn start(node: u8) -> anyhow::Result<()> {
    let folder = format!("{STATE}/n{node}");
    for part in ["cni", "containerd", "kubelet", "pods"] {
        fs::create_dir_all(format!("{folder}/{part}"))?;
    }
    make_cgroups(node)?;
    fs::write(format!("{folder}/cni/10-pods.conflist"), cni(node))?;
    fs::write(format!("{folder}/containerd.toml"), containerd(node))?;
    fs::write(format!("{folder}/kubelet.yaml"), kubelet(node))?;
    let name = format!("n{node}");
    let mut command = at(&name, "containerd");
    command.arg("-c").arg(format!("{folder}/containerd.toml"));
    processes::start(&format!("containerd-{name}"), command)?;
    wait_until("containerd", 20, || works(&mut ctr(node, &["version"])))?;
    for archive in ["pause.tar", "tools.tar"] {
        import(node, Path::new(&format!("{STATE}/images/{archive}")))?;
    }
    let mut command = at(&name, &binaries::path("kubelet").display().to_string());
    command.args([
        format!("--config={folder}/kubelet.yaml"),
        format!("--kubeconfig={STATE}/admin.conf"),
        format!("--hostname-override={name}"),
        format!("--node-ip={}", address(node)),
        format!("--root-dir={folder}/kubelet"),
        format!("--cert-dir={folder}/kubelet/pki"),
        "--v=2".into(),
    ]);
    processes::start(&format!("kubelet-{name}"), command)?;
    let mut command = at(&name, &binaries::path("kube-proxy").display().to_string());
    command.args([
        format!("--kubeconfig={STATE}/admin.conf"),
        format!("--hostname-override={name}"),
        "--proxy-mode=iptables".into(),
        "--cluster-cidr=10.212.0.0/16".into(),
        "--conntrack-max-per-core=0".into(),
        "--conntrack-tcp-timeout-established=0".into(),
        "--conntrack-tcp-timeout-close-wait=0".into(),
    ]);
    processes::start(&format!("proxy-{name}"), command)
}

fn cni(node: u8) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "mtu": 1450,
   "ipam": {{"type": "host-local", "dataDir": "{STATE}/n{node}/ipam",
     "ranges": [[{{"subnet": "10.212.{node}.0/24"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#
    )
}

fn containerd(node: u8) -> String {
    let folder = format!("{STATE}/n{node}");
    format!(
        r#"version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{folder}/runc"
"#
    )
}

fn kubelet(node: u8) -> String {
    let folder = format!("{STATE}/n{node}");
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
         authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {STATE}/pki/ca.crt}}}}\n\
         authorization: {{mode: Webhook}}\ncgroupDriver: cgroupfs\ncgroupRoot: /{}\nfailCgroupV1: false\nfailSwapOn: false\n\
         containerRuntimeEndpoint: unix://{folder}/containerd.sock\nclusterDNS: [10.213.0.10]\nclusterDomain: cluster.local\n\
         evictionHard: {{memory.available: 10Mi, nodefs.available: 1%, imagefs.available: 1%}}\nimageGCHighThresholdPercent: 100\n\
         podLogsDir: {folder}/pods\nresolvConf: {STATE}/resolv.conf\n",
        cgroup(node)
    )
}

/// Imports an image archive.
pub fn import(node: u8, archive: &Path) -> anyhow::Result<()> {
    quiet(&mut ctr(node, &["image", "import", &archive.display().to_string()])).map(drop)
}

/// Ends the containers of a node, while its containerd still knows them.
pub fn kill_containers(node: u8) {
    let tasks = quiet(&mut ctr(node, &["task", "ls"])).unwrap_or_default();
    for pid in tasks.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)) {
        works(std::process::Command::new("kill").args(["-9", pid]));
    }
}

/// A cgroup for each hierarchy of cgroup v1 (with v2, kubelet makes its own).
fn make_cgroups(node: u8) -> anyhow::Result<()> {
    for entry in fs::read_dir(CGROUPS)?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        if entry.file_name() == "unified" || !entry.path().join("cgroup.procs").exists() {
            continue;
        }
        let own = entry.path().join(cgroup(node));
        fs::create_dir_all(&own)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read_to_string(entry.path().join(file)) {
                // Only cpuset has them, and there an empty one takes no process.
                drop(fs::write(own.join(file), value));
            }
        }
    }
    Ok(())
}

/// Removes the nodes' cgroups, the deepest first.
pub fn remove_cgroups() {
    for node in NODES {
        for entry in fs::read_dir(CGROUPS).into_iter().flatten().flatten() {
            remove_tree(&entry.path().join(cgroup(node)));
        }
        remove_tree(&Path::new(CGROUPS).join(cgroup(node)));
    }
}

fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // A cgroup is removed as a folder, its files with it; one that is busy stays and says so by being there.
    drop(fs::remove_dir(folder));
}
