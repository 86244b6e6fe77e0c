//! Values of filter flags. Error texts are the client's.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::filter::{EventTypeFilter, HttpHeaderFilter, TcpFlagsFilter, WorkloadFilter};
use crate::flow::hubble;
use crate::go;
use crate::proto::flow as wire;

const EVENT_TYPES: [(&str, i32); 8] = [
    ("drop", 1),
    ("debug", 2),
    ("capture", 3),
    ("trace", TRACE),
    ("policy-verdict", 5),
    ("trace-sock", 7),
    ("l7", 129),
    ("agent", AGENT),
];
const TRACE: i32 = 4;
const AGENT: i32 = 130;

/// Sub types of agent events, in the order of their numbers.
const AGENT_EVENTS: [&str; 11] = [
    "unspecified",
    "message",
    "agent-started",
    "endpoint-regenerate-success",
    "endpoint-regenerate-failure",
    "policy-updated",
    "policy-deleted",
    "endpoint-created",
    "endpoint-deleted",
    "ipcache-upserted",
    "ipcache-deleted",
];

pub(super) fn verdict(text: &str) -> Result<i32, String> {
    wire::Verdict::from_str_name(text)
        .map(Into::into)
        .ok_or_else(|| format!("invalid --verdict value: {text}"))
}

pub(super) fn drop_reason(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Err("empty --drop-reason-desc value".into());
    }
    wire::DropReason::from_str_name(text)
        .map(Into::into)
        .ok_or_else(|| format!("invalid --drop-reason-desc value: {text}"))
}

pub(super) fn event_type(text: &str) -> Result<EventTypeFilter, String> {
    let (kind, sub) = text.split_once(':').map_or((text, None), |(k, s)| (k, Some(s)));
    let named = EVENT_TYPES.iter().find(|e| e.0 == kind).map(|e| e.1);
    let number = match named {
        Some(number) => number,
        None => number(kind).map_err(|why| {
            format!(
                "unable to parse type '{kind}', not a known type name and unable to parse as numeric value: {why}"
            )
        })?,
    };
    let Some(sub) = sub else {
        return Ok(EventTypeFilter { kind: number, match_sub_type: false, sub_type: 0 });
    };
    // Names of sub types belong to names of types.
    let names: &[&str] = match named {
        Some(TRACE) => &hubble::TRACE_POINTS,
        Some(AGENT) => &AGENT_EVENTS,
        _ => &[],
    };
    let sub_type = match (0..).zip(names).find(|(_, name)| **name == sub) {
        Some((number, _)) => number,
        None => self::number(sub).map_err(|why| {
            format!(
                "unable to parse event sub-type '{sub}', not a known sub-type name and unable to parse as numeric value: {why}"
            )
        })?,
    };
    Ok(EventTypeFilter { kind: number, match_sub_type: true, sub_type })
}

/// 32 bits; the upper half of them are negative numbers on the wire.
fn number(text: &str) -> Result<i32, String> {
    let number = go::parse_uint(text, 10, 32)?;
    Ok(u32::try_from(number).unwrap_or_default().cast_signed())
}

pub(super) fn tcp_flags(text: &str) -> Result<TcpFlagsFilter, String> {
    let mut flags = TcpFlagsFilter::default();
    for name in text.split(',') {
        let flag = match name.to_uppercase().as_str() {
            "SYN" => &mut flags.syn,
            "FIN" => &mut flags.fin,
            "RST" => &mut flags.rst,
            "PSH" => &mut flags.psh,
            "ACK" => &mut flags.ack,
            "URG" => &mut flags.urg,
            "ECE" => &mut flags.ece,
            "CWR" => &mut flags.cwr,
            "NS" => &mut flags.ns,
            _ => return Err(format!("unknown tcp flag: {name}")),
        };
        *flag = true;
    }
    Ok(flags)
}

pub(super) fn direction(text: &str) -> Result<i32, String> {
    match text.to_lowercase().as_str() {
        "ingress" => Ok(wire::TrafficDirection::Ingress.into()),
        "egress" => Ok(wire::TrafficDirection::Egress.into()),
        other => Err(format!("{other}: invalid traffic direction, expected ingress or egress")),
    }
}

pub(super) fn ip_version(text: &str) -> i32 {
    match text.to_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => wire::IpVersion::IPv4,
        "6" | "v6" | "ipv6" | "ip6" => wire::IpVersion::IPv6,
        _ => wire::IpVersion::IpNotUsed,
    }
    .into()
}

pub(super) fn ip_trace_id(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Err("invalid --ip-trace-id value; must be greater than 0".into());
    }
    go::parse_uint(text, 10, 64).map_err(|why| format!("invalid --ip-trace-id value: {why}"))
}

