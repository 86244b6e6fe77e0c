//! The control plane.

use std::process::Command;

use super::host::{address, at};
use super::{STATE, binaries, pki, processes, wait_until};
use crate::shell::{quiet, works};

/// kubectl as admin, from the control plane's host.
pub fn kubectl() -> anyhow::Result<Command> {
    anyhow::ensure!(
        std::path::Path::new(STATE).exists(),
        "no cluster is up; `cargo xtask cluster up` starts one"
    );
    let mut command = at("cp", &binaries::path("kubectl").display().to_string());
    command.arg("--kubeconfig").arg(format!("{STATE}/admin.conf"));
    Ok(command)
}

fn daemon(name: &str, program: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = at("cp", program);
    command.args(arguments);
    processes::start(name, command)
}

/// Starts all of it.
pub fn start() -> anyhow::Result<()> {
    pki::make()?;
    let etcd = [
        format!("--data-dir={STATE}/etcd"),
        "--unsafe-no-fsync".into(),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
    ];
    daemon("etcd", "etcd", &etcd)?;
    start_api()?;
    let config = format!("{STATE}/admin.conf");
    let auth = |extra: &[String]| {
        let mut all = vec![
            format!("--kubeconfig={config}"),
            format!("--authentication-kubeconfig={config}"),
            format!("--authorization-kubeconfig={config}"),
            "--leader-elect=false".into(),
        ];
        all.extend_from_slice(extra);
        all
    };
    let keys = [
        format!("--service-account-private-key-file={STATE}/pki/sa.key"),
        format!("--root-ca-file={STATE}/pki/ca.crt"),
    ];
    daemon(
        "controller-manager",
        &binaries::path("kube-controller-manager").display().to_string(),
        &auth(&keys),
    )?;
    daemon("scheduler", &binaries::path("kube-scheduler").display().to_string(), &auth(&[]))
}

/// Starts the API server and waits until it is ready.
pub fn start_api() -> anyhow::Result<()> {
    let pki = format!("{STATE}/pki");
    let own = address(0);
    let arguments = [
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={own}"),
        "--secure-port=6443".into(),
        format!("--tls-cert-file={pki}/api.crt"),
        format!("--tls-private-key-file={pki}/api.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        format!("--kubelet-client-certificate={pki}/admin.crt"),
        format!("--kubelet-client-key={pki}/admin.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={pki}/sa.pub"),
        format!("--service-account-signing-key-file={pki}/sa.key"),
        "--service-cluster-ip-range=10.213.0.0/16".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--allow-privileged=true".into(),
        "--shutdown-delay-duration=0".into(),
    ];
    daemon("apiserver", &binaries::path("kube-apiserver").display().to_string(), &arguments)?;
    wait_until("the API server", 60, || {
        kubectl().is_ok_and(|mut k| works(k.args(["get", "--raw", "/readyz"])))
    })
}

/// Waits until a node is Ready; gives it its pod network.
pub fn wait_for_node(node: u8) -> anyhow::Result<()> {
    let name = format!("n{node}");
    wait_until(&format!("node {name}"), 60, || {
        kubectl().is_ok_and(|mut k| works(k.args(["get", "node", &name])))
    })?;
    let patch = format!(r#"{{"spec":{{"podCIDR":"10.212.{node}.0/24","podCIDRs":["10.212.{node}.0/24"]}}}}"#);
    quiet(kubectl()?.args(["patch", "node", &name, "-p", &patch]))?;
    quiet(kubectl()?.args(["wait", "--for=condition=Ready", "--timeout=90s", &format!("node/{name}")]))?;
    Ok(())
}
