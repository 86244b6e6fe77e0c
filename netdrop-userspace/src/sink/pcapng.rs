//! Dropped packets as a capture file, for Wireshark and its kin: each with a comment of why, where and whose.
//!
//! Format: draft-ietf-opsawg-pcapng, version 1.0, in the machine's byte order. All interfaces are Ethernet; a packet that had no MAC header
//! when it died has one of zeroes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use super::{Sink, escape};
use crate::flow::{Flow, Observation, TallyKind, TrafficDirection};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

const COMMENT: u16 = 1;
/// In an interface's description.
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
/// In a packet's block.
const FLAGS: u16 = 2;
const DROP_COUNT: u16 = 4;
/// In the section's header.
const APPLICATION: u16 = 4;

const ETHERNET: u16 = 1;
/// Most bytes of a packet that a file may hold.
const SNAPLEN: u32 = 262_144;

/// Which device of which namespace.
type Key = (Option<u32>, Option<u32>);

/// Takes observations; writes those of a packet to any `impl Write`.
pub struct Pcapng<W> {
    out: W,
    /// Blocks that wait to be written together.
    blocks: Vec<u8>,
    interfaces: HashMap<Key, u32>,
    /// Packets that were lost since the last one in the file.
    lost: u64,
    without_packet: u64,
}

/// So many interfaces are told apart; the rest is one.
const MOST_INTERFACES: usize = 10_000;

impl<W: io::Write> Pcapng<W> {
    /// Begins the file.
    pub fn new(out: W) -> Self {
        let mut pcapng = Self {
            out,
            blocks: Vec::with_capacity(64 * 1024),
            interfaces: HashMap::new(),
            lost: 0,
            without_packet: 0,
        };
        let mut body = Vec::new();
        for part in [
            &0x1a2b_3c4d_u32.to_ne_bytes()[..],
            &1u16.to_ne_bytes(),
            &0u16.to_ne_bytes(),
            &(-1i64).to_ne_bytes(),
        ] {
            body.extend_from_slice(part);
        }
        option(APPLICATION, concat!("netdrop ", env!("CARGO_PKG_VERSION")).as_bytes(), &mut body);
        end_of_options(&mut body);
        block(SECTION, &body, &mut pcapng.blocks);
        pcapng
    }

    /// Observations that had no packet, as a rest of many has none.
    pub fn without_packet(&self) -> u64 {
        self.without_packet
    }

    fn interface(&mut self, flow: &Flow) -> u32 {
        let device = flow.interface.as_ref();
        let mut key = (flow.netns.as_ref().map(|n| n.inode), device.map(|d| d.index));
        if self.interfaces.len() >= MOST_INTERFACES && !self.interfaces.contains_key(&key) {
            key = (None, None);
        }
        if let Some(number) = self.interfaces.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.insert(key, number);
        let mut body = Vec::new();
        for part in [&ETHERNET.to_ne_bytes()[..], &0u16.to_ne_bytes(), &SNAPLEN.to_ne_bytes()] {
            body.extend_from_slice(part);
        }
        let name = match device {
            _ if key == (None, None) => "(unknown)".to_owned(),
            Some(d) => d.name.as_deref().map_or_else(|| format!("if{}", d.index), str::to_owned),
            None => "(no device)".to_owned(),
        };
        option(IF_NAME, escape(&name).as_bytes(), &mut body);
        if let Some(netns) = flow.netns.as_ref().filter(|_| key.0.is_some()) {
            let named = netns.name.as_deref().map_or_else(String::new, |n| format!(" ({n})"));
            let text = format!("network namespace {}{named}", netns.inode);
            option(IF_DESCRIPTION, escape(&text).as_bytes(), &mut body);
        }
        // Nanoseconds.
        option(IF_TSRESOL, &[9], &mut body);
        end_of_options(&mut body);
        block(INTERFACE, &body, &mut self.blocks);
        number
    }

    fn packet(&mut self, flow: &Flow) {
        let Some(frame) = flow.frame.as_deref() else {
            self.without_packet += 1;
            return;
        };
        let interface = self.interface(flow);
        let time = u64::try_from(flow.tally.first.as_nanosecond()).unwrap_or(0);
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let (high, low) = (half(time >> 32), half(time));
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let mut body = Vec::with_capacity(frame.bytes.len() + 256);
        for number in [interface, high, low, captured, frame.length.max(captured)] {
            body.extend_from_slice(&number.to_ne_bytes());
        }
        padded(&frame.bytes, &mut body);
        option(COMMENT, escape(&comment(flow)).as_bytes(), &mut body);
        match flow.direction {
            TrafficDirection::Unknown => {}
            TrafficDirection::Ingress => option(FLAGS, &1u32.to_ne_bytes(), &mut body),
            TrafficDirection::Egress => option(FLAGS, &2u32.to_ne_bytes(), &mut body),
        }
        if self.lost > 0 {
            option(DROP_COUNT, &std::mem::take(&mut self.lost).to_ne_bytes(), &mut body);
        }
        end_of_options(&mut body);
        block(PACKET, &body, &mut self.blocks);
    }
}

