use super::*;

/// A machine as a directory: the files that the probes read.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn state(features: &Features, name: &str) -> State {
    features.get(name).unwrap_or_else(|| panic!("{name}")).state
}

#[test]
fn the_running_machine_can_capture() {
    let features = Features::probe(Some(Ok(())));
    for name in ["BTF", "tp_btf", "kernel fields", "ring buffer", "CAP_BPF", "CAP_PERFMON"] {
        assert_eq!(state(&features, name), State::Ok, "{features:?}");
    }
}

#[test]
fn what_was_tried_agrees_with_btf() {
    let attempts = Attempts::make();
    let btf = Btf::vmlinux(Path::new("/")).unwrap();
    assert_eq!(attempts.tcx.map(|r| r.is_ok()), Some(btf.enum_value("BPF_TCX_INGRESS").is_some()));
    assert_eq!(
        attempts.ring_buffer.map(|r| r.is_ok()),
        Some(btf.enum_value("BPF_MAP_TYPE_RINGBUF").is_some())
    );
}

#[test]
fn an_empty_machine_lacks_everything_and_nothing_fails() {
    let root = machine(&[]);
    let features = Features::read(root.path(), &Attempts::default());
    for name in ["BTF", "tp_btf", "ring buffer", "TCX", "clsact", "CAP_BPF"] {
        assert_eq!(state(&features, name), State::Missing, "{name}");
    }
    assert!(features.get("BTF").unwrap().detail.contains("CONFIG_DEBUG_INFO_BTF"));
    assert!(features.features.iter().all(|f| !f.without.is_empty() && !f.detail.is_empty()));
}

#[test]
fn a_pod_with_two_capabilities_can_capture_but_not_read_symbols() {
    // CAP_BPF and CAP_PERFMON: bits 39 and 38.
    let root = machine(&[
        ("proc/self/status", "Name:\tnetdrop\nCapEff:\t000000c000000000\n"),
        ("proc/kallsyms", "0000000000000000 T _text\n0000000000000000 t x\n"),
        ("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 ro 0 0\n"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        ("proc/sys/kernel/osrelease", "6.1.0-test\n"),
        ("lib/modules/6.1.0-test/modules.dep", "kernel/net/sched/sch_ingress.ko.xz:\n"),
    ]);
    let features = Features::read(root.path(), &Attempts::default());
    assert_eq!(features.release, "6.1.0-test");
    for (name, expected) in [
        ("CAP_BPF", State::Ok),
        ("CAP_PERFMON", State::Ok),
        ("CAP_NET_ADMIN", State::Missing),
        ("CAP_SYSLOG", State::Degraded),
        ("CAP_SYS_ADMIN", State::Ok),
        ("kernel symbols", State::Degraded),
        ("cgroup v2", State::Ok),
        ("lockdown", State::Ok),
        ("clsact", State::Ok),
    ] {
        assert_eq!(state(&features, name), expected, "{name}");
    }
    assert!(features.get("cgroup v2").unwrap().detail.contains("/sys/fs/cgroup"));
}

#[test]
fn confidentiality_and_a_refused_program_are_named() {
    let root = machine(&[("sys/kernel/security/lockdown", "none integrity [confidentiality]\n")]);
    let attempts = Attempts { tp_btf: Some(Err("permission denied".to_owned())), ..Attempts::default() };
    let features = Features::read(root.path(), &attempts);
    assert_eq!(state(&features, "lockdown"), State::Missing);
    assert_eq!(features.get("tp_btf").unwrap().detail, "kfree_skb: permission denied");
}

#[test]
fn the_capability_that_lacks_is_named() {
    // CAP_BPF alone, then CAP_SYS_ADMIN alone, then none.
    for (set, expected) in
        [("0000008000000000", vec!["PERFMON"]), ("0000000000200000", vec![]), ("0", vec!["BPF", "PERFMON"])]
    {
        let root = machine(&[("proc/self/status", &format!("CapEff:\t{set}\n"))]);
        assert_eq!(host::lacking(root.path()), expected);
    }
    assert!(host::lacking(machine(&[]).path()).is_empty(), "nothing is known");
}
