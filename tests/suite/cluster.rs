//! netdrop as it is deployed: in a real two-node cluster, by the DaemonSet of deploy/, against rules as policy engines write them.
//!
//! `cargo xtask test` starts the cluster and loads the image; without it these tests fail and say so.

mod events;
mod follower;
mod hosted;
mod relay;
mod relay_tls;
mod tunnel;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

const STATE: &str = "/run/netdrop-cluster";
const PODS: &str = include_str!("cluster-pods.yaml");

fn xtask() -> PathBuf {
    env::var_os("NETDROP_XTASK").expect("the cluster tests need a cluster: run `cargo xtask test`").into()
}

/// The stock client.
fn hubble() -> String {
    env::var("NETDROP_HUBBLE").expect("cargo xtask test builds the stock client")
}

/// The folder of the project.
fn root() -> &'static str {
    env!("CARGO_MANIFEST_DIR").trim_end_matches("/tests")
}

fn output(command: &mut Command) -> Output {
    command.stdin(std::process::Stdio::null()).output().expect("a command of the test runs")
}

/// Runs `cargo xtask cluster ...`; its output.
fn cluster(words: &[&str]) -> Result<String, String> {
    let out = output(Command::new(xtask()).arg("cluster").args(words));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        Ok(text)
    } else {
        Err(format!("{words:?}: {text}{}", String::from_utf8_lossy(&out.stderr)))
    }
}

fn kubectl(line: &str) -> String {
    let words: Vec<&str> = ["kubectl"].into_iter().chain(line.split_whitespace()).collect();
    cluster(&words).expect("kubectl works")
}

fn on(host: &str, line: &str) {
    let words: Vec<&str> = ["ns", host].into_iter().chain(line.split_whitespace()).collect();
    cluster(&words).expect("a command on a node works");
}

/// Asks until there is an answer.
fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {seconds} s");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn address(pod: &str) -> String {
    until("an address of the pod", 60, || {
        let ip = kubectl(&format!("-n production get pod {pod} -o jsonpath={{.status.podIP}}"));
        let phase = kubectl(&format!("-n production get pod {pod} -o jsonpath={{.status.phase}}"));
        (!ip.is_empty() && phase == "Running").then_some(ip)
    })
}

/// The agent's pod on a node.
fn agent(node: &str) -> String {
    kubectl(&format!(
        "-n netdrop get pods --field-selector spec.nodeName={node},status.phase=Running -o jsonpath={{.items[0].metadata.name}}"
    ))
}

/// The agent's socket on a node, as the machine sees it: by a link, for its own path is longer than a socket's may be.
fn socket(node: &str) -> PathBuf {
    let uid = kubectl(&format!("-n netdrop get pod {} -o jsonpath={{.metadata.uid}}", agent(node)));
    let link = PathBuf::from(format!("{STATE}/agent-{node}.sock"));
    drop(fs::remove_file(&link));
    let path = format!("{STATE}/{node}/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/run/netdrop.sock");
    std::os::unix::fs::symlink(path, &link).expect("a link can be made");
    link
}

/// One attempt of a client to reach a server; it times out where it is denied.
fn knock(client: &str, to: &str) {
    let line = format!("-n production exec {client} -- nc -w 1 {to} 8080");
    let words: Vec<&str> = ["kubectl"].into_iter().chain(line.split_whitespace()).collect();
    drop(cluster(&words));
}

/// The rules of an engine for one pod: a chain of its own, jumped to for its address, which ends in a drop.
fn deny(node: &str, pod: &str, ip: &str) {
    let chain = format!("KUBE-POD-FW-{}", pod.to_uppercase());
    on(node, "sysctl -qw net.bridge.bridge-nf-call-iptables=1");
    on(node, &format!("iptables -N {chain}"));
    on(node, &format!("iptables -A {chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"));
    on(node, &format!("iptables -A {chain} -m comment --comment default-deny -j DROP"));
    on(node, &format!("iptables -I FORWARD 1 -d {ip} -m comment --comment pod-{pod} -j {chain}"));
}

fn flows(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .filter(|v| v.get("flow").is_some())
        .collect()
}

/// Whether a flow is the denied one between two pods of production, on a node.
fn names(v: &Value, from: &str, to: &str, node: &str) -> bool {
    let f = &v["flow"];
    f["verdict"] == "DROPPED"
        && f["source"]["namespace"] == "production"
        && f["source"]["pod_name"] == from
        && f["destination"]["pod_name"] == to
        && f["extensions"]["value"]["kernel_reason"] == "NETFILTER_DROP"
        && f["node_name"] == node
}

/// What `netdrop observe` in the agent's pod prints.
fn observe(node: &str, flags: &str) -> String {
    kubectl(&format!("-n netdrop exec {} -- netdrop observe --verdict=DROPPED {flags}", agent(node)))
}

/// Knocks until the agent of a node names both pods.
fn see(from: &str, to: &str, ip: &str, node: &str) {
    until(&format!("{from} -> {to} on {node}"), 60, || {
        knock(from, ip);
        let seen = flows(&observe(node, "--pod production/checkout-api -o json --last 50"));
        seen.iter().any(|v| names(v, from, to, node)).then_some(())
    });
}

