//! What a real agent writes into its feeds and tells of real drops: both add up to what was dropped.
//!
//! An agent sees the whole machine, so a storm of another test could cost it these drops' names.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use netdrop_tests::expect;
use netdrop_tests::observer::Observer;
use serde_json::Value;

use crate::harness::{LIMIT, Seen, binary};
use crate::servers::free;
use crate::storm::Storm;

/// An agent with a folder of its own.
struct Agent {
    observer: Observer,
    port: SocketAddr,
    folder: tempfile::TempDir,
}

impl Agent {
    /// With more of the configuration; FOLDER and NETNS stand for its folder and the namespace of the storm.
    fn start(storm: &Storm, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free().parse().expect("an address");
        let config = folder.path().join("agent.yaml");
        let path = folder.path().display().to_string();
        let text = format!("log-rate: 0\nmetrics-address: {port}\nsocket-path: {path}/a.sock\n{more}");
        let text = text.replace("FOLDER", &path).replace("NETNS", &storm.netns.inode().to_string());
        fs::write(&config, text).expect("a configuration");
        let mut command = Command::new(binary());
        let observer = Observer::run(command.arg("agent").arg("--config").arg(&config)).expect("an agent");
        Self { observer, port, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.port).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// Sum of the series of a name that have these labels.
    fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let page = self.get("/metrics").expect("metrics");
        let fits = |l: &&str| {
            l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| l.contains(label))
        };
        let value = |l: &str| l.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok());
        page.lines().filter(fits).map(|l| value(l).expect("a whole number")).sum()
    }

    fn wait_for(&self, name: &str, labels: &[&str], sum: u64) {
        let what = format!("{name} {labels:?} of {sum}");
        // Between two looks the agent has time for something else than answers.
        let pause = Duration::from_millis(10);
        let look = || Ok(self.metric(name, labels) >= sum);
        if let Err(e) = expect::until_looked(&what, pause, LIMIT, look) {
            panic!("{e}; instead:\n{}", self.get("/metrics").unwrap_or_default());
        }
    }
}

/// Drops that a feed's lines tell, and those that it says are missing.
fn told(text: &str) -> (u64, u64) {
    let (mut told, mut lost) = (0, 0);
    for line in text.lines() {
        let mut value: Value = serde_json::from_str(line).expect("a whole line of JSON");
        match value["lost_events"]["num_events_lost"].as_str() {
            Some(n) => lost += n.parse::<u64>().expect("a number"),
            None => told += Seen(value["flow"].take()).count(),
        }
    }
    (told, lost)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a feed")
}

/// Puts a file in another's place: the agent, which looks by itself too, never sees half of one.
fn rewrite(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).expect("a configuration");
}

/// Counts of lines that stand for alike flows.
fn aggregates(text: &str) -> Vec<(u64, String)> {
    let line = |l: &str| {
        let value: Value = serde_json::from_str(l).expect("JSON");
        let counts = value["flow"]["aggregate"].as_object().expect("counts");
        let sum = counts.values().map(|n| n.as_u64().expect("a number")).sum();
        (sum, value["flow"]["extensions"]["value"]["kernel_reason"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(line).collect()
}

const FEEDS: &str = "\
metrics:
- name: drop
  contextOptions:
  - {name: sourceContext, values: [pod, ip]}
  includeFilters: [{netns: [NETNS]}]
flowLogs:
- name: all
  filePath: FOLDER/all.log
  includeFilters: [{netns: [NETNS]}]
- name: alike
  filePath: FOLDER/alike.log
  fieldAggregate: [verdict, IP.destination, extensions.kernel_reason]
  aggregationInterval: 1s
  includeFilters: [{netns: [NETNS]}]
- name: full
  filePath: /dev/full
  includeFilters: [{netns: [NETNS]}]
";

#[test]
fn feeds_and_metrics_add_up_with_the_drops() {
    const DROPS: u32 = 4_000;
    let storm = Storm::new();
    let agent = Agent::start(&storm, FEEDS);
    let ready = || Ok(agent.get("/readyz").as_deref() == Some("ready\n"));
    expect::until("readiness", LIMIT, ready).expect("readiness");
    assert_eq!(agent.get("/healthz").as_deref(), Some("ok\n"));
    let drops = u64::from(DROPS);
    storm.send(3, DROPS);
    agent.wait_for("hubble_drop_total", &[], drops);
    // Whoever moves a file away and says so finds the next lines in a new one.
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"all\"", "fate=\"told\""], drops);
    fs::rename(agent.path("all.log"), agent.path("moved.log")).expect("a rename");
    agent.observer.signal(libc::SIGHUP).expect("a signal");
    expect::until("a new file", LIMIT, || Ok(agent.path("all.log").exists())).expect("a new file");
    storm.send(3, DROPS);
    agent.wait_for("hubble_drop_total", &[], 2 * drops);
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"alike\"", "fate=\"told\""], 2 * drops);
    assert_eq!(
        agent.metric("hubble_drop_total", &["reason=\"DROP_REASON_UNKNOWN\",protocol=\"UDP\"}"]),
        2 * drops
    );
    assert_eq!(agent.metric("hubble_drop_total", &["source=\"127.1."]), 2 * drops);
    let full = |fate: &str| {
        agent.metric("netdrop_feed_drops_total", &["feed=\"full\"", &format!("fate=\"{fate}\"")])
    };
    expect::until("the full disk", LIMIT, || Ok(full("failed") + full("overflow") == 2 * drops))
        .expect("a count");
    agent.wait_for("netdrop_drops_total", &["kernel_reason=\"NETFILTER_DROP\""], 2 * drops);
    judge(&agent.get("/metrics").expect("metrics"));

    let Agent { observer, folder, .. } = agent;
    let ended = observer.interrupt().expect("the agent ends");
    assert!(ended.status.success(), "{}", ended.talk);
    assert!(ended.talk.contains("cannot write the feed"), "{}", ended.talk);
    assert_eq!(storm.dropped(), 2 * drops);
    let texts = ["moved.log", "all.log"].map(|name| read(&folder.path().join(name)));
    let sums = texts.each_ref().map(|text| told(text));
    assert!(sums.iter().all(|(told, _)| *told > 0), "{sums:?}");
    assert_eq!(sums[0].0 + sums[1].0, 2 * drops, "{sums:?}: {}", ended.talk);
    let alike = aggregates(&read(&folder.path().join("alike.log")));
    assert_eq!(alike.iter().map(|(n, _)| n).sum::<u64>(), 2 * drops);
    assert!(alike.len() < 30 && alike.iter().all(|(_, reason)| reason == "NETFILTER_DROP"), "{alike:?}");
}

