//! What the path of a cgroup says: pod, container, unit.
//!
//! Layouts, as of kubelet 1.34: its systemd driver (`kubepods-burstable-pod<uid>.slice`, dashes of the uid as underscores) and its cgroupfs
//! driver (`kubepods/burstable/pod<uid>`), under any `--cgroup-root`; scopes of containerd (`cri-containerd-<id>.scope`), CRI-O
//! (`crio-<id>.scope`), Docker (`docker-<id>.scope`, `docker/<id>`) and Podman (`libpod-<id>.scope`), bare ids of the cgroupfs driver, and
//! `<slice>:cri-containerd:<id>`, which runc makes where it takes one driver's path for the other's. The same in cgroup v1 and v2.

use std::fmt;
use std::sync::Arc;

/// Kubernetes' quality of service, which is part of a pod's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// All that it may use is kept for it.
    Guaranteed,
    /// Some of it is.
    Burstable,
    /// Nothing is.
    BestEffort,
}

/// Who made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// containerd, by its CRI plugin.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker, also for cri-dockerd.
    Docker,
    /// Podman.
    Podman,
    /// The path has nothing but the id.
    Unknown,
}

impl Runtime {
    /// As Kubernetes writes it in front of a container's id; empty: not known.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Unknown => "",
        }
    }
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`; of a static pod the 32 digits of its file's hash, which its mirror has as `kubernetes.io/config.hash`.
    pub uid: Arc<str>,
    /// Its class.
    pub qos: Qos,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: Arc<str>,
    /// Who made it.
    pub runtime: Runtime,
}

/// What a cgroup belongs to. Nothing of it: to the machine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// A pod.
    pub pod: Option<Pod>,
    /// A container, of the pod if there is one.
    pub container: Option<Container>,
    /// systemd's service or scope, of what is in no container.
    pub unit: Option<Arc<str>>,
}

impl Home {
    /// Reads a path as in `/proc/PID/cgroup`, or below the mount point of a hierarchy.
    pub fn of_path(path: &str) -> Self {
        let mut home = Self::default();
        for part in path.split('/').flat_map(|part| part.split(':')) {
            if let Some(pod) = pod(part, path) {
                // Of nodes that are containers themselves the innermost pod counts, with its own containers.
                home = Self { pod: Some(pod), ..Self::default() };
            } else if let Some(container) = container(part) {
                // What a container has inside of it, a container too, is still in it.
                home.container.get_or_insert(container);
            } else if home.pod.is_none() && home.container.is_none() && is_unit(part) {
                home.unit = Some(part.into());
            }
        }
        if home.pod.is_some() || home.container.is_some() {
            home.unit = None;
        }
        home
    }

    /// Of the lines of `/proc/PID/cgroup`: one for each hierarchy, as `4:memory:/path`. Version 2's, and those of version 1 that systemd
    /// and kubelet both keep, come first.
    pub fn of_process(lines: &str) -> Self {
        const KEPT: [&str; 3] = ["name=systemd", "pids", "memory"];
        let path = |wanted: &str| {
            lines.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|controller| controller == wanted).then_some(path)
            })
        };
        let homes = [""].iter().chain(&KEPT).filter_map(|wanted| path(wanted).map(Self::of_path));
        let mut best = Self::default();
        for home in homes {
            // In a machine with both versions the second one's path may be empty.
            let better = home.pod.is_some() && best.pod.is_none();
            if best.is_host() || better {
                best = home;
            }
        }
        best
    }

    /// Nothing is known but that it is the machine's.
    pub fn is_host(&self) -> bool {
        *self == Self::default()
    }
}

/// A short line: `pod UID`, `container ID`, the unit's name, `host`.
impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { pod: Some(pod), .. } => write!(f, "pod {}", pod.uid),
            Self { container: Some(container), .. } => {
                write!(f, "container {}", container.id.get(..12).unwrap_or(&container.id))
            }
            Self { unit: Some(unit), .. } => f.write_str(unit),
            _ => f.write_str("host"),
        }
    }
}

fn pod(part: &str, path: &str) -> Option<Pod> {
    let (uid, qos) = match part.strip_suffix(".slice") {
        Some(name) => of_slice(name)?,
        None => of_folder(part, path)?,
    };
    is_uid(&uid).then(|| Pod { uid: uid.into(), qos })
}

/// A slice has the names of those above it in front: `kubelet-kubepods-burstable-pod1_2`.
fn of_slice(name: &str) -> Option<(String, Qos)> {
    let (before, uid) = name.rsplit_once("-pod")?;
    let class = before.strip_prefix("kubepods").or_else(|| Some(before.rsplit_once("-kubepods")?.1))?;
    let qos = match class {
        "" => Qos::Guaranteed,
        "-burstable" => Qos::Burstable,
        "-besteffort" => Qos::BestEffort,
        _ => return None,
    };
    Some((uid.replace('_', "-"), qos))
}

/// A folder's class is that of the one above it: `burstable/pod1-2`.
fn of_folder(part: &str, path: &str) -> Option<(String, Qos)> {
    let uid = part.strip_prefix("pod")?;
    let (before, _) = path.split_once(part)?;
    let above = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let qos = match above {
        "burstable" => Qos::Burstable,
        "besteffort" => Qos::BestEffort,
        above if above.ends_with("kubepods") => Qos::Guaranteed,
        _ => return None,
    };
    Some((uid.to_owned(), qos))
}

/// A UUID, or the hash of a static pod's file.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = text.bytes().filter(|b| *b == b'-').count();
    digits == 32 && digits + dashes == text.len() && matches!(dashes, 0 | 4)
}

fn container(part: &str) -> Option<Container> {
    const SCOPES: [(&str, Runtime); 4] = [
        ("cri-containerd", Runtime::Containerd),
        ("crio", Runtime::CriO),
        ("docker", Runtime::Docker),
        ("libpod", Runtime::Podman),
    ];
    let of = |id: &str, runtime| is_id(id).then(|| Container { id: id.into(), runtime });
    let Some(scope) = part.strip_suffix(".scope") else {
        return of(part, Runtime::Unknown).or_else(|| {
            // CRI-O's cgroupfs driver.
            of(part.strip_prefix("crio-")?, Runtime::CriO)
        });
    };
    let (by, id) = scope.rsplit_once('-')?;
    let runtime = SCOPES.iter().find(|(name, _)| *name == by)?.1;
    of(id, runtime)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What systemd runs; slices only group.
fn is_unit(part: &str) -> bool {
    [".service", ".scope"].iter().any(|kind| part.len() > kind.len() && part.ends_with(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f8a6b0c1d2e4f5061728394a5b6c7d8e9f00112233445566778899aabbccdde";
    const UID: &str = "0b7c8a9e-1f2d-4c3b-9a8e-7d6c5b4a3f2e";

    fn told(path: &str) -> (Option<(String, Qos)>, Option<Runtime>, Option<String>) {
        let path = path.replace("U_D", &UID.replace('-', "_")).replace("UID", UID).replace("ID", ID);
        let home = Home::of_path(&path);
        if let Some(container) = &home.container {
            assert_eq!(&*container.id, ID, "{path}");
        }
        let pod = home.pod.map(|pod| (pod.uid.to_string(), pod.qos));
        (pod, home.container.map(|c| c.runtime), home.unit.map(|unit| unit.to_string()))
    }

    #[test]
    fn pods_of_all_layouts() {
        use Qos::{BestEffort, Burstable, Guaranteed};
        use Runtime::{Containerd, CriO, Docker, Unknown};
        for (path, qos, runtime) in [
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
                Burstable,
                Some(Containerd),
            ),
            ("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope", Guaranteed, Some(CriO)),
            ("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope/container", Guaranteed, Some(CriO)),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/docker-ID.scope",
                BestEffort,
                Some(Docker),
            ),
            ("/kubepods/burstable/podUID/ID", Burstable, Some(Unknown)),
            ("/kubepods/besteffort/podUID/ID", BestEffort, Some(Unknown)),
            ("/kubepods/podUID/ID", Guaranteed, Some(Unknown)),
            ("/kubepods/podUID/crio-ID", Guaranteed, Some(CriO)),
            ("/kubepods/podUID", Guaranteed, None),
            ("/../../kubepods/podUID/ID", Guaranteed, Some(Unknown)),
            // A cgroup root, as of kind.
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
                Burstable,
                Some(Containerd),
            ),
            ("/kubelet/kubepods/besteffort/podUID/ID", BestEffort, Some(Unknown)),
            // One driver's path taken for the other's.
            (
                "/system.slice/containerd.service/kubepods-burstable-podU_D.slice:cri-containerd:ID",
                Burstable,
                Some(Unknown),
            ),
            // systemd, and more, in a container.
            ("/kubepods/podUID/ID/init.scope", Guaranteed, Some(Unknown)),
            ("/kubepods/podUID/ID/system.slice/ssh.service", Guaranteed, Some(Unknown)),
        ] {
            assert_eq!(told(path), (Some((UID.to_owned(), qos)), runtime, None), "{path}");
        }
    }

    #[test]
    fn a_node_that_is_a_container_has_pods() {
        let node = "f".repeat(64);
        for path in [
            format!("/docker/{node}/kubelet/kubepods/podUID/ID"),
            format!(
                "/system.slice/docker-{node}.scope/kubelet.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope"
            ),
        ] {
            let (pod, runtime, unit) = told(&path);
            assert_eq!((pod, unit), (Some((UID.to_owned(), Qos::Guaranteed)), None), "{path}");
            assert!(runtime.is_some(), "{path}");
        }
    }

    #[test]
    fn a_static_pod_has_the_hash_of_its_file() {
        let hash = "0123456789abcdef0123456789abcdef";
        for path in [
            format!("/kubepods/burstable/pod{hash}/ID"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hash}.slice/cri-containerd-ID.scope"
            ),
        ] {
            assert_eq!(told(&path).0, Some((hash.to_owned(), Qos::Burstable)), "{path}");
        }
    }

    #[test]
    fn containers_and_units_without_a_pod() {
        for (path, runtime, unit) in [
            ("/docker/ID", Some(Runtime::Unknown), None),
            ("/system.slice/docker-ID.scope", Some(Runtime::Docker), None),
            ("/machine.slice/libpod-ID.scope/container", Some(Runtime::Podman), None),
            ("/default/ID", Some(Runtime::Unknown), None),
            ("/system.slice/ssh.service", None, Some("ssh.service")),
            ("/user.slice/user-1000.slice/session-3.scope", None, Some("session-3.scope")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-vim.scope",
                None,
                Some("app-vim.scope"),
            ),
            ("/system.slice/crio-conmon-ID.scope", None, Some("crio-conmon-ID.scope")),
            ("/init.scope", None, Some("init.scope")),
        ] {
            let unit = unit.map(|unit| unit.replace("ID", ID));
            assert_eq!(told(path), (None, runtime, unit), "{path}");
        }
    }

    #[test]
    fn what_is_none_of_these_is_the_machines() {
        for path in [
            "",
            "/",
            "/system.slice",
            "/.service",
            "/kubepods.slice",
            "/kubepods/burstable",
            "/kubepods/podx",
            "/podUID",
            "/kubepods-other-podU_D.slice",
            "/cri-containerd-1.scope/..",
        ] {
            let (pod, runtime, unit) = told(path);
            assert_eq!((pod, runtime), (None, None), "{path}");
            assert!(unit.is_none() || path.contains(".scope"), "{path}: {unit:?}");
        }
        assert!(Home::of_path("/").is_host());
    }

    #[test]
    fn a_process_of_either_version() {
        for (lines, shown) in [
            ("0::/system.slice/ssh.service\n", "ssh.service"),
            ("0::/\n", "host"),
            ("12:pids:/kubepods/podUID/ID\n4:memory:/kubepods/podUID/ID\n0::/\n", "pod UID"),
            ("1:name=systemd:/system.slice/ssh.service\n0::/\n", "ssh.service"),
            ("1:name=systemd:/system.slice/containerd.service\n3:pids:/kubepods/podUID/ID\n", "pod UID"),
            ("4:cpu,memory:/docker/ID\n", "container 3f8a6b0c1d2e"),
            ("x\n1:\n", "host"),
        ] {
            let lines = lines.replace("UID", UID).replace("ID", ID);
            assert_eq!(Home::of_process(&lines).to_string(), shown.replace("UID", UID), "{lines}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read(path in "(/?(kubepods|burstable|pod|cri-containerd-|crio-|:|\\.slice|\\.scope|-|_|[0-9a-f]{32}|[0-9a-f]{64}|\\PC)){0,12}") {
            let home = Home::of_path(&path);
            prop_assert!(home.unit.is_none() || home.pod.is_none() && home.container.is_none());
            prop_assert!(!home.to_string().is_empty());
        }
    }
}