impl<W: io::Write> Sink for Pcapng<W> {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        match observation {
            Observation::Flow(flow) => self.packet(flow),
            Observation::Lost(lost) => self.lost = self.lost.saturating_add(lost.count),
            Observation::Status(_) => {}
        }
        if self.blocks.len() < 64 * 1024 { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.blocks);
        self.blocks.clear();
        written.and_then(|()| self.out.flush())
    }
}

/// Why, where, whose.
fn comment(flow: &Flow) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    match &flow.reason {
        Some(reason) => text.push_str(&reason.name),
        None => text.push_str("no reason"),
    }
    if let Some(site) = &flow.site {
        let _ = write!(text, " at {site}");
    }
    for (side, end) in [("from", &flow.source), ("to", &flow.destination)] {
        if !end.pod_name().is_empty() {
            let _ = write!(text, "; {side} {}/{}", end.namespace(), end.pod_name());
        }
    }
    if let Some(process) = &flow.process {
        let whose = if process.owner { "process" } else { "running" };
        let _ = write!(text, "; {whose} {}[{}]", process.comm, process.pid);
    }
    if flow.tally.kind != TallyKind::Packet {
        let _ = write!(text, "; the first of {} packets until {}", flow.tally.count, flow.tally.last);
    }
    if flow.frame.as_ref().is_some_and(|f| f.without_mac) {
        text.push_str("; without a MAC header");
    }
    if let Some(stack) = &flow.stack {
        for (i, frame) in stack.frames.iter().enumerate() {
            let _ = write!(text, "{}{frame}", if i == 0 { "; stack: " } else { " < " });
        }
        text.push_str(if stack.more { " < ..." } else { "" });
    }
    text
}

/// Bytes up to the next multiple of four.
fn padded(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&code.to_ne_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    padded(value, out);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

/// Type, length, body, length.
fn block(kind: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_ne_bytes();
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(body);
    out.extend_from_slice(&length);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::{Frame, Interface, LostEvents, LostSource, Netns, Verdict};

    fn flow() -> Flow {
        let mut flow =
            Flow::new(Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap(), Verdict::Dropped);
        flow.frame = Some(Box::new(Frame { bytes: vec![1; 61].into(), length: 1500, without_mac: true }));
        flow.interface = Some(Interface { index: 7, name: Some("eth0".into()) });
        flow.netns = Some(Netns { inode: 42, name: Some("blue".into()) });
        flow
    }

    /// Types and bodies of all blocks, whose lengths must be right.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut out = Vec::new();
        let number = |b: &[u8]| u32::from_ne_bytes(b[..4].try_into().unwrap());
        while !bytes.is_empty() {
            let length = number(&bytes[4..]) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(number(&bytes[length - 4..]) as usize, length);
            out.push((number(bytes), bytes[8..length - 4].to_vec()));
            bytes = &bytes[length..];
        }
        out
    }

    #[test]
    fn packets_interfaces_and_comments() {
        let mut out = Vec::new();
        let mut pcapng = Pcapng::new(&mut out);
        let mut other = flow();
        other.interface = None;
        other.frame.as_mut().unwrap().without_mac = false;
        let rest = Flow { frame: None, ..flow() };
        let lost = LostEvents {
            source: LostSource::PerfEventRingBuffer,
            count: 5,
            cpu: None,
            time: Timestamp::UNIX_EPOCH,
            first: None,
            last: None,
            node_name: None,
        };
        for o in [
            Observation::Flow(flow()),
            Observation::Lost(lost),
            Observation::Flow(other),
            Observation::Flow(rest),
            Observation::Flow(flow()),
        ] {
            pcapng.write(&o).unwrap();
        }
        pcapng.finish().unwrap();
        assert_eq!(pcapng.without_packet(), 1);
        drop(pcapng);
        let blocks = blocks(&out);
        let kinds: Vec<u32> = blocks.iter().map(|b| b.0).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, PACKET, INTERFACE, PACKET, PACKET]);
        let text = |i: usize| String::from_utf8_lossy(&blocks[i].1).into_owned();
        assert!(text(1).contains("eth0") && text(1).contains("network namespace 42 (blue)"), "{}", text(1));
        assert!(text(2).contains("no reason; without a MAC header"), "{}", text(2));
        assert!(text(3).contains("(no device)"));
        let nanos = 1_700_000_000_123_456_789_u64;
        assert_eq!(blocks[2].1[4..8], u32::try_from(nanos >> 32).unwrap().to_ne_bytes());
        assert_eq!(blocks[2].1[12..20], [61u32.to_ne_bytes(), 1500u32.to_ne_bytes()].concat());
        let count = [DROP_COUNT.to_ne_bytes(), 8u16.to_ne_bytes()].concat();
        assert!(blocks[4].1.windows(4).any(|w| w == count) && !blocks[5].1.windows(4).any(|w| w == count));
    }
}
