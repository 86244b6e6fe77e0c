//! netdrop's own facts of a flow, for formats that have no field for them: keys and values of the
//! `google.protobuf.Struct` in `Flow.extensions`. One list, for JSON and for the wire, there and back.

use std::borrow::Cow;
use std::sync::Arc;

use crate::kernel::site_from_text;

use super::{
    DropReason, DropSite, Flow, Fragment, Netns, ParseProblem, Process, Stack, TallyKind, arp_text,
    inner_text,
};

/// A value of the Struct.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Several.
    Texts(Vec<Cow<'a, str>>),
    /// The place where a packet died, as text.
    Site(&'a DropSite),
    /// A number; a Struct holds doubles, so 64-bit ids go as text.
    Number(u32),
    /// Yes or no.
    Bool(bool),
}

fn text<'a>(s: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(s.into())
}

/// Calls `visit` with each fact that is known, in the order of the keys.
pub fn extension(flow: &Flow, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
    let packet = &flow.packet;
    let many = flow.tally.kind != TallyKind::Packet;
    if many {
        visit("aggregated", text(flow.tally.kind.name()));
    }
    if let Some(arp) = packet.arp {
        let mut words = String::new();
        arp_text(arp, &mut words);
        visit("arp", text(words));
    } else if let Some(words) = &flow.remote_arp {
        visit("arp", text(&**words));
    }
    if flow.benign {
        visit("benign", Value::Bool(true));
    }
    if many {
        visit("bytes", text(flow.tally.bytes.to_string()));
    }
    if let Some(process) = &flow.process {
        visit("comm", text(&*process.comm));
    }
    if many {
        visit("count", text(flow.tally.count.to_string()));
    }
    if packet.ip.is_none()
        && let Some(ether_type) = packet.ether_type
    {
        visit("ether_type", text(format!("{ether_type:#06x}")));
    }
    if many {
        visit("first", text(flow.tally.first.to_string()));
    }
    if let Some(fragment) = packet.ip.and_then(|ip| ip.fragment) {
        visit("fragment_offset", Value::Number(u32::from(fragment.offset)));
    }
    if let Some(index) = flow.incoming_ifindex {
        visit("incoming_ifindex", Value::Number(index));
    }
    if let Some(inner) = &packet.inner {
        let mut words = String::new();
        inner_text(inner, &mut words);
        visit("inner", text(words));
    } else if let Some(words) = &flow.remote_inner {
        visit("inner", text(&**words));
    }
    if let Some(reason) = &flow.reason {
        visit("kernel_reason", text(&*reason.name));
        visit("kernel_reason_code", Value::Number(reason.code));
    }
    if many {
        visit("last", text(flow.tally.last.to_string()));
    }
    place(flow, visit);
}

/// The second half of the keys.
fn place(flow: &Flow, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
    if let Some(length) = flow.length {
        visit("length", Value::Number(length));
    }
    if let Some(mark) = flow.mark {
        visit("mark", Value::Number(mark));
    }
    if let Some(meaning) = &flow.meaning {
        visit("meaning", text(&**meaning));
    }
    if let Some(netns) = &flow.netns {
        visit("netns", Value::Number(netns.inode));
        if let Some(name) = &netns.name {
            visit("netns_name", text(&**name));
        }
    }
    if let Some(process) = &flow.process {
        visit("pid", Value::Number(process.pid));
        visit("process_owner", Value::Bool(process.owner));
    }
    if let Some(ip) = flow.packet.ip {
        visit("protocol", Value::Number(u32::from(ip.protocol)));
    }
    if let Some(site) = &flow.site {
        visit("site", Value::Site(site));
    }
    if let Some(stack) = &flow.stack {
        visit("stack", Value::Texts(stack.frames.iter().map(|f| f.to_string().into()).collect()));
        if stack.more {
            visit("stack_more", Value::Bool(true));
        }
    }
    if let Some(reason) = &flow.reason {
        visit("subsystem", text(&*reason.subsystem));
    }
    if let Some(process) = &flow.process {
        visit("tid", Value::Number(process.tid));
    }
    let unwritten = flow.packet.problem == Some(ParseProblem::Unwritten);
    if let Some(ip) = flow.packet.ip.filter(|_| !unwritten) {
        visit("ttl", Value::Number(u32::from(ip.ttl)));
    }
    if unwritten {
        visit("unwritten", Value::Bool(true));
    }
    if let Some(vlan) = flow.packet.vlan {
        visit("vlan", Value::Number(u32::from(vlan.id)));
    }
}

/// Puts a fact of another netdrop's flow back. Unknown keys and values of the wrong type are left alone: a newer netdrop may
/// have written them.
pub fn apply_extension(flow: &mut Flow, key: &str, value: &Value<'_>) {
    match value {
        Value::Text(s) => apply_text(flow, key, s),
        Value::Texts(list) => {
            if key == "stack" {
                stack(flow).frames = list.iter().map(|s| site_from_text(0, s)).collect();
            }
        }
        Value::Site(site) => {
            if key == "site" {
                flow.site = Some((*site).clone());
            }
        }
        Value::Number(n) => apply_number(flow, key, *n),
        Value::Bool(yes) => match key {
            "process_owner" => process(flow).owner = *yes,
            "benign" => flow.benign = *yes,
            "unwritten" => flow.packet.problem = yes.then_some(ParseProblem::Unwritten),
            "stack_more" => stack(flow).more = *yes,
            _ => {}
        },
    }
}