/// What `promtool check metrics` says, by the judge that `cargo xtask test` builds where Go is.
#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn judge(page: &str) {
    let Some(judge) = std::env::var_os("NETDROP_PROMLINT").map(PathBuf::from).filter(|p| p.is_file()) else {
        assert!(std::env::var_os("NETDROP_REQUIRE_PROMLINT").is_none(), "there is no judge of metrics");
        eprintln!(
            "SKIPPED the judgement of a real agent's metrics (`cargo xtask test` builds the judge where Go is)"
        );
        return;
    };
    let mut check = Command::new(judge)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the judge of metrics starts");
    let mut stdin = check.stdin.take().expect("a pipe");
    stdin.write_all(page.as_bytes()).expect("it reads");
    drop(stdin);
    let output = check.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}\n{page}", String::from_utf8_lossy(&output.stderr));
}

/// Feeds change while drops go on: those that stay miss nothing, those that come tell what comes after.
#[test]
fn a_changed_configuration_takes_effect_without_a_restart() {
    let storm = Storm::new();
    let feed = |name: &str| {
        format!("- name: {name}\n  filePath: FOLDER/{name}.log\n  includeFilters: [{{netns: [NETNS]}}]\n")
    };
    let mut agent = Agent::start(&storm, &format!("flowLogs:\n{}", feed("stays")));
    storm.send(1, 500);
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"stays\"", "fate=\"told\""], 500);
    let config = agent.path("agent.yaml");
    let path = agent.folder.path().display().to_string();
    let more = feed("comes").replace("FOLDER", &path).replace("NETNS", &storm.netns.inode().to_string());
    let text = read(&config);
    rewrite(&config, &format!("{text}{more}"));
    agent.observer.signal(libc::SIGHUP).expect("a signal");
    expect::until("the new feed", LIMIT, || {
        Ok(agent.metric("hubble_dynamic_exporter_reconfigurations_total", &["add"]) == 1)
    })
    .expect("the new feed");
    storm.send(1, 500);
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"comes\"", "fate=\"told\""], 500);
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"stays\"", "fate=\"told\""], 1000);
    // With a mistake in it all stays as it is, and says why.
    rewrite(&config, &format!("{text}nonsense: 1\n"));
    agent.observer.signal(libc::SIGHUP).expect("a signal");
    agent.observer.says("unknown key \"nonsense\"").expect("it says what is wrong");
    storm.send(1, 10);
    agent.wait_for("netdrop_feed_drops_total", &["feed=\"comes\"", "fate=\"told\""], 510);
    let Agent { observer, folder, .. } = agent;
    let ended = observer.interrupt().expect("the agent ends");
    assert!(ended.status.success(), "{}", ended.talk);
    assert_eq!(told(&read(&folder.path().join("stays.log"))), (1010, 0));
    assert_eq!(told(&read(&folder.path().join("comes.log"))), (510, 0));
}
