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
    /// How many drops the line stands for; absent: one.
    count: Option<&'a str>,
}

/// Source of a flow of the flood, and how many drops the line stands for. `None`: no flow, or not to `port`.
pub fn flow(line: &str, port: u16) -> Result<Option<(Ipv4Addr, u16, u64)>> {
    let line: Line<'_> =
        serde_json::from_str(line).with_context(|| format!("not a line of netdrop's: {line}"))?;
    let Some(Flow { ip: Some(ip), l4: Some(L4::Ports { source_port, destination_port }), extensions }) =
        line.flow
    else {
        return Ok(None);
    };
    let (Ok(source), Some(true)) = (ip.source.parse(), destination_port.map(|p| p == port)) else {
        return Ok(None);
    };
    let count = extensions.and_then(|e| e.value.count).and_then(|c| c.parse().ok()).unwrap_or(1);
    Ok(Some((source, source_port.unwrap_or(0), count)))
}

/// All flows of the flood in netdrop's output, and how many drops of each.
#[derive(Debug, Default)]
pub struct Flows {
    /// Lines about them.
    pub lines: u64,
    by_source: HashMap<(Ipv4Addr, u16), u64>,
}

impl Flows {
    /// Reads lines to `port`.
    pub fn read(mut lines: impl BufRead, port: u16) -> Result<Self> {
        let mut flows = Self::default();
        let mut line = String::new();
        while lines.read_line(&mut line).context("can't read netdrop's output")? > 0 {
            if let Some((address, source_port, count)) = flow(&line, port)? {
                flows.lines += 1;
                *flows.by_source.entry((address, source_port)).or_default() += count;
            }
            line.clear();
        }
        Ok(flows)
    }

    /// Different ones.
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    /// Drops of all.
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
        let lost = r#"{"lost_events":{"num_events_lost":"7"}}"#;
        let text = [one, &many, &other, lost].join("\n");
        let flows = Flows::read(text.as_bytes(), 9999).unwrap();
        assert_eq!((flows.len(), flows.lines, flows.sum()), (1, 2, 21));
        assert_eq!(flows.of((Ipv4Addr::new(10, 65, 0, 0), 1024)), 21);
    }
}
