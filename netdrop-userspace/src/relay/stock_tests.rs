//! Hubble's own client and relay beside netdrop's relay, where the tests of the cluster have built them.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::node::{LIMIT, TestNode, own_address};
use super::tests::{Running, config, nodes, past, peers, run, stock};

fn lines(out: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(out).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_reads_from_it() {
    let Some(hubble) = stock("hubble") else {
        return;
    };
    let mut nodes = nodes::<3>();
    past(&nodes, 60);
    nodes[2].kill();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let ask = async |args: &[&str]| {
        let args =
            args.iter().map(ToString::to_string).chain(["--server".to_owned(), relay.server()]).collect();
        run(hubble.clone(), args).await
    };
    let seen = ask(&["observe", "--last", "5", "--time-format", "RFC3339Nano"]).await;
    let shown = lines(&seen.stdout);
    let tails: Vec<_> = shown.iter().filter_map(|l| l.rsplit_once(' ').map(|(_, t)| t)).collect();
    assert_eq!(tails, ["(flow52)", "(flow54)", "(flow55)", "(flow57)", "(flow58)"]);
    let talk = String::from_utf8_lossy(&seen.stderr).into_owned();
    assert!(talk.contains("[relay-1]: 1 nodes are unavailable: node2"), "{talk}");
    let status = ask(&["status"]).await;
    assert_eq!(
        lines(&status.stdout),
        [
            &format!("Healthcheck (via {}): Ok", relay.address),
            "Current/Max Flows: 40/8,190 (0.49%)",
            "Flows/s: 0.40",
            "Connected Nodes: 2/3",
            "Unavailable Nodes: 1",
            "  - node2"
        ]
    );
    assert!(status.status.success());
}

/// Whoever passes flows on, Hubble's relay or netdrop's, a client is told the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubbles_relay_reads_from_the_same_nodes() {
    let (Some(hubble), Some(stock_relay)) = (stock("hubble"), stock("hubble-relay")) else {
        return;
    };
    let (list, known) = watch::channel(None);
    let nodes = [TestNode::with_peers("node0", known), TestNode::start("node1")];
    past(&nodes, 20);
    list.send_replace(Some(peers(&nodes)));
    let at = std::net::SocketAddr::from((own_address(), 4245));
    let talk = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(stock_relay)
        .args(["serve", "--disable-client-tls", "--disable-server-tls"])
        .args(["--health-listen-address", "127.0.0.1:0", "--gops=false", "--retry-timeout", "500ms"])
        // Order does not hang on how busy this machine is.
        .args(["--sort-buffer-drain-timeout", "30s"])
        .args(["--listen-address", &at.to_string(), "--peer-service", &nodes[0].address.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(talk.reopen().unwrap())
        .spawn()
        .unwrap();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let observe = async |server: String| {
        let args = ["observe", "--all", "-o", "json", "--server", &server].map(str::to_owned).to_vec();
        let out = run(hubble.clone(), args).await;
        lines(&out.stdout)
    };
    let ours = observe(relay.server()).await;
    let deadline = Instant::now() + LIMIT;
    let theirs = loop {
        let theirs = observe(at.to_string()).await;
        if theirs.len() >= 20 || Instant::now() > deadline {
            break theirs;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ours.len(), 20);
    assert_eq!(ours, theirs, "{}", std::fs::read_to_string(talk.path()).unwrap());
}

/// Each list in each format, and a status: the same bytes as the stock client prints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_printed_as_the_stock_client_prints_them() {
    use clap::{Command as Clap, FromArgMatches as _, Subcommand as _};

    use crate::cli::list::List;
    use crate::cli::status_local::StatusArgs;

    let Some(hubble) = stock("hubble") else {
        return;
    };
    let mut nodes = nodes::<3>();
    past(&nodes, 30);
    nodes[1].kill();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let own = async |words: &[&str], server: &str| {
        let words = words.iter().copied().chain(["--server", server]).map(str::to_owned);
        let mut out = Vec::new();
        let done = if words.clone().next().is_some_and(|w| w == "list") {
            let command = List::augment_subcommands(Clap::new("list"));
            let what = List::from_arg_matches(&command.get_matches_from(words)).unwrap();
            crate::app::list(&what, &mut out).await
        } else {
            let command = <StatusArgs as clap::Args>::augment_args(Clap::new("status"));
            let args = StatusArgs::from_arg_matches(&command.get_matches_from(words)).unwrap();
            crate::app::status(&args, &mut out).await
        };
        let error = done.err().map(|e| format!("{e:#}\n")).unwrap_or_default();
        (String::from_utf8(out).unwrap(), error)
    };
    let relay_at = relay.server();
    let node_at = nodes[0].address.to_string();
    for (words, server) in [
        (&["list", "nodes"][..], &relay_at),
        (&["list", "nodes", "-o", "wide"], &relay_at),
        (&["list", "nodes", "-o", "json"], &relay_at),
        (&["list", "nodes"], &node_at),
        (&["list", "namespaces"], &relay_at),
        (&["list", "namespaces", "-o", "wide"], &node_at),
        (&["list", "namespaces", "-o", "json"], &relay_at),
        (&["status"], &relay_at),
        (&["status", "-o", "dict"], &relay_at),
        (&["status", "-o", "json"], &relay_at),
        (&["status", "-o", "table"], &relay_at),
        (&["status"], &node_at),
    ] {
        let args = words.iter().copied().chain(["--server", server]).map(str::to_owned).collect();
        let theirs = run(hubble.clone(), args).await;
        let theirs = (String::from_utf8(theirs.stdout).unwrap(), String::from_utf8(theirs.stderr).unwrap());
        assert_eq!(own(words, server).await, theirs, "{words:?} of {server}");
    }
}
