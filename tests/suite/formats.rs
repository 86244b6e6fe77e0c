//! What `observe --input-file` prints, byte for byte beside the stock client: seven hundred generated flows, and once more as that client
//! writes them; two hundred generated lines of flags. `NETDROP_SEED` plays a failure again, or tries other flows; `NETDROP_RUNS` tries
//! more lines, or fewer.

use std::path::Path;

use fastrand::Rng;
use netdrop_tests::flowgen::{FlowGen, pools};
use netdrop_tests::stock::{self, Printed};

use crate::harness::binary;

const FLOWS: usize = 700;
const RUNS: u64 = 200;
const SEED: u64 = 1;

fn given(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Flags, and what is set around them.
#[derive(Debug, Default)]
struct Line {
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
}

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.args.extend(words.iter().map(|w| (*w).to_owned()));
    }
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn number(rng: &mut Rng, of: &[u64]) -> String {
    of[rng.usize(..of.len())].to_string()
}

/// One line of flags: a format, and some of all else.
fn line(rng: &mut Rng) -> Line {
    let mut line = Line::default();
    let formats = ["compact", "dict", "table", "tab", "json", "jsonpb", "JSON"];
    line.add(&["observe", "-o", one(rng, &formats)]);
    let times = [
        "StampMilli",
        "YearMonthDay",
        "YearMonthDayHour",
        "YearMonthDayHourMinute",
        "RFC3339",
        "RFC3339Milli",
        "RFC3339Micro",
        "RFC3339Nano",
        "RFC1123Z",
        "rfc3339nano",
    ];
    if rng.bool() {
        line.add(&["--time-format", one(rng, &times)]);
    }
    let switches = [
        "--print-node-name",
        "--print-policy-names",
        "--numeric",
        "--ip-translation=false",
        "--ip-translation",
        "--color=always",
        "--color=always",
        "--color=never",
        "--use-default-field-masks=false",
        "--silent-errors",
    ];
    for switch in switches {
        if rng.u8(..100) < 25
            && !(switch.starts_with("--color") && line.args.iter().any(|a| a.starts_with("--color")))
        {
            line.add(&[switch]);
        }
    }
    if rng.u8(..100) < 10 {
        line.env.push(("HUBBLE_COMPAT", "x,Legacy-JSON-output"));
    }
    selection(rng, &mut line);
    for _ in 0..rng.usize(..3) {
        filter(rng, &mut line);
    }
    line
}

fn selection(rng: &mut Rng, line: &mut Line) {
    let counts = ["0", "1", "7", "100", "999", "1000", "5000"];
    match rng.u8(..10) {
        0 | 1 => line.add(&["--last", one(rng, &counts)]),
        2 | 3 => line.add(&["--first", one(rng, &counts)]),
        4 => line.add(&["--all"]),
        5 => line.add(&["--last", "1000001"]),
        6 => line.add(&["--first", "3", "--last", "3"]),
        _ => {}
    }
    let moments = [
        "2025-03-01",
        "2025-06-15T12Z",
        "2025-06-15T12:30:00.5+02:00",
        "0001-01-02",
        "1970-01-01",
        "nonsense",
    ];
    if rng.u8(..100) < 20 {
        line.add(&["--since", one(rng, &moments)]);
    }
    if rng.u8(..100) < 20 {
        line.add(&["--until", one(rng, &moments)]);
    }
}

/// A filter that both clients have. That they match the same is another test's matter; here it is about what is shown then.
fn filter(rng: &mut Rng, line: &mut Line) {
    if rng.u8(..100) < 15 {
        line.add(&["--not"]);
    }
    let verdicts = ["DROPPED", "FORWARDED", "AUDIT", "ERROR", "TRACED"];
    match rng.u8(..7) {
        0 => line.add(&["--verdict", one(rng, &verdicts)]),
        1 => line
            .add(&["--type", one(rng, &["drop", "trace", "l7", "policy-verdict", "drop:133", "trace-sock"])]),
        2 => line.add(&["--identity", &number(rng, pools::IDENTITIES)]),
        3 => line.add(&["--uuid", one(rng, pools::UUIDS)]),
        4 => line.add(&["--ip-version", one(rng, &["none", "v4"])]),
        5 => line.add(&["--traffic-direction", one(rng, &["ingress", "egress"])]),
        _ => line.add(&["--interface", one(rng, pools::INTERFACES)]),
    }
}

/// How many bytes both printed, or in what they differ.
fn judge(stock: &Path, file: &Path, line: &Line) -> Result<usize, String> {
    let mut args = line.args.clone();
    args.extend(["--input-file".to_owned(), file.display().to_string()]);
    let expected = stock::run(stock, &args, &line.env).expect("the stock client runs");
    let found = stock::run(&binary(), &args, &line.env).expect("netdrop runs");
    let same = |a: &Printed, b: &Printed| a.code == b.code && a.stdout == b.stdout;
    if same(&expected, &found) {
        return Ok(found.stdout.len());
    }
    let said =
        |p: &Printed| String::from_utf8_lossy(&p.stderr).lines().take(3).collect::<Vec<_>>().join(" | ");
    Err(format!(
        "{:?} {:?}: exit codes {:?} and {:?}; {}\n they said: {}\n we said: {}",
        line.env,
        line.args.join(" "),
        expected.code,
        found.code,
        stock::difference(&expected.stdout, &found.stdout),
        said(&expected),
        said(&found)
    ))
}

