//! Starting the real `netdrop observe` on namespaces of a test, and reading what it saw.

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use netdrop_tests::expect;
use netdrop_tests::kernel::{Kernel, UNNAMED};
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::{self, Ended, Observer};
use serde_json::Value;

use crate::flags::Tally;

/// How many packets a test sends of a kind.
pub const COUNT: u16 = 20;

/// What a timer drops, or a callback of RCU, dies on top of whatever task they interrupt, and some kernels hide what happens on top of some
/// (a hypervisor's init). Such drops are made again, at most so many times: once in a few hundred they are not to be seen.
pub const TRIES: usize = 4;

/// How long a drop may take to show up; it takes milliseconds on an idle machine.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The binary under test: beside the directory of the running test's own.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("NETDROP_BIN") {
        return path.into();
    }
    let own = env::current_exe().expect("a running test has a path");
    let path = own.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").join("netdrop");
    assert!(
        path.is_file(),
        "{} is missing: `cargo build -p netdrop-userspace` builds it (`cargo xtask test` does so first), or set NETDROP_BIN",
        path.display()
    );
    path
}

/// The kernel that the tests run on.
pub fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| Kernel::running(&binary()).expect("the kernel names its reasons"))
}

/// When something was, as JSON has it. As a text it can't be compared: zeros at its end are left out.
pub fn time_of(text: &Value) -> Timestamp {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {text}"))
}

/// A flow that netdrop printed.
#[derive(Debug)]
pub struct Seen(pub Value);

impl Seen {
    /// A fact of `extensions`; null if absent.
    pub fn fact(&self, key: &str) -> &Value {
        &self.0["extensions"]["value"][key]
    }

    /// The kernel's reason.
    pub fn reason(&self) -> &str {
        self.fact("kernel_reason").as_str().unwrap_or_default()
    }

    /// Whether it died for this reason; where the kernel has no name for it, then for none, in this function.
    pub fn died_of(&self, reason: &str, function: &str) -> bool {
        if kernel().has_reason(reason) {
            return self.reason() == reason;
        }
        self.reason() == UNNAMED && self.summary().ends_with(&format!("{UNNAMED} at {function}"))
    }

    /// The namespace's inode.
    pub fn netns(&self) -> Option<u32> {
        number(self.fact("netns"))
    }

    /// Index of the device the packet came in by.
    pub fn incoming(&self) -> Option<u32> {
        number(self.fact("incoming_ifindex"))
    }

    /// Name of the device it was on.
    pub fn interface(&self) -> Option<&str> {
        self.0["interface"]["name"].as_str()
    }

    /// Source and destination address.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let ip = &self.0["IP"];
        Some((ip["source"].as_str()?.parse().ok()?, ip["destination"].as_str()?.parse().ok()?))
    }

    /// Name of the transport protocol in `l4`.
    pub fn transport(&self) -> Option<&str> {
        self.0["l4"].as_object()?.keys().next().map(String::as_str)
    }

    /// A field of `l4`, whatever the protocol.
    pub fn l4(&self, field: &str) -> Option<u32> {
        let protocol = self.transport()?;
        // Zero is left out, as protojson does.
        Some(number(&self.0["l4"][protocol][field]).unwrap_or(0))
    }

    /// Destination port.
    pub fn port(&self) -> Option<u16> {
        self.l4("destination_port").and_then(|port| u16::try_from(port).ok())
    }

    /// How many packets it stands for.
    pub fn count(&self) -> u64 {
        self.fact("count").as_str().map_or(1, |n| n.parse().expect("a number"))
    }

    /// The free text.
    pub fn summary(&self) -> &str {
        self.0["Summary"].as_str().unwrap_or_default()
    }

    /// Whether addresses and destination port are these.
    pub fn is_between(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.addresses() == Some((from, to.ip())) && self.port() == Some(to.port())
    }
}

/// A number, also where protojson writes it as a string or a float.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(s) => s.parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and in range"
        )]
        Value::Number(n) => {
            n.as_f64().filter(|f| f.fract() == 0.0 && (0.0..4_294_967_296.0).contains(f)).map(|f| f as u32)
        }
        _ => None,
    }
}

/// `netdrop observe -o json` on some namespaces.
pub struct Watch {
    observer: Observer,
    told: Told,
}

/// What its lines told.
#[derive(Default)]
struct Told {
    seen: Vec<Seen>,
    /// Drops that are said to be lost.
    lost: u64,
}

impl Told {
    /// Takes a line. The kernel skips a drop in the middle of another, and nobody knows whose it was: netdrop says so to everybody, also
    /// to those who ask for other namespaces.
    fn note(&mut self, line: &str) {
        let value: Value = serde_json::from_str(line).expect("JSON");
        match value["lost_events"]["num_events_lost"].as_str() {
            Some(lost) => self.lost += lost.parse::<u64>().expect("a number"),
            None => self.seen.push(Seen(observer::flow(line).expect("a flow"))),
        }
    }
}

