//! What must hold of every flow that was made of bytes, and of all that is printed of it.

use jiff::Timestamp;
use netdrop::convert;
use netdrop::decode::{self, DropEvent, FlowCount};
use netdrop::flow::{
    Flow, Interface, L4, Netns, Observation, Packet, Process, Stack, Tally, TallyKind, Verdict, event_type,
    nearest,
};
use netdrop::kernel::{Reasons, site_from_text};
use netdrop::sink::{Format, PrintOptions, Printer, Sink as _};
use netdrop_common::event::{HEAD_MAX, flag};
use netdrop_common::flow::FlowEntry;

/// Parses, builds a flow and prints it in one way; which, the lowest bits of the time say, as to print is what takes longest.
pub(crate) fn check(event: &DropEvent) {
    assert!(event.head().len() <= HEAD_MAX);
    let packet = decode::parse(event);
    check_packet(&packet);
    let observation = Observation::Flow(flow(event, packet));
    match event.time_ns() & 3 {
        0 => check_text(&observation, Format::Compact),
        1 => check_text(&observation, Format::Dict),
        2 => check_text(&observation, Format::Table),
        _ => check_json(&observation),
    }
}

fn check_text(observation: &Observation, format: Format) {
    for numeric in [false, true] {
        let text = print(observation, PrintOptions { format, numeric, ..PrintOptions::default() });
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "a control character in {text:?}");
    }
}

fn check_json(observation: &Observation) {
    let options = PrintOptions { format: Format::Json, ..PrintOptions::default() };
    let json = print(observation, options);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "not JSON: {json}");
    assert_eq!(json.matches('\n').count(), 1, "more than a line: {json}");
    let Some(back) = convert::from_wire(convert::to_wire(observation)) else { panic!("lost on the wire") };
    assert_eq!(json, print(&back, options), "the wire changes what is printed");
}

/// What a packet may never claim.
pub(crate) fn check_packet(packet: &Packet) {
    check_headers(packet);
    if let Some(netdrop::flow::Inner::IcmpAbout(inner) | netdrop::flow::Inner::Vxlan { packet: inner, .. }) =
        &packet.inner
    {
        assert!(packet.l4.is_some(), "something inside of nothing: {packet:?}");
        assert!(inner.inner.is_none(), "followed too deep: {packet:?}");
        check_headers(inner);
    }
}

fn check_headers(packet: &Packet) {
    assert!(packet.vlan.is_none_or(|v| v.id < 4096 && v.priority < 8), "{packet:?}");
    assert!(packet.arp.is_none() || (packet.ip.is_none() && packet.l4.is_none()), "{packet:?}");
    let Some(ip) = packet.ip else {
        assert!(packet.l4.is_none() && packet.inner.is_none(), "ports without addresses: {packet:?}");
        return;
    };
    assert_eq!(ip.source.is_ipv4(), ip.destination.is_ipv4(), "{packet:?}");
    assert_eq!(packet.ether_type, Some(if ip.source.is_ipv4() { 0x0800 } else { 0x86dd }), "{packet:?}");
    let later = ip.fragment.is_some_and(|f| f.offset != 0);
    assert!(!later || packet.l4.is_none(), "ports of a later fragment: {packet:?}");
    let protocol = match packet.l4 {
        None => return,
        Some(L4::Tcp { .. }) => [6, 6],
        Some(L4::Udp { .. }) => [17, 136],
        Some(L4::Sctp { .. }) => [132, 132],
        Some(L4::Icmpv4(_)) => [1, 1],
        Some(L4::Icmpv6(_)) => [58, 58],
        Some(L4::Vrrp { .. }) => [112, 112],
        Some(L4::Igmp { .. }) => [2, 2],
    };
    assert!(protocol.contains(&ip.protocol), "{packet:?}");
}

/// What the live source makes of a record, as far as no kernel is asked.
fn flow(event: &DropEvent, packet: Packet) -> Flow {
    let record = event.record();
    let reasons = Reasons::default();
    let time = Timestamp::from_nanosecond(event.time_ns().into()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut flow = Flow::new(time, Verdict::Dropped);
    flow.monotonic_ns = Some(event.time_ns());
    flow.tally = tally(event, time);
    flow.reason = event.reason().map(|code| reasons.name(code));
    flow.drop_reason_desc = flow.reason.as_ref().map_or(0, |r| nearest(&r.name));
    flow.event_type = event_type(flow.drop_reason_desc);
    flow.site = Some(site_from_text(event.location(), &name(&record.dev_name)));
    flow.stack = event.stack().map(|frames| {
        let frames = frames.iter().map(|address| site_from_text(*address, "")).collect();
        Stack { frames, more: event.has(flag::OWNER) }.into()
    });
    flow.packet = packet;
    flow.length = Some(record.skb_len);
    flow.mark = (record.mark != 0).then_some(record.mark);
    flow.cgroup_id = event.cgroup_id();
    flow.netns = event.netns().map(|inode| Netns { inode, name: None });
    let device = name(&record.dev_name);
    flow.interface = event.ifindex().map(|index| Interface { index, name: Some(device.into()) });
    flow.incoming_ifindex = event.skb_iif();
    flow.process = Some(Process {
        pid: record.pid,
        tid: record.tid,
        comm: name(&record.comm).into(),
        owner: event.has(flag::OWNER),
    });
    flow
}

/// One packet, or many of a flow, as the third lowest bit of the time says.
fn tally(event: &DropEvent, time: Timestamp) -> Tally {
    let record = event.record();
    let one = Tally {
        kind: TallyKind::Packet,
        count: 1,
        bytes: u64::from(record.skb_len),
        first: time,
        last: time,
    };
    let entry = FlowEntry {
        count: record.cgroup_id,
        bytes: record.location,
        last_ns: record.location,
        record: *record,
    };
    match FlowCount::from_entry(&entry) {
        Ok(of) if event.time_ns() & 4 != 0 => {
            assert!(of.count > 0 && of.last_ns >= event.time_ns(), "{of:?}");
            Tally { kind: TallyKind::Flow, count: of.count, bytes: of.bytes, first: time, last: time }
        }
        _ => one,
    }
}

fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn print(observation: &Observation, options: PrintOptions) -> String {
    let mut out = Vec::new();
    let mut printer = Printer::new(options, &mut out, Vec::new());
    let printed = printer.write(observation).and_then(|()| printer.finish());
    assert!(printed.is_ok(), "{printed:?}");
    drop(printer);
    match String::from_utf8(out) {
        Ok(text) => text,
        Err(e) => panic!("printed what is not UTF-8: {e}"),
    }
}
