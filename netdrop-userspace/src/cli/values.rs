//! Values of filter flags. Error texts are the client's.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::filter::{EventTypeFilter, TcpFlagsFilter, WorkloadFilter};
use crate::flow::{Identity, Verdict, hubble};

const EVENT_TYPES: [(&str, i32); 9] = [
    ("drop", 1),
    ("debug", 2),
    ("capture", 3),
    ("trace", 4),
    ("policy-verdict", 5),
    ("recorder", 6),
    ("trace-sock", 7),
    ("l7", 129),
    ("agent", 130),
];

pub(super) fn verdict(text: &str) -> Result<String, String> {
    Verdict::ALL
        .iter()
        .find(|v| v.name() == text)
        .map(|v| v.name().to_owned())
        .ok_or_else(|| format!("invalid --verdict value: {text}"))
}

pub(super) fn drop_reason(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty --drop-reason-desc value".into());
    }
    hubble::drop_reason_number(text)
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("invalid --drop-reason-desc value: {text}"))
}

pub(super) fn event_type(text: &str) -> Result<EventTypeFilter, String> {
    let (kind, sub) = text.split_once(':').map_or((text, None), |(k, s)| (k, Some(s)));
    let number = EVENT_TYPES.iter().find(|e| e.0 == kind).map(|e| e.1);
    let kind = match number {
        Some(number) => number,
        None => kind.parse::<u32>().ok().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| {
            format!(
                "unable to parse type '{kind}', not a known type name and unable to parse as numeric value: \
                 strconv.ParseUint: parsing {kind:?}: invalid syntax"
            )
        })?,
    };
    let Some(sub) = sub else {
        return Ok(EventTypeFilter { kind, match_sub_type: false, sub_type: 0 });
    };
    let point = (0..).zip(hubble::TRACE_POINTS).find(|(_, name)| kind == 4 && *name == sub).map(|(i, _)| i);
    let sub_type = match point {
        Some(point) => point,
        None => sub.parse::<u32>().ok().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| {
            format!(
                "unable to parse event sub-type '{sub}', not a known sub-type name and unable to parse as numeric value: \
                 strconv.ParseUint: parsing {sub:?}: invalid syntax"
            )
        })?,
    };
    Ok(EventTypeFilter { kind, match_sub_type: true, sub_type })
}

pub(super) fn tcp_flags(text: &str) -> Result<TcpFlagsFilter, String> {
    let mut flags = TcpFlagsFilter::default();
    for name in text.split(',') {
        let flag = match name.to_ascii_uppercase().as_str() {
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

pub(super) fn direction(text: &str) -> Result<String, String> {
    match text.to_ascii_lowercase().as_str() {
        "ingress" => Ok("INGRESS".into()),
        "egress" => Ok("EGRESS".into()),
        other => Err(format!("{other}: invalid traffic direction, expected ingress or egress")),
    }
}

pub(super) fn ip_version(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "4" | "v4" | "ipv4" | "ip4" => "IPv4",
        "6" | "v6" | "ipv6" | "ip6" => "IPv6",
        _ => "IP_NOT_USED",
    }
    .into()
}

pub(super) fn workload(text: &str) -> WorkloadFilter {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    WorkloadFilter { name: name.into(), kind: kind.into() }
}

pub(super) fn identity(text: &str) -> Result<u32, String> {
    Identity::from_reserved_name(text)
        .map(|i| i.0)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "invalid security identity, expected a reserved name (host, world, remote-node ...) or a numeric value".into())
}

/// The inode of a network namespace given by number, by name in /run/netns, by path, or as `self`.
pub(super) fn netns(text: &str) -> Result<u32, String> {
    if let Ok(inode) = text.parse() {
        return Ok(inode);
    }
    let path = match text {
        "self" => PathBuf::from("/proc/self/ns/net"),
        path if path.contains('/') => PathBuf::from(path),
        name => PathBuf::from("/run/netns").join(name),
    };
    let inode = std::fs::metadata(&path).map(|m| m.ino()).map_err(|e| {
        format!("no network namespace {text:?} ({}: {e}); `ip netns` lists the named ones", path.display())
    })?;
    u32::try_from(inode).map_err(|_| format!("{} is no network namespace", path.display()))
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