#[test]
fn files_look_as_the_stock_client_shows_them() {
    alike(|mut generator| generator.responses(FLOWS, stock::for_stock));
}

/// With everything that protobuf's JSON allows.
#[test]
fn odd_flows_look_as_the_stock_client_shows_them() {
    alike(|generator| generator.wild().responses(FLOWS, stock::for_stock));
}

/// With events that are no flows, fields that nobody knows, and lines that nobody can read.
#[test]
fn files_of_others_look_as_the_stock_client_shows_them() {
    alike(|generator| generator.wild().file(FLOWS, stock::for_stock));
}

/// A file, shown by both clients with many flags.
fn alike(file: impl Fn(FlowGen) -> String) {
    let Some(stock) = stock::client("formats beside the stock client").expect("the stock client") else {
        return;
    };
    let (seed, runs) = (given("NETDROP_SEED", SEED), given("NETDROP_RUNS", RUNS));
    let folder = tempfile::tempdir().expect("a folder");
    let flows = file(FlowGen::new(seed).expect("a generator"));
    let file = folder.path().join("flows.json");
    std::fs::write(&file, &flows).expect("a file");
    // The same once more as protobuf's own writer has them: such lines are read another way.
    let args = ["observe", "-o", "json", "--input-file", &file.display().to_string()].map(str::to_owned);
    let written = stock::run(&stock, &args, &[]).expect("the stock client runs").stdout;
    assert!(written.len() > flows.len() / 2, "the stock client writes most of them");
    std::fs::write(&file, [flows.as_bytes(), &written].concat()).expect("a file");
    let mut rng = Rng::with_seed(seed);
    let lines: Vec<Line> = (0..runs).map(|_| line(&mut rng)).collect();
    let (mut wrong, mut shown) = (Vec::new(), 0);
    for line in &lines {
        match judge(&stock, &file, line) {
            Ok(bytes) => shown += bytes,
            Err(why) => wrong.push(why),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {runs} differ (NETDROP_SEED={seed}); the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(4)].join("\n\n")
    );
    let enough = runs < RUNS || shown / lines.len() > 20_000;
    assert!(enough, "the lines show too little: {shown} bytes in all");
}

/// Lines that no exporter writes: what the stock client takes of them is taken, what it leaves out is left out.
#[test]
fn odd_lines_are_read_as_the_stock_client_reads_them() {
    let Some(stock) = stock::client("odd lines beside the stock client").expect("the stock client") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for odd in ODD {
        let file = folder.path().join("odd.json");
        std::fs::write(
            &file,
            format!("{{\"flow\":{{\"uuid\":\"first\"}}}}\n{odd}\n{{\"flow\":{{\"uuid\":\"last\"}}}}\n"),
        )
        .expect("a file");
        for format in ["json", "compact"] {
            let mut line = Line::default();
            line.add(&["observe", "-o", format]);
            if let Err(why) = judge(&stock, &file, &line) {
                panic!("{odd}: {why}");
            }
        }
    }
}

