//! What clients ask of running servers: every kind of filter, with values that tell the drops of [`super::live`] apart.

use fastrand::Rng;

/// Every format that both clients have.
pub const FORMATS: &[&str] = &["compact", "dict", "table", "tab", "json", "jsonpb"];

/// Lines that are asked as they stand, of what namespaces and pods of the test did.
pub const BY_HAND: &[&[&str]] = &[
    &[],
    &["-n", "oracle"],
    &["--to-namespace", "other"],
    &["--from-namespace", "oracle", "--to-namespace", "oracle"],
    &["-A"],
    &["--namespace", "oracle", "--pod", "alpha"],
    &["--from-pod", "oracle/alpha", "--to-pod", "oracle/beta"],
    &["--not", "--to-pod", "oracle/beta"],
    &["--to-service", "other/gamma"],
    &["--not", "--service", "other/gamma"],
    &["--workload", "alpha"],
    &["-l", "app=alpha"],
    &["--from-label", "app in (alpha, beta),tier"],
    &["--to-label", "app notin (beta)"],
    &["--not", "-l", "tier=front"],
    &["--identity", "0"],
    &["--to-identity", "world"],
    &["--fqdn", "*.example.com"],
    &["--ip", "10.77.0.1"],
    &["--ip", "10.77.0.0/30"],
    &["--to-ip", "fd77::/64"],
    &["--from-ip", "10.77.0.2", "--to-ip", "10.77.0.1"],
    &["--not", "--ip", "FD77::1"],
    &["--snat-ip", "10.77.0.1"],
    &["-4"],
    &["--ipv6"],
    &["--ip-version", "none"],
    &["--port", "4711"],
    &["--to-port", "4711", "--to-port", "4712"],
    &["--not", "--from-port", "30000"],
    &["--protocol", "tcp"],
    &["--protocol", "UDP", "--protocol", "icmp"],
    &["--protocol", "icmpv6"],
    &["--not", "--protocol", "udp"],
    &["--tcp-flags", "SYN"],
    &["--tcp-flags", "syn,ack", "--tcp-flags", "RST"],
    &["-t", "drop"],
    &["-t", "drop:255"],
    &["-t", "trace"],
    &["--verdict", "DROPPED"],
    &["--not", "--verdict", "DROPPED"],
    &["--verdict", "FORWARDED", "--verdict", "ERROR"],
    &["--drop-reason-desc", "POLICY_DENIED"],
    &["--not", "--drop-reason-desc", "DROP_REASON_UNKNOWN"],
    &["--traffic-direction", "ingress"],
    &["--interface", "lo"],
    &["--not", "--interface", "lo"],
    &["--node-name", "node-a"],
    &["--node-name", "default/node-*"],
    &["--not", "--node-name", "*-b"],
    &["--node-label", "!region"],
    &["--cluster", "default"],
    &["--uuid", "none-such"],
    &["--trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"],
    &["--ip-trace-id", "1"],
    &["--encrypted"],
    &["--unencrypted"],
    &["--http-status", "404", "--http-path", "^/x$"],
    &["--http-header", "Host:example.com"],
    &["--cel-expression", "_flow.l4.UDP.destination_port == 4711u"],
    &["--cel-expression", "_flow.verdict == Verdict.DROPPED && _flow.IP.source.startsWith('fd77')"],
    &["--cel-expression", "has(_flow.extensions) && _flow.extensions.kernel_reason == 'NETFILTER_DROP'"],
    &["--allowlist", "{\"source_ip\":[\"10.77.0.1\"]}{\"reply\":[false],\"protocol\":[\"TCP\"]}"],
    &["--denylist", "{\"destination_port\":[\"4711\"]}", "-n", "oracle"],
    &["--allowlist", "{\"interface\":[{\"name\":\"lo\"}]}", "--port", "4712", "--not", "--ip", "10.77.0.2"],
];

/// Lines that a server or the client itself refuses, each in its words.
pub const REFUSED: &[&[&str]] = &[
    &["--protocol", "foo"],
    &["--ip", "no-address"],
    &["--ip", "10.0.0.0/99"],
    &["-l", "a in (b"],
    &["--http-path", "("],
    &["--cel-expression", "_flow."],
    &["--cel-expression", "_flow.verdict"],
    &["--allowlist", "{\"verdikt\":[]}"],
    &["--first", "1", "--last", "2"],
    &["--first", "1", "--follow"],
    &["-f", "-o", "table"],
    &["--field-mask", "nope", "-o", "json"],
    &["--field-mask", "verdict"],
    &["--since", "bad"],
    &["--since", "9999999h"],
    &["--since", "2025-01-02t03:04:05Z"],
    &["--until", "2025-01-02T03:04:60Z"],
    &["--until", "0000-01-01"],
    &["--http-url", "a{1001}"],
    &["--http-url", "a**"],
    &["--ip", "010.0.0.0/8"],
    &["--fqdn", "bad\u{fffd}name"],
    &["--node-name", "a/b/c/d"],
    &["--port", "http"],
    &["--tcp-flags", "FOO"],
];

