use super::*;

fn parse(line: &str) -> anyhow::Result<ObserveConfig> {
    let words = ["netdrop", "observe"].into_iter().chain(line.split_whitespace()).map(Into::into);
    let matches =
        args::parse(Command::new("netdrop").subcommand(command()), words).map_err(|e| anyhow!("{e:?}"))?;
    ObserveConfig::from_matches(matches.subcommand_matches("observe").unwrap())
}

/// What the stock client (1.19.4) prints for the same flags.
#[test]
fn raw_filters_are_the_clients() {
    for (flags, expected) in [
        ("", "{}\n"),
        (
            "--pod a --not --verdict DROPPED --port 80 -n x",
            "allowlist:\n    - '{\"source_pod\":[\"x/a\"],\"source_port\":[\"80\"]}'\n    - \
             '{\"destination_pod\":[\"x/a\"],\"destination_port\":[\"80\"]}'\ndenylist:\n    - '{\"verdict\":[\"DROPPED\"]}'\n",
        ),
        (
            "--ip 10.0.0.0/8 --port 80",
            "allowlist:\n    - '{\"source_ip\":[\"10.0.0.0/8\"],\"source_port\":[\"80\"]}'\n    - \
             '{\"destination_ip\":[\"10.0.0.0/8\"],\"destination_port\":[\"80\"]}'\n",
        ),
        (
            "-n a -n b",
            "allowlist:\n    - '{\"source_pod\":[\"a/\",\"b/\"]}'\n    - '{\"destination_pod\":[\"a/\",\"b/\"]}'\n",
        ),
        ("-A", "allowlist:\n    - '{\"source_pod\":[\"/\"]}'\n    - '{\"destination_pod\":[\"/\"]}'\n"),
        ("--to-namespace a --to-service b", "allowlist:\n    - '{\"destination_service\":[\"a/b\"]}'\n"),
        (
            "-t drop -t trace:to-stack --verdict DROPPED --protocol tcp",
            "allowlist:\n    - '{\"verdict\":[\"DROPPED\"],\"event_type\":[{\"type\":1},\
             {\"type\":4,\"match_sub_type\":true,\"sub_type\":3}],\"protocol\":[\"tcp\"]}'\n",
        ),
        (
            "--not --from-pod x --not --to-port 80",
            "denylist:\n    - '{\"source_pod\":[\"x\"],\"destination_port\":[\"80\"]}'\n",
        ),
        (
            "--from-workload Deployment/api --identity world --tcp-flags SYN,ack -4 --traffic-direction Ingress --node-name k8s*",
            "allowlist:\n    - '{\"source_workload\":[{\"name\":\"api\",\"kind\":\"Deployment\"}],\
             \"traffic_direction\":[\"INGRESS\"],\"source_identity\":[2],\"tcp_flags\":[{\"SYN\":true,\"ACK\":true}],\
             \"node_name\":[\"k8s*\"],\"ip_version\":[\"IPv4\"]}'\n    - \
             '{\"source_workload\":[{\"name\":\"api\",\"kind\":\"Deployment\"}],\"traffic_direction\":[\"INGRESS\"],\
             \"destination_identity\":[2],\"tcp_flags\":[{\"SYN\":true,\"ACK\":true}],\"node_name\":[\"k8s*\"],\
             \"ip_version\":[\"IPv4\"]}'\n",
        ),
    ] {
        assert_eq!(parse(flags).unwrap().raw_filters().unwrap(), expected, "{flags}");
    }
}

/// The stock client's words for the same mistakes.
#[test]
fn mistakes_are_told_in_the_clients_words() {
    for (flags, expected) in [
        (
            "--verdict dropped",
            "invalid argument \"dropped\" for \"--verdict\" flag: invalid --verdict value: dropped",
        ),
        (
            "--ip 1.1.1.1 --pod a",
            "invalid argument \"a\" for \"--pod\" flag: filters --ip and --pod cannot be combined",
        ),
        ("--not --not --pod a", "invalid argument \"true\" for \"--not\" flag: consecutive --not statements"),
        ("--pod a --not", "trailing --not found in the arguments"),
        (
            "-n a --pod b/y",
            "invalid argument \"b/y\" for \"--pod\" flag: namespace conflict: \"a\" does not contain \"b/y\"",
        ),
        (
            "--from-pod y/a --from-service x/s",
            "invalid argument \"x/s\" for \"--from-service\" flag: namespace of service \"x/s\" conflict with pod \"y\"",
        ),
        ("--first 1 --last 2", "cannot set both --first and --last"),
        ("--first 1 --follow", "cannot set both --first and --follow"),
        ("--last 1 --all", "cannot set both --last and --all"),
        ("--since bad", "failed to parse the since time: failed to convert bad to time"),
        ("-o table -f", "table output format is not compatible with follow mode"),
        ("--tcp-flags FOO", "invalid argument \"FOO\" for \"--tcp-flags\" flag: unknown tcp flag: FOO"),
    ] {
        assert_eq!(parse(flags).unwrap_err().to_string(), expected, "{flags}");
    }
    // What a filter's value says is judged where it is used: a server may know more.
    let said = parse("--protocol foo").unwrap().filters.compile().err().map(|e| e.to_string());
    assert_eq!(said.as_deref(), Some("invalid protocol filter: unknown protocol: \"foo\""));
}

#[test]
fn raw_json_filters_are_added_and_checked() {
    let c =
        parse(r#"--allowlist {"verdict":["DROPPED"]}{"source_ip":["10.0.0.1"]} --denylist {"reply":[true]}"#)
            .unwrap();
    assert_eq!((c.filters.allow.len(), c.filters.deny.len()), (2, 1));
    let e = format!("{:#}", parse(r#"--allowlist {"verdikt":[]}"#).unwrap_err());
    assert!(e.contains("verdikt") && e.contains("--allowlist"), "{e}");
}

#[test]
fn live_capture_has_no_past() {
    for flag in ["--last 5", "--since 5m", "--until 5m", "--all"] {
        let e = parse(flag).unwrap().check_live().unwrap_err().to_string();
        assert!(e.starts_with(flag.split(' ').next().unwrap()) && e.contains("netdrop agent"), "{e}");
    }
    parse("--first 3 --duration 5s --reason NO_SOCKET").unwrap().check_live().unwrap();
}

#[test]
fn short_flags_keep_their_order() {
    let c = parse("--not -4 -l app=x -t drop --netns 77").unwrap();
    assert_eq!(c.filters.deny.len(), 1);
    assert_eq!(c.filters.allow[0].netns, [77]);
    assert!(parse("--duration 0s").is_err() && parse("--count 0").is_err() && parse("--output xml").is_err());
}

#[test]
fn what_a_file_has_no_use_for_is_known() {
    let idle = |line: &str| parse(line).unwrap().shown.idle;
    assert_eq!(
        idle("--input-file f --names n --server x:1 --kubeconfig k --tls --pod a -o json"),
        ["--names", "--server", "--tls", "--kubeconfig"]
    );
    assert!(idle("--input-file f --pod a --last 5 --duration 1s").is_empty());
    assert!(idle("--names n --server x:1").is_empty());
}