impl Watch {
    /// Watches these namespaces.
    pub fn on(netns: &[&Netns]) -> Self {
        Self::with(netns, &[])
    }

    /// Watches these namespaces, with more arguments.
    pub fn with(netns: &[&Netns], more: &[&str]) -> Self {
        let mut args = json_args(netns);
        args.extend(more.iter().map(ToString::to_string));
        Self::start(&args)
    }

    /// Starts `netdrop observe` with these arguments.
    pub fn start(args: &[String]) -> Self {
        Self::of(Observer::start(&binary(), args).expect("netdrop captures"))
    }

    /// Reads what a running `netdrop observe -o json` sees.
    pub fn of(observer: Observer) -> Self {
        Self { observer, told: Told::default() }
    }

    /// Waits until `count` flows that fit were seen, then ends netdrop and checks that there were no more of them.
    /// Gives those that fit.
    pub fn exactly(self, count: impl Into<usize>, fits: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.split(count, fits).0
    }

    /// Like [`Self::exactly`]; gives the others too.
    pub fn split(self, count: impl Into<usize>, fits: impl Fn(&Seen) -> bool) -> (Vec<Seen>, Vec<Seen>) {
        let (fitting, others, _) = self.end(count, fits);
        (fitting, others)
    }

    /// Like [`Self::split`]; gives how netdrop ended too.
    pub fn end(
        mut self,
        count: impl Into<usize>,
        fits: impl Fn(&Seen) -> bool,
    ) -> (Vec<Seen>, Vec<Seen>, Ended) {
        let count = count.into();
        self.wait_for(count, &fits);
        let (fitting, others, ended) = self.finish(fits);
        assert_eq!(fitting.len(), count, "seen that fit; the others:\n{}", digest(&others));
        (fitting, others, ended)
    }

    /// Ends netdrop; what was seen that fits, the others, and how it ended.
    pub fn finish(self, fits: impl Fn(&Seen) -> bool) -> (Vec<Seen>, Vec<Seen>, Ended) {
        let Self { observer, mut told } = self;
        let ended = observer.interrupt().expect("netdrop ends when interrupted");
        assert!(ended.status.success(), "netdrop ended with {}:\n{}", ended.status, ended.talk);
        ended.rest.iter().for_each(|line| told.note(line));
        let anybodys = if told.lost == 0 { 0 } else { Tally::of(&ended.talk).anybodys };
        assert!(told.lost <= anybodys, "{} were lost:\n{}", told.lost, ended.talk);
        let (fitting, others) = told.seen.into_iter().partition(|seen| fits(seen));
        (fitting, others, ended)
    }

    /// What was seen so far.
    pub fn seen(&self) -> &[Seen] {
        &self.told.seen
    }

    /// Waits until `count` flows that fit were seen.
    pub fn wait_for(&mut self, count: impl Into<usize>, fits: impl Fn(&Seen) -> bool) {
        let count = count.into();
        assert!(
            self.comes(count, LIMIT, &fits),
            "{} of {count} flows came within {LIMIT:?}; all that came:\n{}\nstderr:\n{}",
            self.count(fits),
            digest(&self.told.seen),
            self.observer.talk(),
        );
    }

    /// Whether `count` flows that fit were seen within this time.
    pub fn comes(&mut self, count: usize, limit: Duration, fits: impl Fn(&Seen) -> bool) -> bool {
        let deadline = expect::deadline(limit);
        while self.count(&fits) < count {
            match self.observer.line(deadline).expect("netdrop prints lines") {
                Some(line) => self.told.note(&line),
                None => return false,
            }
        }
        true
    }

    /// How many were seen so far that fit.
    fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        self.told.seen.iter().filter(|seen| fits(seen)).count()
    }
}

/// Arguments of `netdrop observe` for these namespaces.
pub fn json_args(netns: &[&Netns]) -> Vec<String> {
    let mut args: Vec<String> = ["-f", "-o", "json", "--verdict=DROPPED"].map(str::to_owned).to_vec();
    args.extend(netns.iter().map(|netns| format!("--netns={}", netns.inode())));
    args
}

/// How many of each kind.
fn digest(seen: &[Seen]) -> String {
    let mut kinds = BTreeMap::new();
    for flow in seen {
        let key = format!("{:?} {:?} {:?} {}", flow.netns(), flow.addresses(), flow.port(), flow.summary());
        *kinds.entry(key).or_insert(0) += 1;
    }
    let lines: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n:>6} {kind}")).collect();
    lines.join("\n")
}
