//! Firewall rules that count what they drop.

use std::fmt;

use anyhow::{Context as _, Result};

use crate::command;
use crate::netns::Netns;

/// Where in a packet's way through the kernel a rule sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// To a socket of this namespace.
    Input,
    /// Through this namespace.
    Forward,
    /// From a socket of this namespace.
    Output,
}

impl Chain {
    /// As nft writes a hook.
    pub const fn hook(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Chain {
    /// As iptables writes a chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
        })
    }
}

/// The program that writes a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iptables {
    /// `iptables-nft`.
    Nft,
    /// `iptables-legacy`.
    Legacy,
    /// `ip6tables-nft`.
    Nft6,
    /// `ip6tables-legacy`.
    Legacy6,
}

impl Iptables {
    /// Its name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Nft => "iptables-nft",
            Self::Legacy => "iptables-legacy",
            Self::Nft6 => "ip6tables-nft",
            Self::Legacy6 => "ip6tables-legacy",
        }
    }
}

/// A rule of nft in a table of its own; it counts and drops what matches.
#[derive(Clone, Debug)]
pub struct NftDrop {
    table: String,
    family: &'static str,
}

impl NftDrop {
    /// Drops what matches `expression` (as `udp dport 53`) for IPv4 and IPv6. `table` must be new in the namespace.
    pub fn add(netns: &Netns, table: &str, chain: Chain, expression: &str) -> Result<Self> {
        let hook = format!("type filter hook {} priority 0; policy accept;", chain.hook());
        Self::raw(netns, "inet", table, &hook, expression)
    }

    /// Drops what matches on a bridge's forwarding path. At nft's own priority for this, not at 0: until 6.1 at least, what
    /// br_netfilter hands on skips the chains up to its own priority, 0 (br_nf_hook_thresh).
    pub fn add_bridge(netns: &Netns, table: &str, expression: &str) -> Result<Self> {
        Self::raw(
            netns,
            "bridge",
            table,
            "type filter hook forward priority -200; policy accept;",
            expression,
        )
    }

    /// Drops what matches as it comes in by a device, before anything else looks at it.
    pub fn add_ingress(netns: &Netns, table: &str, device: &str, expression: &str) -> Result<Self> {
        let hook = format!("type filter hook ingress device \"{device}\" priority 0; policy accept;");
        Self::raw(netns, "netdev", table, &hook, expression)
    }

    /// Drops what matches of the ARP that comes in.
    pub fn add_arp(netns: &Netns, table: &str, expression: &str) -> Result<Self> {
        Self::raw(netns, "arp", table, "type filter hook input priority 0; policy accept;", expression)
    }

    fn raw(netns: &Netns, family: &'static str, table: &str, hook: &str, expression: &str) -> Result<Self> {
        let script = format!(
            "table {family} {table} {{\n counter dropped {{ }}\n chain c {{\n  {hook}\n  {expression} counter name dropped drop\n }}\n}}\n"
        );
        netns.run(|| command::feed("nft", &["-f", "-"], &script))?;
        Ok(Self { table: table.to_owned(), family })
    }

    /// How many packets it has dropped, by the kernel's own count.
    pub fn packets(&self, netns: &Netns) -> Result<u64> {
        let listed = netns.command("nft", &["-j", "list", "counter", self.family, &self.table, "dropped"])?;
        let json: serde_json::Value = serde_json::from_str(&listed).context("`nft -j` printed no JSON")?;
        json["nftables"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|item| item["counter"]["packets"].as_u64())
            .with_context(|| format!("`nft` lists no counter in table {}", self.table))
    }

    /// Takes the rule away.
    pub fn remove(self, netns: &Netns) -> Result<()> {
        netns.command("nft", &["delete", "table", self.family, &self.table]).map(drop)
    }
}

/// Has a namespace track the connections of all that comes in; without a rule that asks for it, none are.
pub fn track_connections(netns: &Netns) -> Result<()> {
    let script = "table inet tracked {\n chain c {\n  type filter hook prerouting priority 0;\n  ct state invalid counter\n }\n}\n";
    netns.run(|| command::feed("nft", &["-f", "-"], script)).map(drop)
}

/// A rule of iptables, found again by its comment.
#[derive(Clone, Debug)]
pub struct IptablesRule {
    program: &'static str,
    chain: String,
    spec: Vec<String>,
    comment: String,
}

impl IptablesRule {
    /// Appends a rule to a chain of table `filter`, as `-p udp --dport 53 -j DROP`; `comment` must be new in the chain.
    pub fn add(
        netns: &Netns,
        iptables: Iptables,
        chain: impl fmt::Display,
        spec: &str,
        comment: &str,
    ) -> Result<Self> {
        let mut words: Vec<String> = ["-m", "comment", "--comment", comment].map(str::to_owned).to_vec();
        words.extend(spec.split_whitespace().map(str::to_owned));
        let rule = Self {
            program: iptables.program(),
            chain: chain.to_string(),
            spec: words,
            comment: comment.to_owned(),
        };
        rule.change(netns, "-A")?;
        Ok(rule)
    }

    fn change(&self, netns: &Netns, operation: &str) -> Result<()> {
        // Another process's lock (/run/xtables.lock) is waited for.
        let mut args = vec!["-w", "20", operation, &self.chain];
        args.extend(self.spec.iter().map(String::as_str));
        netns.command(self.program, &args).map(drop)
    }

    /// How many packets have matched, by the kernel's own count.
    pub fn packets(&self, netns: &Netns) -> Result<u64> {
        let listed = netns.command(self.program, &["-w", "20", "-vnxL", &self.chain])?;
        packets_of(&listed, &self.comment)
            .with_context(|| format!("{} lists no rule /* {} */", self.program, self.comment))
    }

    /// Takes the rule away.
    pub fn remove(self, netns: &Netns) -> Result<()> {
        self.change(netns, "-D")
    }
}

fn packets_of(listed: &str, comment: &str) -> Option<u64> {
    let mark = format!("/* {comment} */");
    listed.lines().find(|line| line.contains(&mark))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_comment() {
        let listed = "Chain FORWARD (policy ACCEPT 3 packets, 90 bytes)\n    pkts      bytes target     prot opt in out source destination\n\
                      \x20      1       28 DROP       17   --  *      *       0.0.0.0/0            0.0.0.0/0            /* other */ udp dpt:1\n\
                      \x20     20      560 DROP       17   --  *      *       0.0.0.0/0            0.0.0.0/0            /* mine */ udp dpt:9\n";
        assert_eq!(packets_of(listed, "mine"), Some(20));
        assert_eq!(packets_of(listed, "none"), None);
    }
}