const ODD: &[&str] = &[
    "",
    "{}",
    "null",
    "[]",
    "{\"flow\":null}",
    "{\"flow\":{},\"node_status\":{}}",
    "{\"flow\":{\"verdict\":2.0,\"drop_reason\":\"133\",\"cgroup_id\":7}}",
    "{\"flow\":{\"verdict\":\"2\"}}",
    "{\"flow\":{\"drop_reason\":1e2}}",
    "{\"flow\":{\"drop_reason\":1.5}}",
    "{\"flow\":{\"drop_reason\":4294967296}}",
    "{\"flow\":{\"drop_reason\":-0}}",
    "{\"flow\":{\"drop_reason\":\" 1\"}}",
    "{\"flow\":{\"drop_reason\":\"1 2\"}}",
    "{\"flow\":{\"drop_reason\":\"\"}}",
    "{\"flow\":{\"drop_reason\":01}}",
    "{\"flow\":{\"nodeName\":\"camel\",\"policyMatchType\":1,\"Summary\":\"x\",\"summary\":\"y\"}}",
    "{\"flow\":{\"uuid\":\"a\"},\"flow\":{\"uuid\":\"b\"}}",
    "{\"flow\":{\"uuid\":\"\\ud83d\\ude00\\u00e9\\/\"}}",
    "{\"flow\":{\"uuid\":\"\\ud83d\"}}",
    "{\"flow\":{\"uuid\":\"\\q\"}}",
    "{\"flow\":{\"uuid\":\"tab\there\"}}",
    "{\"flow\":{\"uuid\":\"a\"}} trailing",
    " \t{ \"flow\" : { \"uuid\" : \"spaces\" , \"node_labels\" : [ \"a\" , \"b\" ] } } ",
    "{\"flow\":{\"uuid\":\"a\",}}",
    "{\"flow\":{\"node_labels\":[\"a\",]}}",
    "{\"flow\":{\"node_labels\":[null]}}",
    "{\"flow\":{\"node_labels\":null,\"is_reply\":null,\"l4\":{\"TCP\":null}}}",
    "{\"flow\":{\"l4\":{\"TCP\":{},\"UDP\":{}}}}",
    "{\"flow\":{\"l4\":{\"TCP\":null,\"UDP\":{}}}}",
    "{\"flow\":{\"is_reply\":\"true\"}}",
    "{\"flow\":{\"is_reply\":1}}",
    "{\"flow\":{\"newer\":{\"a\":[1,2,{\"b\":null}]},\"uuid\":\"u\"}}",
    "{\"flow\":{\"verdict\":\"NEWER\",\"uuid\":\"u\"}}",
    "{\"flow\":{\"time\":\"2025-01-02T03:04:05.123456789+05:30\"},\"time\":\"2025-01-02T03:04:05-00:00\"}",
    "{\"flow\":{\"time\":\"2025-01-02T03:04:05.1234567891Z\"}}",
    "{\"flow\":{\"time\":\"2025-01-02T03:04:05,5Z\"}}",
    "{\"flow\":{\"time\":\"2025-02-29T03:04:05Z\"}}",
    "{\"flow\":{\"time\":\"2025-01-02 03:04:05Z\"}}",
    "{\"flow\":{\"time\":\"2025-01-02T24:00:00Z\"}}",
    "{\"flow\":{\"time\":\"2025-01-02T03:04:60Z\"}}",
    "{\"flow\":{\"time\":\"0000-12-31T23:59:59Z\"}}",
    "{\"flow\":{\"time\":5}}",
    "{\"flow\":{\"extensions\":{}}}",
    "{\"flow\":{\"extensions\":{\"a\":1}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/no.Such\",\"a\":1}}}",
    "{\"flow\":{\"extensions\":{\"uuid\":\"in\",\"@type\":\"x/flow.Flow\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"flow.Flow\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Timestamp\",\"value\":\"2025-01-02T03:04:05.5Z\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"-1.5s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.UInt64Value\",\"value\":\"5\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\"aB,c.dE\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Empty\",\"value\":{}}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Struct\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Empty\"}}}",
    "{\"flow\":{\"time\":\"2025-01-01T5:00:00.5Z\"}}",
    "{\"flow\":{\"time\":\"2025-01-01T5:0:00Z\"}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"z\":1,\"a\":[]}}}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"n\":1e21,\"m\":1.5e-7,\"b\":-0.0,\"t\":true,\"\\u003c\":{}}}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"a\":1,\"a\":2}}}}",
    "{\"lost_events\":{\"source\":9,\"num_events_lost\":\"18446744073709551615\",\"cpu\":-1,\"first\":\"2025-01-02T03:04:05Z\"}}",
    "{\"node_status\":{\"state_change\":\"NODE_ERROR\",\"message\":\"m\"}}",
    "{\"flow\":{\"IP\":{\"source\":\"a\",\"destination\":\"b:c\"},\"l4\":{\"SCTP\":{\"source_port\":1,\"destination_port\":2}},\"source\":{\"namespace\":\"/x/../y\",\"pod_name\":\"./p//q/..\"}}}",
    "{\"flow\":{\"IP\":{},\"source\":{\"identity\":9},\"destination\":{\"identity\":11}}}",
    "{\"flow\":{\"drop_reason\":\"1 \"}}",
    "{\"flow\":{\"drop_reason\":\"1,\"}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.DoubleValue\",\"value\":-0}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.DoubleValue\",\"value\":\"-0\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.DoubleValue\",\"value\":1e400}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.DoubleValue\",\"value\":\"1 \"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":0.1}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":16777217}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":\"-Infinity\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":1e39}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":-0.0}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FloatValue\",\"value\":1e-7}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"AQID\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"AQ\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"AR==\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"A\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"AQ=I\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"-_+/\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"-_\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"AQ\\n\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":1}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\"a,,b\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\" a , b \"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\" aB \"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\"\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\"1a\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.FieldMask\",\"value\":\"a_b\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1.s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\".5s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"315576000001s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"-0s\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Int64Value\",\"value\":\"1e2\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Value\",\"value\":null}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.Value\",\"value\":\"NaN\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.BoolValue\",\"value\":\"true\"}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/google.protobuf.StringValue\",\"value\":null}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/observer.ServerStatusResponse\",\"flows_rate\":1.5,\"num_connected_nodes\":0}}}",
    "{\"flow\":{\"extensions\":{\"@type\":\"x/observer.GetFlowsRequest\",\"field_mask\":\"aB\",\"since\":\"2025-01-02T03:04:05Z\",\"whitelist\":[{\"tcp_flags\":[{\"SYN\":true}]}]}}}",
    "\u{feff}{\"flow\":{}}",
];