pub(super) fn http_header(text: &str) -> Result<HttpHeaderFilter, String> {
    let (key, value) = text
        .split_once(':')
        .ok_or_else(|| format!("invalid http-header value {}, expected name:value", go::quote(text)))?;
    Ok(HttpHeaderFilter { key: key.into(), value: value.into() })
}

pub(super) fn workload(text: &str) -> WorkloadFilter {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    WorkloadFilter { name: name.into(), kind: kind.into() }
}

/// Reserved identities, by number: what the client knows by name.
const IDENTITIES: [(&str, u32); 11] = [
    ("host", 1),
    ("world", 2),
    ("unmanaged", 3),
    ("health", 4),
    ("init", 5),
    ("remote-node", 6),
    ("kube-apiserver", 7),
    ("ingress", 8),
    ("world-ipv4", 9),
    ("world-ipv6", 10),
    ("overlay-to-encrypt", 11),
];

pub(super) fn identity(text: &str) -> Result<u32, String> {
    let named = IDENTITIES.iter().find(|i| i.0 == text).map(|i| i.1);
    let number = || go::parse_uint(text, 0, 32).ok().and_then(|n| u32::try_from(n).ok());
    named.or_else(number).ok_or_else(|| {
        // The last of them has no name that the client prints.
        let names: Vec<&str> = IDENTITIES.iter().map(|i| if i.1 == 11 { "11" } else { i.0 }).collect();
        format!("invalid security identity, expected one of [{}] or a numeric value", names.join(" "))
    })
}

/// The inode of a network namespace given by number, by name in /run/netns, by path, or as `self`.
pub(super) fn netns(text: &str) -> Result<u32, String> {
    if let Ok(inode) = text.parse() {
        return Ok(inode);
    }
    let path = match text {
        "" => {
            return Err(
                "no network namespace given: want an inode, a name of `ip netns`, a path or self".into()
            );
        }
        "self" => PathBuf::from("/proc/self/ns/net"),
        path if path.contains('/') => PathBuf::from(path),
        name => PathBuf::from("/run/netns").join(name),
    };
    let inode = std::fs::metadata(&path).map(|m| m.ino()).map_err(|e| {
        format!("no network namespace {text:?} ({}: {e}); `ip netns` lists the named ones", path.display())
    })?;
    u32::try_from(inode).map_err(|_| format!("{} is no network namespace", path.display()))
}

/// Bytes of a process's name that the kernel keeps (`TASK_COMM_LEN`, less the one at its end).
const COMM: usize = 15;

/// A name that a process can have, or a pattern of one.
pub(super) fn comm(text: &str) -> Result<(), String> {
    let asked = text.len() - text.matches('*').count();
    match text {
        "" => Err("want the name of a process; leave the flag out for any".to_owned()),
        _ if asked <= COMM => Ok(()),
        pattern if pattern.contains('*') => {
            Err(format!("the kernel keeps {COMM} bytes of a process's name, and this asks for {asked}"))
        }
        name => {
            let kept = &name[..name.floor_char_boundary(COMM)];
            // What is left of a letter that was cut is none.
            let rest = if kept.len() < COMM { "*" } else { "" };
            let near = go::quote(&format!("{kept}{rest}"));
            Err(format!("the kernel keeps {COMM} bytes of a process's name: want {near}"))
        }
    }
}

/// A kernel function. As it is shown, with an offset, it is the same place to a person.
pub(super) fn site(text: &str) -> Result<String, String> {
    match text.split("+0x").next() {
        None | Some("") => {
            Err("want a kernel function, as nft_do_chain; leave the flag out for any".to_owned())
        }
        Some(symbol) => Ok(symbol.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types() {
        assert_eq!(
            event_type("drop").unwrap(),
            EventTypeFilter { kind: 1, match_sub_type: false, sub_type: 0 }
        );
        assert_eq!(
            event_type("trace:to-stack").unwrap(),
            EventTypeFilter { kind: 4, match_sub_type: true, sub_type: 3 }
        );
        assert_eq!(
            event_type("drop:133").unwrap(),
            EventTypeFilter { kind: 1, match_sub_type: true, sub_type: 133 }
        );
        assert!(event_type("nope").unwrap_err().starts_with("unable to parse type 'nope'"));
        assert!(event_type("drop:nope").unwrap_err().starts_with("unable to parse event sub-type 'nope'"));
    }

    #[test]
    fn namespaces() {
        assert_eq!(netns("4026531840"), Ok(4_026_531_840));
        assert!(netns("self").unwrap() > 0);
        let e = netns("no-such-netns").unwrap_err();
        assert!(e.contains("/run/netns/no-such-netns") && e.contains("ip netns"), "{e}");
    }
}