fn apply_text(flow: &mut Flow, key: &str, s: &str) {
    match key {
        "kernel_reason" => reason(flow).name = s.into(),
        "subsystem" => reason(flow).subsystem = s.into(),
        "site" => flow.site = Some(site_from_text(0, s)),
        "meaning" => flow.meaning = Some(s.into()),
        "netns_name" => netns(flow).name = Some(s.into()),
        "comm" => process(flow).comm = s.into(),
        "arp" => flow.remote_arp = Some(s.into()),
        "inner" => flow.remote_inner = Some(s.into()),
        "aggregated" => {
            flow.tally.kind = if s == TallyKind::Rest.name() { TallyKind::Rest } else { TallyKind::Flow };
        }
        "count" => flow.tally.count = s.parse().unwrap_or(1).max(1),
        "bytes" => flow.tally.bytes = s.parse().unwrap_or(0),
        "first" => flow.tally.first = s.parse().unwrap_or(flow.tally.first),
        "last" => flow.tally.last = s.parse().unwrap_or(flow.tally.last),
        "ether_type" => {
            flow.packet.ether_type = s.strip_prefix("0x").and_then(|hex| u16::from_str_radix(hex, 16).ok());
        }
        _ => {}
    }
}

fn apply_number(flow: &mut Flow, key: &str, n: u32) {
    let small = u8::try_from(n).ok();
    match key {
        "kernel_reason_code" => reason(flow).code = n,
        "netns" => netns(flow).inode = n,
        "pid" => process(flow).pid = n,
        "tid" => process(flow).tid = n,
        "mark" => flow.mark = Some(n),
        "length" => flow.length = Some(n),
        "incoming_ifindex" => flow.incoming_ifindex = Some(n),
        "ttl" => {
            if let (Some(ip), Some(ttl)) = (&mut flow.packet.ip, small) {
                ip.ttl = ttl;
            }
        }
        "protocol" => {
            if let (Some(ip), Some(protocol)) = (&mut flow.packet.ip, small) {
                ip.protocol = protocol;
            }
        }
        "fragment_offset" => {
            if let (Some(ip), Ok(offset)) = (&mut flow.packet.ip, u16::try_from(n)) {
                ip.fragment = Some(Fragment { offset, more: false, id: 0 });
            }
        }
        "vlan" => {
            if let Ok(id) = u16::try_from(n) {
                flow.packet.vlan = Some(super::Vlan { id, priority: 0 });
            }
        }
        _ => {}
    }
}

fn reason(flow: &mut Flow) -> &mut DropReason {
    let empty: Arc<str> = Arc::from("");
    flow.reason.get_or_insert_with(|| DropReason { code: 0, subsystem: Arc::clone(&empty), name: empty })
}

fn stack(flow: &mut Flow) -> &mut Stack {
    Arc::make_mut(flow.stack.get_or_insert_default())
}

fn netns(flow: &mut Flow) -> &mut Netns {
    flow.netns.get_or_insert(Netns { inode: 0, name: None })
}

fn process(flow: &mut Flow) -> &mut Process {
    flow.process.get_or_insert_with(|| Process { pid: 0, tid: 0, comm: "".into(), owner: false })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::Verdict;

    #[test]
    fn facts_survive_the_way_there_and_back_in_key_order() {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        let mut flow = Flow::new(time, Verdict::Dropped);
        flow.tally = crate::flow::Tally { kind: TallyKind::Rest, count: 5, bytes: 500, ..flow.tally };
        flow.reason = Some(DropReason { code: 8, subsystem: "CORE".into(), name: "NETFILTER_DROP".into() });
        flow.site = Some(site_from_text(0, "nf_hook_slow+0x9a [nf]"));
        flow.netns = Some(Netns { inode: 4_026_531_840, name: Some("blue".into()) });
        flow.process = Some(Process { pid: 1, tid: 2, comm: "curl".into(), owner: true });
        flow.mark = Some(7);
        flow.length = Some(60);
        flow.incoming_ifindex = Some(3);
        flow.packet.problem = Some(ParseProblem::Unwritten);
        let frames = ["nf_hook_slow+0x9a [nf]", "ip_output+0x5", "0xffffffff81000000"];
        let frames = frames.map(|f| site_from_text(0, f)).to_vec();
        flow.stack = Some(Arc::new(Stack { frames, more: true }));
        let mut facts = Vec::new();
        extension(&flow, &mut |k, v| {
            let v = match v {
                Value::Text(t) => Value::Text(t.into_owned().into()),
                Value::Texts(list) => Value::Texts(list.into_iter().map(|t| t.into_owned().into()).collect()),
                Value::Site(s) => Value::Text(s.to_string().into()),
                Value::Number(n) => Value::Number(n),
                Value::Bool(b) => Value::Bool(b),
            };
            facts.push((k, v));
        });
        let mut sorted = facts.clone();
        sorted.sort_by_key(|f| f.0);
        assert_eq!(facts, sorted, "JSON sorts the keys of a Struct");
        let mut back = Flow::new(time, Verdict::Dropped);
        for (k, v) in &facts {
            apply_extension(&mut back, k, v);
        }
        assert_eq!(back, flow);
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        let before = flow.clone();
        apply_extension(&mut flow, "from_the_future", &Value::Number(1));
        apply_extension(&mut flow, "site", &Value::Number(1));
        apply_extension(&mut flow, "ttl", &Value::Number(9999));
        assert_eq!(flow, before);
    }
}