/// How it is shown, and how much of it.
const SHOWN: &[&[&str]] = &[
    &[],
    &["--print-node-name"],
    &["--print-policy-names"],
    &["--color=", "--time-format=", "--field-mask=", "--kubeconfig=", "--tls-ca-cert-files="],
    &["--color", "NEVER", "--until", "Sun, 02 Jan 2090 3:04:05.5 +0000"],
    &["--numeric"],
    &["--ip-translation=false", "--print-node-name"],
    &["--color=always"],
    &["--time-format", "RFC3339Nano"],
    &["--time-format", "RFC1123Z", "--color=always", "--print-node-name"],
    &["--use-default-field-masks=false"],
    &["-s"],
];

const MASKS: &[&str] = &["verdict", "time,source.pod_name,l4.TCP", "IP,node_name,extensions", "Summary,uuid"];

/// Values for generated lines.
type Choice = (&'static str, &'static [&'static str]);

const CHOICES: &[Choice] = &[
    ("--verdict", &["DROPPED", "FORWARDED"]),
    ("-n", &["oracle", "other", "nowhere"]),
    ("--to-namespace", &["oracle", "other"]),
    ("--pod", &["oracle/alpha", "oracle/", "alpha", "/beta6"]),
    ("--to-pod", &["oracle/beta", "oracle/b", "/alpha"]),
    ("--service", &["other/gamma", "gamma"]),
    ("-l", &["app", "app=beta", "!tier", "app!=alpha"]),
    ("--ip", &["10.77.0.0/24", "10.77.0.2", "fd77::1", "127.0.0.0/8"]),
    ("--from-ip", &["10.77.0.1", "fd77::/16"]),
    ("--port", &["4711", "4712", "30000"]),
    ("--to-port", &["4711", "4712"]),
    ("--protocol", &["tcp", "udp", "icmp", "icmpv6", "sctp"]),
    ("--tcp-flags", &["SYN", "RST", "ACK"]),
    ("-t", &["drop", "drop:255", "trace", "l7"]),
    ("--drop-reason-desc", &["POLICY_DENIED", "DROP_REASON_UNKNOWN", "TTL_EXCEEDED"]),
    ("--interface", &["lo", "eth0"]),
    ("--node-name", &["node-a", "*", "node-b", "east/*"]),
    ("--identity", &["0", "world", "host"]),
    ("--ip-version", &["v4", "v6", "none"]),
    ("--cel-expression", &["_flow.IP.ipVersion == IPVersion.IPv6", "size(_flow.source.labels) > 1"]),
];

/// A line of filters.
pub fn generated(rng: &mut Rng) -> Vec<String> {
    let mut line = Vec::new();
    for _ in 0..rng.usize(1..4) {
        if rng.u32(0..4) == 0 {
            line.push("--not".to_owned());
        }
        let (flag, values) = CHOICES[rng.usize(..CHOICES.len())];
        line.extend([flag.to_owned(), values[rng.usize(..values.len())].to_owned()]);
    }
    line
}

/// Flags of display for a format.
pub fn shown(rng: &mut Rng, format: &str) -> Vec<String> {
    let mut line: Vec<String> = SHOWN[rng.usize(..SHOWN.len())].iter().map(ToString::to_string).collect();
    if format.starts_with("json") && rng.bool() {
        line.extend(["--field-mask".to_owned(), MASKS[rng.usize(..MASKS.len())].to_owned()]);
    }
    line
}

/// What only the drops of the test have.
const OWN: &str = "_flow.source.namespace == 'oracle'";

/// Which part of the history: one that stays the same, whatever is dropped elsewhere meanwhile.
pub fn part(rng: &mut Rng, line: &[String], since: &str, until: &str) -> Vec<String> {
    // Several expressions, and several lists, are alternatives.
    let open = ["--cel-expression", "--allowlist"];
    let kind = if line.iter().any(|l| open.contains(&l.as_str())) { 0 } else { rng.u32(0..8) };
    let words: &[&str] = match kind {
        0 => &["--since", since, "--until", until],
        1 => &["--since", since, "--until", until, "--last", "30"],
        2 => &["--since", since, "--until", until, "--first", "7"],
        3 => &["--cel-expression", OWN, "--last", "25"],
        4 => &["--cel-expression", OWN, "--all"],
        5 => &["--cel-expression", OWN],
        6 => &["--cel-expression", OWN, "--first", "40", "--until", until],
        _ => &["--cel-expression", OWN, "--since", since],
    };
    words.iter().map(ToString::to_string).collect()
}
