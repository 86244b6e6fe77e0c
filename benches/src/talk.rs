//! What tracers say at their end, and what netdrop's JSON lines count: the only place that knows their words.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The number before a word in the last line that has one: 7 for "lost" in "netdrop: 9 drops: 2 shown, 0 hidden, 7 lost".
pub fn number_before(talk: &str, word: &str) -> Option<u64> {
    talk.lines().rev().find_map(|line| {
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || "(),:;".contains(c))
            .filter(|w| !w.is_empty())
            .collect();
        words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok())
    })
}

/// What is read of a line of `-o json`.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    flow: Option<Flow<'a>>,
}

#[derive(Debug, Deserialize)]
struct Flow<'a> {
    #[serde(rename = "IP", borrow)]
    ip: Option<Ip<'a>>,
    l4: Option<L4>,
    extensions: Option<Extensions<'a>>,
}

#[derive(Debug, Deserialize)]
struct Ip<'a> {
    source: &'a str,
}

#[derive(Debug, Deserialize)]
enum L4 {
    #[serde(rename = "UDP", alias = "TCP")]
    Ports { source_port: Option<u16>, destination_port: Option<u16> },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Extensions<'a> {
    #[serde(borrow)]
    value: Facts<'a>,
}

#[derive(Debug, Deserialize)]
struct Facts<'a> {
    /// `rest`: of flows that found no room.
    aggregated: Option<&'a str>,
    /// How many drops the line stands for; absent: one.
    count: Option<&'a str>,
}

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Drops of a flow to the port that was asked for: address and port of its source, and how many.
    Flow(Ipv4Addr, u16, u64),
    /// Drops of flows that found no room, without their names.
    Rest(u64),
    /// Something else.
    Other,
}

/// What a line of `-o json` tells of drops to `port`.
pub fn told(line: &str, port: u16) -> Result<Told> {
    let line: Line<'_> =
        serde_json::from_str(line).with_context(|| format!("not a line of netdrop's: {line}"))?;
    let Some(flow) = line.flow else { return Ok(Told::Other) };
    let facts = flow.extensions.map(|e| e.value);
    let count = facts.as_ref().and_then(|f| f.count).and_then(|c| c.parse().ok()).unwrap_or(1);
    if facts.is_some_and(|f| f.aggregated == Some("rest")) {
        return Ok(Told::Rest(count));
    }
    let (Some(ip), Some(L4::Ports { source_port, destination_port })) = (flow.ip, flow.l4) else {
        return Ok(Told::Other);
    };
    match (ip.source.parse(), destination_port) {
        (Ok(address), Some(to)) if to == port => Ok(Told::Flow(address, source_port.unwrap_or(0), count)),
        _ => Ok(Told::Other),
    }
}

/// All flows of the flood in netdrop's output, and how many drops of each.
#[derive(Debug, Default)]
pub struct Flows {
    /// Lines about them.
    pub lines: u64,
    /// Drops of flows without their names.
    pub rest: u64,
    by_source: HashMap<(Ipv4Addr, u16), u64>,
}

impl Flows {
    /// Reads lines to `port`.
    pub fn read(mut lines: impl BufRead, port: u16) -> Result<Self> {
        let mut flows = Self::default();
        let mut line = String::new();
        while lines.read_line(&mut line).context("can't read netdrop's output")? > 0 {
            match told(&line, port)? {
                Told::Flow(address, source_port, count) => {
                    flows.lines += 1;
                    *flows.by_source.entry((address, source_port)).or_default() += count;
                }
                Told::Rest(count) => flows.rest += count,
                Told::Other => {}
            }
            line.clear();
        }
        Ok(flows)
    }

    /// Different ones.
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    /// Drops of all that are named.
    pub fn sum(&self) -> u64 {
        self.by_source.values().sum()
    }

    /// Drops of one.
    pub fn of(&self, source: (Ipv4Addr, u16)) -> u64 {
        self.by_source.get(&source).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read() {
        let talk = "netdrop: capturing\nnetdrop: 9 drops: 2 shown, 0 hidden by the filter, 7 lost, 3 after the end\n";
        assert_eq!(number_before(talk, "lost"), Some(7));
        assert_eq!(number_before(talk, "drops"), Some(9));
        assert_eq!(number_before("[ Captured and wrote 1.2 MB x (123 samples) ]", "samples"), Some(123));
        assert_eq!(number_before(talk, "aggregated"), None);
    }

    #[test]
    fn lines_are_counted() {
        let one = r#"{"flow":{"IP":{"source":"10.65.0.0","ipVersion":"IPv4"},"l4":{"UDP":{"source_port":1024,"destination_port":9999}},"extensions":{"value":{"pid":1}}}}"#;
        let many = one.replace(r#""pid":1"#, r#""count":"20","pid":1"#);
        let other = one.replace("9999", "53");
        let rest = r#"{"flow":{"extensions":{"value":{"aggregated":"rest","count":"5"}}}}"#;
        let lost = r#"{"lost_events":{"num_events_lost":"7"}}"#;
        let text = [one, &many, &other, rest, lost].join("\n");
        let flows = Flows::read(text.as_bytes(), 9999).unwrap();
        assert_eq!((flows.len(), flows.lines, flows.sum(), flows.rest), (1, 2, 21, 5));
        assert_eq!(flows.of((Ipv4Addr::new(10, 65, 0, 0), 1024)), 21);
    }
}
