//! Both clients beside each other at running servers: an agent, a relay, and Hubble's own relay over two agents.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use netdrop_tests::command;
use netdrop_tests::expect::{self, Lines};
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::{die_with_parent, hears};
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::stock;
use netdrop_tests::traffic::{self, craft::ip};

use super::asked::{self, FORMATS};
use super::{SEED, own, words};
use crate::harness::{COUNT, LIMIT, binary};
use crate::servers::{Bed, output, text, until};

/// Generated lines beside those by hand.
const GENERATED: usize = 20;
/// A history that changes between two questions is asked again; more often than this it is no chance.
const ATTEMPTS: usize = 8;

/// A moment, as flags take it.
fn now() -> String {
    command::run("date", &["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]).expect("date runs").trim().to_owned()
}

/// Drops of many kinds, in a namespace of their own.
struct Drops(Netns);

impl Drops {
    fn new() -> Self {
        let netns = Netns::anonymous("oracle").expect("a namespace");
        let addresses = ["10.77.0.1/24", "10.77.0.2/24", "10.77.0.9/24", "fd77::1/64", "fd77::2/64"];
        let lines = addresses.map(|a| {
            let nodad = if a.contains(':') { " nodad" } else { "" };
            format!("address add {a} dev lo{nodad}\n")
        });
        netns.ip(&lines.concat()).expect("addresses");
        for (table, expression) in
            [("a", "udp dport 4712"), ("b", "icmp type echo-request"), ("c", "icmpv6 type echo-request")]
        {
            NftDrop::add(&netns, table, Chain::Input, expression).expect("nft takes the rule");
        }
        Self(netns)
    }

    fn at(address: &str, port: u16) -> SocketAddr {
        SocketAddr::new(address.parse().expect("an address"), port)
    }

    /// To a closed port, from one pod to another.
    fn few(&self, count: u16) {
        let (from, to) = (Self::at("10.77.0.1", 30_000), Self::at("10.77.0.2", 4711));
        self.0.run(|| traffic::udp(from, to, b"nobody home", count)).expect("traffic");
    }

    /// More than a flow may have records of its own.
    fn storm(&self) {
        let (from, to) = (Self::at("10.77.0.1", 30_002), Self::at("10.77.0.2", 4714));
        self.0.run(|| traffic::udp(from, to, b"many", 300)).expect("traffic");
    }

    fn all(&self) {
        let at = Self::at;
        self.few(COUNT);
        let made = self.0.run(|| {
            traffic::udp(at("fd77::1", 30_000), at("fd77::2", 4711), b"six", COUNT)?;
            traffic::udp(at("10.77.0.1", 30_000), at("10.77.0.9", 4713), b"a service", COUNT)?;
            traffic::udp(at("10.77.0.2", 30_001), at("10.77.0.1", 4712), b"denied", COUNT)?;
            traffic::udp(at("127.0.0.1", 30_000), at("127.0.0.1", 4711), b"no pod", COUNT)?;
            traffic::syns(at("10.77.0.1", 30_003), at("10.77.0.2", 4711), COUNT)?;
            let pair = |a: &str, b: &str| -> (IpAddr, IpAddr) { (at(a, 0).ip(), at(b, 0).ip()) };
            for (from, to) in [pair("10.77.0.1", "10.77.0.2"), pair("fd77::1", "fd77::2")] {
                traffic::echo(from, to, 7, COUNT)?;
                // SCTP, VRRP, and what nobody speaks.
                for protocol in [132, 112, 253] {
                    traffic::packets([ip(from, to, protocol, &[0x75, 0x30, 0x12, 0x67, 0, 0, 0, 0])])?;
                }
            }
            Ok(())
        });
        made.expect("traffic");
    }
}

/// Agents see the whole machine, and the names that they know are those of every scene: there is one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two agents and a relay with drops in their history, and both clients.
struct Scene {
    bed: Bed,
    drops: Drops,
    clients: [PathBuf; 2],
    since: String,
    until: String,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// `storm`: also what is added up, and so told later than its time: each relay has its own order for that. `None`: there is no
    /// stock client here, and one line has said so.
    fn new(what: &str, storm: bool) -> Option<Self> {
        let hubble = stock::client(what).expect("the stock client")?;
        let alone = alone();
        let drops = Drops::new();
        let (bed, since) = (Bed::new(&drops.0), now());
        drops.all();
        if storm {
            drops.storm();
        }
        let all = ["observe", "--all", "-n", "oracle", "--server", &bed.server];
        let count = || text(&output(&binary(), &all)).lines().count();
        // What is added up is told a second later.
        let mut last = (0, std::time::Instant::now());
        let settled = std::cell::RefCell::new(&mut last);
        until("a history that stays as it is", || {
            let count = count();
            let mut last = settled.borrow_mut();
            if last.0 != count {
                **last = (count, std::time::Instant::now());
            }
            count >= usize::from(COUNT) * 6 * 2 && last.1.elapsed().as_secs() >= 3
        });
        Some(Self { bed, drops, clients: [hubble, binary()], since, until: now(), _alone: alone })
    }

    /// Both clients' answers, made comparable by `comparable`; what differs.
    fn ask(&self, server: &str, line: &[String], comparable: fn(&str) -> String) -> Result<String, String> {
        let line = [line, &["--server".to_owned(), server.to_owned()]].concat();
        let one = |client: &Path| {
            let done = stock::run(client, &line, &[]).expect("the client runs");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            // What is said of what went well is each client's own, and before the error a relay tells the time.
            let said = text(&done.stderr);
            let said = said.lines().last().filter(|_| done.code != Some(0)).map_or("", own).to_owned();
            (done.code, comparable(&text(&done.stdout)), said)
        };
        let [hubble, netdrop] = &self.clients;
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let (theirs, ours) = (one(hubble), one(netdrop));
            if theirs == ours {
                return Ok(ours.1);
            }
            // On a machine that stalls for a second, a relay goes on without the node that it would have waited for.
            let order_alone =
                (theirs.0, &theirs.2) == (ours.0, &ours.2) && sorted(&theirs.1) == sorted(&ours.1);
            let stays = !order_alone && one(hubble) == theirs && one(netdrop) == ours;
            let first = stock::difference(theirs.1.as_bytes(), ours.1.as_bytes());
            let (a, b) = ((theirs.0, theirs.2), (ours.0, ours.2));
            why = format!("{line:?}\n theirs: {a:?}\n ours:   {b:?}\n {first}");
            if stays {
                return Err(why);
            }
        }
        Err(format!("the history changed {ATTEMPTS} times: {why}"))
    }
}

/// As it is.
fn exact(text: &str) -> String {
    text.to_owned()
}

/// Hubble's relay tells flows of one time in any order.
fn sorted(text: &str) -> String {
    // Of `dict`, whole flows.
    let between = if text.contains("------------\n") { "------------\n" } else { "\n" };
    let mut parts: Vec<&str> = text.split(between).map(str::trim_end).collect();
    parts.sort_unstable();
    parts.join("\n")
}

/// Numbers change from one moment to the next, and columns with them.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    // netdrop's servers tell netdrop more, behind all else.
    let text = text.split("\nDrops since: ").flat_map(|t| t.split("\n\n")).next().unwrap_or_default();
    let text = text.find(",\"drops\":[").map_or(text, |at| &text[..at]).trim_end_matches(['}', '\n']);
    for word in text.split_inclusive([' ', '\n', ',', '"', '(', ':']).filter(|w| *w != " ") {
        let number = word.starts_with(|c: char| c.is_ascii_digit()) && !word.starts_with("127.");
        out.push_str(if number { "#" } else { word });
        if number && word.ends_with('\n') {
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

/// Lines of `observe`: those by hand, and generated ones.
fn lines(rng: &mut Rng) -> Vec<Vec<String>> {
    let by_hand = asked::BY_HAND.iter().map(|line| words(line));
    by_hand.chain((0..GENERATED).map(|_| asked::generated(rng))).collect()
}

fn observe(scene: &Scene, rng: &mut Rng, line: &[String], format: &str) -> Vec<String> {
    let mut all = words(&["observe", "-o", format]);
    all.extend(asked::part(rng, line, &scene.since, &scene.until));
    all.extend(asked::shown(rng, format));
    all.extend(line.iter().cloned());
    all
}

fn none_differs(found: &[String]) {
    let some = found[..found.len().min(6)].join("\n\n");
    assert!(found.is_empty(), "{} lines differ; the first:\n{some}", found.len());
}

/// Every line in every format.
#[test]
fn an_agent_is_the_same_to_both_clients() {
    let Some(scene) = Scene::new("the agent beside the stock client", true) else { return };
    let server = scene.bed.agents[0].clone();
    let mut rng = Rng::with_seed(SEED);
    let lines = lines(&mut rng);
    assert!(lines.len() >= 60);
    let (mut found, mut different) = (Vec::new(), BTreeSet::new());
    for line in &lines {
        for format in FORMATS {
            let line = observe(&scene, &mut rng, line, format);
            match scene.ask(&server, &line, exact) {
                Ok(shown) => drop(different.insert(shown)),
                Err(why) => found.push(why),
            }
        }
    }
    for line in asked::REFUSED {
        let line = [&["observe"], *line].concat();
        found.extend(scene.ask(&server, &words(&line), exact).err());
    }
    for line in [
        &["status"][..],
        &["status", "-o", "dict"],
        &["status", "-o", "json"],
        &["status", "-o", "table"],
        &["list", "nodes"],
        &["list", "namespaces"],
        &["list", "namespaces", "-o", "json"],
    ] {
        found.extend(scene.ask(&server, &words(line), without_numbers).err());
    }
    found.extend(watched(&scene, &server, 1));
    none_differs(&found);
    assert!(different.len() > 150, "the lines tell too little apart: {}", different.len());
}

/// Every line, each in one of the formats.
#[test]
fn relays_are_the_same_to_both_clients() {
    let Some(scene) = Scene::new("relays beside the stock client", false) else { return };
    let stock = scene.bed.stock_relay("the stock relay over two agents");
    let ours = (scene.bed.server.clone(), exact as fn(&str) -> String);
    let theirs = stock.as_ref().map(|(_, server)| (server.clone(), sorted as fn(&str) -> String));
    let mut rng = Rng::with_seed(SEED);
    let mut found = Vec::new();
    for (server, comparable) in [Some(ours), theirs].into_iter().flatten() {
        for (line, format) in lines(&mut rng).iter().zip(FORMATS.iter().cycle()) {
            let line = observe(&scene, &mut rng, line, format);
            found.extend(scene.ask(&server, &line, comparable).err());
        }
        for line in asked::REFUSED {
            let line = [&["observe"], *line].concat();
            found.extend(scene.ask(&server, &words(&line), comparable).err());
        }
        for line in [
            &["status"][..],
            &["status", "-o", "dict"],
            &["status", "-o", "json"],
            &["list", "nodes"],
            &["list", "nodes", "-o", "wide"],
            &["list", "nodes", "-o", "json"],
            &["list", "namespaces"],
            &["list", "namespaces", "-o", "json"],
        ] {
            found.extend(scene.ask(&server, &words(line), without_numbers).err());
        }
    }
    found.extend(watched(&scene, &scene.bed.server, 2));
    none_differs(&found);
}

/// Runs a client that goes on until it is interrupted, which it is after `count` lines; once it has printed the first `begun`, `then`
/// comes. What it printed, and its exit code.
fn until_interrupted(
    client: &Path,
    line: &[&str],
    begun: usize,
    then: impl FnOnce(),
    count: usize,
) -> (Vec<String>, Option<i32>) {
    let mut command = Command::new(client);
    command.args(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    die_with_parent(&mut command);
    // Also where the tests were started as a job in the background, which is deaf to it.
    hears(&mut command, libc::SIGINT, true);
    let mut child = command.spawn().expect("the client starts");
    let mut lines = Lines::new(child.stdout.take().expect("a pipe"));
    let deadline = expect::deadline(LIMIT);
    let (mut shown, mut then) = (Vec::new(), Some(then));
    while shown.len() < count {
        if shown.len() >= begun
            && let Some(then) = then.take()
        {
            then();
        }
        match lines.next(deadline).expect("a line") {
            expect::Line::Text(line) => shown.push(line),
            end => panic!("{} {line:?}: {end:?} after {shown:?}", client.display()),
        }
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    expect::until("the end of the client", LIMIT, || Ok(child.try_wait()?.is_some())).expect("it ends");
    (shown, child.wait().expect("it has ended").code())
}

/// Peers, as both clients watch them.
fn watched(scene: &Scene, server: &str, count: usize) -> Option<String> {
    let line = ["watch", "peers", "--server", server];
    // Both die of the interruption.
    let watch = |client: &PathBuf| until_interrupted(client, &line, 0, || {}, count);
    let [theirs, ours] = scene.clients.each_ref().map(watch);
    (theirs != ours).then(|| format!("{line:?}\n theirs: {theirs:?}\n ours:   {ours:?}"))
}

/// What is told before and after clients began to follow.
#[test]
fn followers_of_both_kinds_are_told_the_same() {
    let Some(scene) = Scene::new("followers beside the stock client", false) else { return };
    let (agent, relay) = (&scene.bed.agents[1], &scene.bed.server);
    for (server, nodes, format) in [(agent, 1, "compact"), (relay, 2, "json"), (relay, 2, "compact")] {
        let (before, after) = (5, usize::from(COUNT) * nodes);
        let line = ["observe", "-f", "--last", "5", "--to-pod", "oracle/beta", "--to-port", "4711"];
        let line = [&line[..], &["--protocol", "udp", "-o", format, "--server", server]].concat();
        let [theirs, ours] = scene.clients.each_ref().map(|client| {
            until_interrupted(client, &line, before, || scene.drops.few(COUNT), before + after)
        });
        assert_eq!((theirs.1, ours.1), (Some(0), Some(0)), "{line:?}");
        // The second client began with the last ones that the first was told.
        assert_eq!(theirs.0[after..], ours.0[..before], "{line:?}");
        assert_eq!((theirs.0.len(), ours.0.len()), (before + after, before + after));
    }
}
