//! What is in effect, from where, and what is said of mistakes.

use std::time::Duration;

use super::*;
use crate::agent::feed::Target;
use crate::agent::metrics::Kind;

/// Settings of flags, variables and a file's text.
fn loaded(
    flags: &[&str],
    variables: &[(&str, &str)],
    file: Option<&str>,
) -> (Result<Loaded, Mistaken>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.yaml");
    let mut typed: Vec<String> =
        std::iter::once("agent").chain(flags.iter().copied()).map(str::to_owned).collect();
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
        typed.push(format!("--config={}", path.display()));
    }
    let matches = command().try_get_matches_from(typed).unwrap();
    let variable = |name: &str| variables.iter().find(|v| v.0 == name).map(|v| v.1.to_owned());
    (load(&matches, &variable), path.display().to_string())
}

fn good(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> Loaded {
    loaded(flags, variables, file).0.unwrap()
}

/// All mistakes; the file is called FILE.
fn mistakes(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> String {
    let (result, path) = loaded(flags, variables, file);
    result.unwrap_err().to_string().replace(&path, "FILE")
}

fn origin(loaded: &Loaded, key: &str) -> String {
    let setting = loaded.settings.iter().find(|s| s.key == key).unwrap();
    match &setting.origin {
        Origin::File(_, line) => format!("FILE:{line}"),
        other => other.to_string(),
    }
}

#[test]
fn flags_come_before_variables_before_the_file_before_defaults() {
    let file = "log-rate: 1\ndrop-history: 2MiB\nmetrics-max-series: 3\n";
    let loaded = good(
        &["--log-rate=7"],
        &[("NETDROP_LOG_RATE", "8"), ("NETDROP_DROP_HISTORY", "9MiB"), ("NODE_NAME", "")],
        Some(file),
    );
    let args = &loaded.args;
    assert_eq!((args.export.log_rate, args.drop_history, args.metrics.metrics_max_series), (7, 9 << 20, 3));
    assert_eq!(args.node_name, None, "an empty variable says nothing");
    for (key, from) in [
        ("log-rate", "flag"),
        ("drop-history", "NETDROP_DROP_HISTORY"),
        ("metrics-max-series", "FILE:3"),
        ("events-per-flow", "default"),
    ] {
        assert_eq!(origin(&loaded, key), from, "{key}");
    }
}

#[test]
fn without_anything_there_is_one_feed_to_stdout() {
    let loaded = good(&[], &[], None);
    assert_eq!(loaded.feeds.len(), 1);
    assert_eq!((&loaded.feeds[0].target, loaded.feeds[0].rate.unwrap().get()), (&Target::Stdout, 100));
    assert_eq!(loaded.metrics.iter().map(|m| m.kind).collect::<Vec<_>>(), [Kind::Drop, Kind::Flow]);
    assert_eq!(good(&["--log-rate=0"], &[], None).feeds, []);
}

#[test]
fn switches_are_true_or_false_elsewhere() {
    let of = |flags: &[&str], variables: &[(&str, &str)], file| {
        good(flags, variables, file).args.listen.disable_tls
    };
    assert!(!of(&[], &[], None));
    assert!(of(&["--disable-tls"], &[("NETDROP_DISABLE_TLS", "false")], None));
    assert!(!of(&[], &[("NETDROP_DISABLE_TLS", "false")], Some("disable-tls: true")));
    assert!(of(&[], &[], Some("disable-tls: true")));
    let wrong = mistakes(&[], &[], Some("stack: 99"));
    assert!(
        wrong.ends_with("FILE:1: stack: \"99\" does not fit: want how many functions deep, at most 32"),
        "{wrong}"
    );
    let wrong = mistakes(&["--metrics-address=localhost"], &[], None);
    assert!(wrong.contains("write :9965, 127.0.0.1:9965"), "{wrong}");
    let wrong = mistakes(&[], &[], Some("disable-tls: 5"));
    assert!(wrong.ends_with("FILE:1: disable-tls: \"5\" does not fit: want true or false"), "{wrong}");
}

#[test]
fn the_flags_of_hubbles_exporter_make_a_feed() {
    let loaded = good(
        &[
            "--export-file-path=/x/d.log",
            "--export-file-max-size-mb=2",
            "--export-file-compress",
            "--export-allowlist={\"verdict\":[\"DROPPED\"]}",
            "--export-fieldmask=time,verdict",
            "--export-fieldaggregate=verdict",
            "--export-aggregation-interval=1m30s",
        ],
        &[("NETDROP_EXPORT_FILE_MAX_BACKUPS", "0")],
        None,
    );
    let feed = &loaded.feeds[1];
    let Target::File(file) = &feed.target else { panic!("{feed:?}") };
    assert_eq!((file.max_bytes, file.max_backups, file.compress), (2 << 20, 0, true));
    assert_eq!(
        (feed.interval, feed.field_mask.len(), feed.filters.allow.len()),
        (Duration::from_secs(90), 2, 1)
    );
    let stdout = good(&["--export-file-path=stdout", "--export-fieldmask=time"], &[], None);
    assert_eq!(stdout.feeds.len(), 1);
    assert_eq!(stdout.feeds[0].field_mask, ["time"]);
}

const WHOLE: &str = r#"
log-rate: 5
export-file-path: /x/all.log
export-allowlist:
- source_pod: [shop/]
- '{"protocol":["udp"]}'
metrics:
- name: drop
  contextOptions:
  - name: sourceContext
    values: [pod, ip]
  - name: labelsContext
    values: [source_app, traffic_direction]
  includeFilters:
  - protocol: [tcp]
flowLogs:
- name: shop
  filePath: /x/shop.log
  fieldMask: [time, source.pod_name]
  fieldAggregate: []
  aggregationInterval: 0s
  includeFilters:
  - source_pod: [shop/]
  - destination_pod: [shop/]
  excludeFilters: []
  fileMaxSizeMb: 0
  fileMaxBackups: 3
  fileCompress: true
  end: "2033-10-09T23:59:59-07:00"
- name: sums
  filePath: /x/sums.log
  fieldAggregate: [verdict]
  aggregationInterval: 30s
"#;

#[test]
fn a_file_has_feeds_and_metrics_as_hubble_writes_them() {
    let loaded = good(&[], &[], Some(WHOLE));
    let names: Vec<_> = loaded.feeds.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["stdout", "export", "shop", "sums"]);
    assert_eq!(loaded.feeds[1].filters.allow.len(), 2);
    let shop = &loaded.feeds[2];
    let Target::File(file) = &shop.target else { panic!("{shop:?}") };
    assert_eq!((file.max_bytes, file.max_backups, file.compress), (10 << 20, 3, true));
    assert_eq!(shop.end.unwrap().to_string(), "2033-10-10T06:59:59Z");
    assert_eq!(loaded.feeds[3].interval, Duration::from_secs(30));
    let metric = &loaded.metrics[0];
    assert_eq!(metric.context.names(), ["source_app", "traffic_direction", "source"]);
    assert_eq!(metric.filters.allow.len(), 1);
    // The flag takes the place of the list.
    assert_eq!(good(&["--metrics=icmp"], &[], Some(WHOLE)).metrics[0].kind, Kind::Icmp);
}

#[test]
fn what_is_printed_has_the_same_effect() {
    let first =
        good(&["--export-fieldmask=time,verdict", "--ring-size=8Mi"], &[("NODE_NAME", "n1")], Some(WHOLE));
    let printed = first.print();
    let second = good(&[], &[], Some(&printed));
    assert_eq!((&first.feeds, &first.metrics), (&second.feeds, &second.metrics));
    assert_eq!(second.args.node_name.as_deref(), Some("n1"));
    assert_eq!(second.args.capture.ring_size, Some(8 << 20));
    for (start, end) in [
        ("log-rate: 5 ", ":2"),
        ("export-fieldmask: \"time,verdict\" ", "# flag"),
        ("node-name: \"n1\" ", "# NODE_NAME"),
        ("events-per-flow: 100 ", "# default"),
        ("# kubeconfig: ", "# default"),
        ("flowLogs: [{", ":16"),
    ] {
        let fits = |l: &str| l.starts_with(start) && l.ends_with(end);
        assert!(printed.lines().any(fits), "{start} {end} in:\n{printed}");
    }
}

/// Every mistake is one line; the texts are in `golden/`, as they are what people read.
/// Filters of what is kept: one or several in a value, texts or keys in the file.
#[test]
fn what_is_kept_may_be_filtered() {
    let pods = |filters: &[crate::filter::FlowFilter]| {
        filters.iter().map(|f| f.source_pod.join("")).collect::<Vec<_>>()
    };
    let one = good(&["--allowlist={\"source_pod\":[\"a/\"]} {\"source_pod\":[\"b/\"]}"], &[], None);
    assert_eq!(pods(&one.filters.allow), ["a/", "b/"]);
    let other = good(&[], &[], Some("denylist:\n- source_pod: [c/]\n- '{\"source_pod\":[\"d/\"]}'\n"));
    assert_eq!(
        (pods(&other.filters.deny), other.filters.allow.len()),
        (vec!["c/".to_owned(), "d/".to_owned()], 0)
    );
    let variable = good(&[], &[("NETDROP_DENYLIST", "{\"source_pod\":[\"e/\"]}")], None);
    assert_eq!(pods(&variable.filters.deny), ["e/"]);
    let text = mistakes(&["--allowlist={\"sorce_pod\":[]}", "--denylist= "], &[], None);
    assert!(text.contains("2 mistakes") && text.contains("did you mean source_pod?"), "{text}");
    let text = mistakes(&["--allowlist={\"source_ip\":[\"nonsense\"]}"], &[], None);
    assert!(text.contains("allowlist, denylist: ") && text.contains("nonsense"), "{text}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let file = "\
log-rat: 5
ring-size: 8MiB
drop-history: 0
socket-path: [a, b]
metrics: drop:sourceContext=pods
flowLogs:
- name: a
  filePath: /x/a.log
  fileMaxSizeMb: big
  includeFilters:
  - source_pods: [x]
  - verdict: [NOPE]
- name: a
  filePath: /x/b.log
  fieldMask: [nope]
- filePath: /x/a.log
  filepath: /x/c.log
  aggregationInterval: 30
- name: z
  filePath: /x/z.log
  fieldAggregate: [verdict]
- nothing
";
    let said = mistakes(&["--log-rate=many"], &[("NETDROP_FLOW_MAP_SIZE", "1.5")], Some(file));
    assert_eq!(said, include_str!("golden/mistakes.txt").trim_end());
    let flags = mistakes(
        &["--export-fieldmask=time", "--export-aggregation-interval=5s", "--export-denylist={\"x\":1}"],
        &[],
        None,
    );
    assert_eq!(flags, include_str!("golden/flags.txt").trim_end());
}

#[test]
fn files_that_are_none_are_told() {
    assert_eq!(
        mistakes(&[], &[], Some("a: [1\nb: 2\n")).lines().count(),
        1,
        "{}",
        mistakes(&[], &[], Some("a: [1\nb: 2\n"))
    );
    let list = mistakes(&[], &[], Some("- a\n"));
    assert!(list.contains("FILE:1: want keys and values") && list.contains("found a list"), "{list}");
    let (missing, _) = loaded(&["--config=/nothing/agent.yaml"], &[], None);
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("/nothing/agent.yaml: cannot be read") && missing.contains("--config"),
        "{missing}"
    );
}
