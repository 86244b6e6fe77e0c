use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::kernel::{Btf, Reasons};

/// The names of this kernel's reasons; `None` where it is older than the one the catalogue was written for.
fn reasons_if_new() -> Option<HashSet<String>> {
    let kernel = Arc::new(Btf::vmlinux(Path::new("/")).unwrap());
    let reasons = Reasons::load(Path::new("/"), &kernel);
    let core = reasons.iter().filter(|r| &*r.subsystem == "CORE").map(|r| r.name.to_string());
    Some(core.collect::<HashSet<_>>()).filter(|names| names.contains("RECURSION_LIMIT"))
}

#[test]
fn every_reason_of_this_kernel_is_explained_and_every_explanation_is_of_one() {
    // An older kernel lacks some of them; a newer one may have moved some to a subsystem of their own.
    let Some(known) = reasons_if_new() else { return };
    let unexplained: Vec<_> = known.iter().filter(|name| find(name).is_none()).collect();
    assert!(unexplained.len() * 10 < known.len(), "not explained: {unexplained:?}");
    let strangers: Vec<_> = all().filter(|e| e.also.is_empty() && !known.contains(e.name)).collect();
    assert!(strangers.is_empty(), "no such reasons: {strangers:?}");
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
    for name in all().flat_map(|e| std::iter::once(e.name).chain(e.also.iter().copied())) {
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
    if reasons_if_new().is_none() {
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
