//! Records of loss, and of nodes' states: few, so that nothing in them is shared.

use std::sync::Arc;

use jiff::Timestamp;

use super::bytes::{Bytes, put_number, put_signed, put_span, put_text};
use crate::flow::{LostEvents, LostSource, NodeState, NodeStatus};

const SOURCES: [LostSource; 4] = [
    LostSource::Unknown,
    LostSource::PerfEventRingBuffer,
    LostSource::ObserverEventsQueue,
    LostSource::HubbleRingBuffer,
];

const STATES: [NodeState; 5] =
    [NodeState::Unknown, NodeState::Connected, NodeState::Unavailable, NodeState::Gone, NodeState::Error];

mod flag {
    pub(super) const CPU: u8 = 1;
    pub(super) const FIRST: u8 = 2;
    pub(super) const LAST: u8 = 4;
    pub(super) const NODE: u8 = 8;
}

fn number_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|o| o == one).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

pub(super) fn put_lost(lost: &LostEvents, out: &mut Vec<u8>) {
    out.push(number_of(&SOURCES, &lost.source));
    put_number(out, lost.count);
    let set = |flag: u8, on: bool| if on { flag } else { 0 };
    out.push(
        set(flag::CPU, lost.cpu.is_some())
            | set(flag::FIRST, lost.first.is_some())
            | set(flag::LAST, lost.last.is_some())
            | set(flag::NODE, lost.node_name.is_some()),
    );
    if let Some(cpu) = lost.cpu {
        put_signed(out, cpu.into());
    }
    for time in [lost.first, lost.last].into_iter().flatten() {
        put_span(out, time.as_nanosecond() - lost.time.as_nanosecond());
    }
    if let Some(node) = &lost.node_name {
        put_text(out, node);
    }
}

pub(super) fn lost(time: Timestamp, mut bytes: Bytes<'_>) -> Option<LostEvents> {
    let source = *SOURCES.get(usize::from(bytes.u8()?))?;
    let count = bytes.number()?;
    let flags = bytes.u8()?;
    let has = |flag: u8| flags & flag != 0;
    let cpu = if has(flag::CPU) { Some(bytes.signed32()?) } else { None };
    let mut near = |flag: u8| {
        if has(flag) { super::flow::near(time, bytes.span()?).map(Some) } else { Some(None) }
    };
    let (first, last) = (near(flag::FIRST)?, near(flag::LAST)?);
    let node_name = if has(flag::NODE) { Some(bytes.text()?.into()) } else { None };
    Some(LostEvents { source, count, cpu, time, first, last, node_name })
}

pub(super) fn put_status(status: &NodeStatus, out: &mut Vec<u8>) {
    out.push(number_of(&STATES, &status.state));
    out.push(u8::from(status.reporter.is_some()));
    if let Some(reporter) = &status.reporter {
        put_text(out, reporter);
    }
    put_number(out, status.nodes.len() as u64);
    status.nodes.iter().for_each(|node| put_text(out, node));
    put_text(out, &status.message);
}

pub(super) fn status(time: Timestamp, mut bytes: Bytes<'_>) -> Option<NodeStatus> {
    let state = *STATES.get(usize::from(bytes.u8()?))?;
    let reporter = if bytes.u8()? == 0 { None } else { Some(bytes.text()?.into()) };
    let nodes = (0..bytes.number()?).map(|_| bytes.text().map(Arc::from)).collect::<Option<_>>()?;
    Some(NodeStatus { time, reporter, state, nodes, message: bytes.text()?.to_owned() })
}
