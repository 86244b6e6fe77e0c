//! The same command line for netdrop and for the stock client of Hubble: they must read, print and refuse the same.
//!
//! `NETDROP_HUBBLE` names the client, `NETDROP_REQUIRE_HUBBLE` makes its absence a failure, `NETDROP_SEED` replays a run.

mod lines;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;
use netdrop_tests::flowgen::FlowGen;
use serde_json::Value;

use crate::harness;

/// Generated lines of each test.
const LINES: usize = 250;
/// Flows that filters are tried on.
const FLOWS: usize = 400;

/// The stock client; without it one line says what did not run.
fn hubble(what: &str) -> Option<PathBuf> {
    let path = std::env::var_os("NETDROP_HUBBLE").map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        assert!(
            std::env::var_os("NETDROP_REQUIRE_HUBBLE").is_none(),
            "NETDROP_HUBBLE names no client, and {what} must be compared with it"
        );
        eprintln!(
            "SKIPPED {what}: NETDROP_HUBBLE names no stock client of Hubble (`cargo xtask test` builds it)"
        );
    }
    path
}

fn seed() -> u64 {
    let given = std::env::var("NETDROP_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..))
}

/// What a client did.
#[derive(Debug, PartialEq)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(client: &PathBuf, line: &[String]) -> Done {
    let mut command = Command::new(client);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HUBBLE_") || name.starts_with("NETDROP_") {
            command.env_remove(name);
        }
    }
    let nowhere = std::env::temp_dir().join("netdrop-no-such-home");
    command.env("HOME", &nowhere).env_remove("XDG_CONFIG_HOME");
    let output = command.arg("observe").args(line).output().expect("the client runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
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
    let Some(hubble) = hubble("filters of the stock client") else { return };
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
    let Some(hubble) = hubble("filters on flows") else { return };
    let netdrop = harness::binary();
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut generator = FlowGen::new(seed).expect("a generator");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for number in 0..FLOWS {
        let mut flow = generator.flow();
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
