//! The same command line for netdrop and for the stock client of Hubble: they must read, print and refuse the same.
//!
//! `NETDROP_SEED` replays a run.

mod asked;
mod lines;
mod live;

use std::io::Write as _;
use std::path::Path;

use fastrand::Rng;
use netdrop_tests::flowgen::FlowGen;
use netdrop_tests::stock;
use serde_json::Value;

use crate::harness;

/// Generated lines of each test.
const LINES: usize = 250;
/// Flows that filters are tried on.
const FLOWS: usize = 400;

/// Another one for each run would make tests that fail now and then.
const SEED: u64 = 1;

fn seed() -> u64 {
    let given = std::env::var("NETDROP_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or(SEED)
}

/// What a client did.
#[derive(Debug, PartialEq)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(client: &Path, line: &[String]) -> Done {
    let line: Vec<String> = ["observe".to_owned()].into_iter().chain(line.iter().cloned()).collect();
    let done = stock::run(client, &line, &[]).expect("the client runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { code: done.code, stdout: text(&done.stdout), stderr: text(&done.stderr) }
}

/// Up to here messages are the client's own; what follows is of the libraries that it uses.
const OWN: &[&str] = &[
    ": failed to decode '",
    "unknown flag: --nonsense",
    "invalid IP address",
    "invalid IP prefix",
    "label filter: ",
    "invalid http path filter: ",
    "invalid http url filter: ",
    "failed to compile regexp: ",
    "error compiling CEL expression: ",
    "invalid rune in pattern",
    "invalid output format: ",
];

fn own(message: &str) -> &str {
    let message = message.trim_end();
    let end = OWN.iter().filter_map(|own| message.find(own).map(|at| at + own.len())).min();
    &message[..end.unwrap_or(message.len())]
}

/// Both must end alike, and say the same where they end with an error; else what differs.
fn differs(line: &[String], theirs: &Done, ours: &Done) -> Option<String> {
    // A character that is told is quoted in another way in each language.
    let said = theirs.code == Some(0)
        || theirs.stderr.contains("invalid rune")
        || own(&theirs.stderr) == own(&ours.stderr);
    let same = theirs.code == ours.code && theirs.stdout == ours.stdout && said;
    (!same).then(|| format!("{line:?}\n  theirs: {theirs:?}\n  ours:   {ours:?}"))
}

/// Some of what differs, and how to have it again.
fn none_differs(seed: u64, found: &[String]) {
    let some = &found[..found.len().min(20)];
    assert!(
        found.is_empty(),
        "{} lines differ; NETDROP_SEED={seed} has them again:\n{}",
        found.len(),
        some.join("\n")
    );
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(ToString::to_string).collect()
}

/// What a server would be sent, to the byte.
#[test]
fn the_same_flags_make_the_same_filters() {
    let Some(hubble) = stock::client("the comparison of flags").expect("the stock client") else { return };
    let netdrop = harness::binary();
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let by_hand = lines::BY_HAND.iter().map(|line| words(line));
    let all: Vec<Vec<String>> = by_hand.chain((0..LINES).map(|_| lines::generated(&mut rng))).collect();
    let (mut refused, mut found) = (0, Vec::new());
    for mut line in all {
        // A flag without its value at the end would take it.
        line.insert(0, "--print-raw-filters".into());
        let (theirs, ours) = (run(&hubble, &line), run(&netdrop, &line));
        found.extend(differs(&line, &theirs, &ours));
        refused += usize::from(theirs.code != Some(0));
    }
    none_differs(seed, &found);
    assert!(refused > 40, "too few lines are refused to compare what is said then: {refused}");
}

/// Which of the flows in a file come out.
#[test]
fn the_same_filters_let_the_same_flows_through() {
    let Some(hubble) = stock::client("the comparison of filters").expect("the stock client") else { return };
    let netdrop = harness::binary();
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut generator = FlowGen::new(seed).expect("a generator");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for number in 0..FLOWS {
        let mut flow = generator.flow();
        stock::for_stock(&mut flow);
        flow["Summary"] = format!("#{number}").into();
        writeln!(file, "{}", serde_json::json!({ "flow": flow })).expect("the file is written");
    }
    let path = file.path().display().to_string();
    let expressions = lines::EXPRESSIONS.iter().map(|e| words(&["--cel-expression", e]));
    let all: Vec<Vec<String>> = expressions.chain((0..LINES).map(|_| lines::generated(&mut rng))).collect();
    let (mut some, mut refused, mut found) = (0, 0, Vec::new());
    for mut line in all {
        line.extend(words(&["--input-file", &path, "-o", "json"]));
        let (mut theirs, mut ours) = (run(&hubble, &line), run(&netdrop, &line));
        theirs.stdout = numbers(&theirs.stdout);
        ours.stdout = numbers(&ours.stdout);
        found.extend(differs(&line, &theirs, &ours));
        let shown = theirs.stdout.split_whitespace().count();
        some += usize::from(shown > 0 && shown < FLOWS);
        refused += usize::from(theirs.code != Some(0));
    }
    none_differs(seed, &found);
    assert!(some > LINES / 4, "too few of the filters tell flows apart: {some}, {refused} were refused");
}

/// The numbers of the flows that were printed.
fn numbers(lines: &str) -> String {
    let number = |line: &str| -> String {
        let value: Value = serde_json::from_str(line).expect("a line of JSON");
        value["flow"]["Summary"].as_str().unwrap_or("?").to_owned()
    };
    lines.lines().map(number).collect::<Vec<_>>().join(" ")
}