fn install() {
    kubectl(&format!("apply -k {}/deploy/base", root()));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=90s");
    let manifest = env::temp_dir().join(format!("netdrop-pods-{}.yaml", std::process::id()));
    fs::write(&manifest, PODS).expect("a temporary file can be written");
    kubectl(&format!("apply -f {}", manifest.display()));
    drop(fs::remove_file(manifest));
}

#[test]
fn a_dead_packet_becomes_a_line_with_both_pods_names() {
    let others = programs();
    install();
    let (same, other) = (address("payments-db"), address("ledger"));
    address("checkout-api");
    deny("n1", "payments-db", &same);
    deny("n2", "ledger", &other);

    // On the same node, and across nodes: where the packet died, and only there.
    see("checkout-api", "payments-db", &same, "n1");
    see("checkout-api", "ledger", &other, "n2");
    let elsewhere = flows(&observe("n1", "--to-pod production/ledger -o json --last 100"));
    assert!(
        !elsewhere.iter().any(|v| v["flow"]["extensions"]["value"]["kernel_reason"] == "NETFILTER_DROP"),
        "{elsewhere:?}"
    );
    let line = observe("n1", "--pod production/checkout-api --last 1");
    assert!(line.contains("production/checkout-api") && line.contains("NETFILTER_DROP"), "{line}");

    // The log, the stock client, the health that readiness asks for.
    // Other lines may have taken the rate of the log for themselves.
    until("the drop in the log", 60, || {
        let log = kubectl(&format!("-n netdrop logs {}", agent("n1")));
        let told = flows(&log).iter().any(|v| names(v, "checkout-api", "payments-db", "n1"));
        if !told {
            knock("checkout-api", &same);
        }
        told.then_some(())
    });
    the_stock_client_reads(&socket("n1"));
    events::tell_what_comes_and_goes(&socket("n1"));
    assert!(kubectl("-n netdrop get daemonset netdrop -o jsonpath={.status.numberReady}") == "2");

    hosted::pods_of_the_hosts_network_have_names(&same);
    relay::finds_agents_by_the_api(&same);
    relay_tls::lets_in_who_has_a_certificate(&same);
    without_the_api_server(&same);
    the_end(&others);
}

/// Ids of the hook's programs in this kernel.
fn programs() -> Vec<String> {
    let shown = output(Command::new("bpftool").args(["prog", "show", "name", "kfree_skb"]));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    text.lines()
        .filter(|l| l.contains("name kfree_skb"))
        .filter_map(|l| l.split(':').next().map(str::to_owned))
        .collect()
}

fn the_stock_client_reads(socket: &std::path::Path) {
    let server = format!("unix://{}", socket.display());
    let ask = |words: &[&str]| {
        let out = output(Command::new(hubble()).args(words).args(["--server", &server]));
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let compact =
        ask(&["observe", "--verdict", "DROPPED", "--to-pod", "production/payments-db", "--last", "5"]);
    assert!(compact.contains("production/checkout-api") && compact.contains("NETFILTER_DROP"), "{compact}");
    let json = flows(&ask(&["observe", "--to-pod", "production/payments-db", "-o", "json", "--last", "50"]));
    assert!(json.iter().any(|v| names(v, "checkout-api", "payments-db", "n1")), "{json:?}");
    assert!(ask(&["status"]).contains("Ok"));
}

/// Capture and names go on while the API server is gone; that it is gone is said.
fn without_the_api_server(to: &str) {
    let socket = socket("n1");
    let pid =
        Command::new("pgrep").args(["-f", "httpd -f -p 8080 -h /tmp/checkout"]).output().expect("pgrep runs");
    let pid = String::from_utf8_lossy(&pid.stdout).lines().next().expect("checkout-api runs").to_owned();
    cluster(&["kill-api"]).expect("the API server can be killed");
    let since = utc_now();
    let server = format!("unix://{}", socket.display());
    until("a drop with names while the API server is gone", 60, || {
        // Straight in the pod's network: kubectl needs the API server.
        drop(output(
            Command::new("nsenter").args(["-t", &pid, "-n", "busybox", "nc", "-w", "1", to, "8080"]),
        ));
        let mut netdrop = Command::new(crate::harness::binary());
        netdrop.args(["observe", "--server", &server, "--since", &since, "-o", "json"]);
        let seen = flows(&String::from_utf8_lossy(&output(&mut netdrop).stdout));
        seen.iter().any(|v| names(v, "checkout-api", "payments-db", "n1")).then_some(())
    });
    until("word of the lost API server in the log", 60, || {
        let logs = Command::new("sh")
            .arg("-c")
            .arg(format!("cat {STATE}/n1/pods/netdrop_*/agent/*.log"))
            .output()
            .ok()?;
        String::from_utf8_lossy(&logs.stdout).contains("names may be stale").then_some(())
    });
    cluster(&["start-api"]).expect("the API server starts again");
}

fn utc_now() -> String {
    let out = output(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// A pod that is deleted ends within its grace time, and with the last one no program stays in the kernel.
fn the_end(others: &[String]) {
    let begin = Instant::now();
    kubectl("delete namespace netdrop --wait=true --timeout=60s");
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
    until("the kernel to be without netdrop's programs", 20, || {
        programs().iter().all(|id| others.contains(id)).then_some(())
    });
}
