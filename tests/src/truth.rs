//! The kernel's own counters, read without netdrop.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::expect;
use crate::netns::Netns;

/// Protocol counters of a namespace, by names as `nstat` writes them: `IpInAddrErrors`, `UdpNoPorts`, `Ip6InNoRoutes`,
/// `IpExtInNoRoutes`, `TcpExtTCPBacklogDrop`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads `snmp`, `netstat` and `snmp6` of a namespace.
    pub fn read(netns: &Netns) -> Result<Self> {
        netns.run(|| {
            let mut all = BTreeMap::new();
            for (file, parse) in [("snmp", paired as fn(&str) -> _), ("netstat", paired), ("snmp6", listed)] {
                // The thread's own view: /proc/net is that of the process's first thread.
                let path = format!("/proc/thread-self/net/{file}");
                let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
                all.extend(parse(&text));
            }
            Ok(Self(all))
        })
    }

    /// A counter's value.
    pub fn get(&self, name: &str) -> Result<u64> {
        self.0.get(name).copied().with_context(|| format!("this kernel has no counter {name}"))
    }

    /// How much a counter has grown since `before`.
    pub fn since(&self, before: &Self, name: &str) -> Result<u64> {
        Ok(self.get(name)?.saturating_sub(before.get(name)?))
    }

    /// All counters that have grown since `before`, and by how much.
    pub fn grown(&self, before: &Self) -> BTreeMap<&str, u64> {
        self.0
            .iter()
            .map(|(name, value)| {
                (name.as_str(), value.saturating_sub(before.0.get(name).copied().unwrap_or(0)))
            })
            .filter(|(_, delta)| *delta > 0)
            .collect()
    }
}

/// Two lines per group, names then values, both led by the group's name and a colon.
fn paired(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).flat_map(|pair| group(pair[0], pair[1])).collect()
}

fn group(names: &str, values: &str) -> Vec<(String, u64)> {
    let Some((group, names)) = names.split_once(':') else { return Vec::new() };
    let Some((_, values)) = values.split_once(':') else { return Vec::new() };
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .filter_map(|(name, value)| Some((format!("{group}{name}"), value.parse().ok()?)))
        .collect()
}

/// One name and value per line.
fn listed(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        })
        .collect()
}

/// What a device has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received and dropped.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets not sent for want of room, a peer or a size.
    pub tx_dropped: u64,
}

/// Counters of a device (`ip -s link`).
pub fn link(netns: &Netns, name: &str) -> Result<LinkCounters> {
    let listed = netns.command("ip", &["-json", "-s", "link", "show", "dev", name])?;
    let json: serde_json::Value = serde_json::from_str(&listed).context("`ip -json` printed no JSON")?;
    let count = |way: &str, what: &str| {
        json[0]["stats64"][way][what]
            .as_u64()
            .with_context(|| format!("`ip -s` has no {way} {what} of {name}"))
    };
    Ok(LinkCounters {
        rx_packets: count("rx", "packets")?,
        rx_dropped: count("rx", "dropped")?,
        tx_packets: count("tx", "packets")?,
        tx_dropped: count("tx", "dropped")?,
    })
}

/// How many packets connection tracking has dropped for want of room (`conntrack -S`, column `drop`).
pub fn conntrack_drops(netns: &Netns) -> Result<u64> {
    let path = "/proc/thread-self/net/stat/nf_conntrack";
    let text = netns.run(|| fs::read_to_string(path).with_context(|| format!("can't read {path}")))?;
    column(&text, "drop").with_context(|| format!("{path} has no column drop"))
}

/// Waits until each CPU has been through with all packets that were on their way to it: what was sent by now has arrived, or died. The
/// sender's CPU does that while it sends, unless it is busy with too much else, and then in a moment.
pub fn arrived() -> Result<()> {
    let path = "/proc/net/softnet_stat";
    let mut waited: Option<Vec<bool>> = None;
    expect::until("the arrival of what was sent", Duration::from_mins(1), || {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {path}"))?;
        let lengths = backlogs(&text);
        // One look at which a queue is empty is enough: those behind it are of others.
        let empty = waited.get_or_insert_with(|| vec![false; lengths.len()]);
        for (empty, length) in empty.iter_mut().zip(&lengths) {
            *empty |= *length == 0;
        }
        Ok(empty.iter().all(|empty| *empty))
    })
}

/// How many packets wait for each CPU: the twelfth of the numbers, since Linux 5.10 (softnet_seq_show, net/core/net-procfs.c).
fn backlogs(text: &str) -> Vec<u32> {
    let length = |line: &str| u32::from_str_radix(line.split_whitespace().nth(11)?, 16).ok();
    text.lines().map(|line| length(line).unwrap_or(0)).collect()
}

/// Sum over all CPUs (one line each, hexadecimal) of a column.
fn column(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_whitespace().position(|column| column == name)?;
    lines.map(|line| u64::from_str_radix(line.split_whitespace().nth(at)?, 16).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snmp_pairs_names_and_values() {
        let counters = paired("Ip: Forwarding InReceives\nIp: 1 42\nUdp: NoPorts\nUdp: 20\n");
        assert_eq!(
            counters,
            [("IpForwarding".into(), 1), ("IpInReceives".into(), 42), ("UdpNoPorts".into(), 20)]
        );
    }

    #[test]
    fn snmp6_has_one_per_line() {
        assert_eq!(listed("Ip6InReceives \t7\nodd\n"), [("Ip6InReceives".into(), 7)]);
    }

    #[test]
    fn conntrack_columns_are_hexadecimal_per_cpu() {
        assert_eq!(column("entries drop\n00000001 0000000a\n00000001 00000010\n", "drop"), Some(26));
        assert_eq!(column("entries\n1\n", "drop"), None);
    }

    #[test]
    fn each_cpu_has_a_backlog() {
        let line = "1260a27f 0001e057 31 0 0 0 0 0 0 0022566e 0 0000000a 0 3 7\n";
        assert_eq!(backlogs(&[line, "1 2 3\n"].concat()), [10, 0]);
    }

    #[test]
    fn grown_leaves_out_what_stood_still() {
        let before = Counters([("A".to_owned(), 1), ("B".to_owned(), 2)].into());
        let after = Counters([("A".to_owned(), 4), ("B".to_owned(), 2)].into());
        assert_eq!(after.grown(&before), [("A", 3)].into());
        assert!(after.get("C").is_err());
    }
}
