use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::kernels::Release;
use super::*;
use crate::kernel::{Btf, Reasons};

fn running() -> (Release, Reasons) {
    let root = Path::new("/");
    let release = Release::of_uname(&crate::kernel::release(root).unwrap()).unwrap();
    (release, Reasons::load(root, &Arc::new(Btf::vmlinux(root).unwrap())))
}

/// Which enum has the name.
fn subsystem(name: &str) -> &'static str {
    match name {
        n if n.starts_with("RX_DROP_") => "MAC80211",
        n if n.starts_with("OVS_DROP_") => "OPENVSWITCH",
        _ => "CORE",
    }
}

#[test]
fn every_reason_of_this_kernel_is_explained_and_every_release_is_right() {
    let (release, reasons) = running();
    if release > kernels::NEWEST {
        println!("SKIPPED: Linux {release} is newer than the catalogue");
        return;
    }
    let here: HashSet<&str> = reasons.iter().map(|r| &*r.name).collect();
    for name in &here {
        assert!(find(name).is_some(), "{name} is not explained");
        let known = kernels::of(name);
        assert!(
            known.is_known() && known.has(release) != Some(false),
            "{name} is in Linux {release}, not only in {known}"
        );
    }
    let loaded: HashSet<&str> = here.iter().map(|name| subsystem(name)).collect();
    for name in kernels::names().filter(|name| loaded.contains(subsystem(name))) {
        let claimed = kernels::of(name).has(release) == Some(true);
        assert!(!claimed || here.contains(name), "{name} is not in Linux {release}");
    }
}

#[test]
fn every_name_has_releases_and_an_explanation() {
    for name in kernels::names() {
        assert!(find(name).is_some(), "{name}");
    }
    for e in all() {
        assert!(kernels::of(e.name).is_known(), "{}", e.name);
    }
}

#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    let Ok(written) = std::fs::read_to_string(&path) else {
        // Elsewhere than in the source tree, as on another kernel.
        assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).exists(), "no {}", path.display());
        return;
    };
    assert!(written == markdown(), "docs/reasons.md is not current: `cargo xtask docs` writes it");
}

#[test]
fn what_a_cluster_meets_is_explained() {
    for name in [
        "NETFILTER_DROP",
        "NO_SOCKET",
        "IP_RPFILTER",
        "SOCKET_RCVBUFF",
        "PKT_TOO_BIG",
        "IP_OUTNOROUTES",
        "IP_INNOROUTES",
        "NEIGH_FAILED",
        "TCP_CSUM",
        "UDP_CSUM",
        "NOT_SPECIFIED",
        "UNHANDLED_PROTO",
        "OTHERHOST",
        "QDISC_DROP",
        "TC_INGRESS",
        "TC_EGRESS",
        "XDP",
        "CPU_BACKLOG",
        "TCP_LISTEN_OVERFLOW",
        "IP_INADDRERRORS",
        "VXLAN_VNI_NOT_FOUND",
    ] {
        assert!(find(name).is_some(), "{name}");
    }
}

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for name in names() {
        assert!(seen.insert(name), "{name} is there twice");
    }
}

#[test]
fn no_section_is_empty_and_every_sentence_is_one() {
    for e in all() {
        assert!(e.means.ends_with('.') && !e.means.contains('\n'), "{}: {}", e.name, e.means);
        assert!((1..=4).contains(&e.causes.len()), "{}: {} causes", e.name, e.causes.len());
        assert!((1..=3).contains(&e.next.len()), "{}: {} steps", e.name, e.next.len());
        let texts = e.causes.iter().chain(e.next.iter().flat_map(|s| [&s.command, &s.shows]));
        for text in texts {
            assert!(
                !text.trim().is_empty() && *text == text.trim() && text.is_ascii(),
                "{}: {text:?}",
                e.name
            );
            assert!(!text.ends_with('.'), "{}: {text:?}", e.name);
        }
    }
}

#[test]
fn counters_that_are_named_are_the_kernels() {
    // Kernels before 6.18 lack some of these counters.
    if running().0 < kernels::NEWEST {
        return;
    }
    let snmp = ["/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6"]
        .map(|f| std::fs::read_to_string(f).unwrap());
    let mut known: HashSet<String> = HashSet::new();
    for line in snmp.iter().flat_map(|text| text.lines()) {
        match line.split_once(':') {
            Some((group, names)) => known.extend(names.split_whitespace().map(|n| format!("{group}{n}"))),
            None => known.extend(line.split_whitespace().next().map(str::to_owned)),
        }
    }
    for step in all().flat_map(|e| e.next.iter()) {
        let Some(counters) = step.command.split("nstat -az ").nth(1) else { continue };
        for counter in counters.split_whitespace() {
            assert!(known.contains(counter), "{counter} in {:?}", step.command);
        }
    }
}
