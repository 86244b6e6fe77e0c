//! Filling a connection tracking table to the brim.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::panic;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use crate::command;
use crate::netns::{self, Netns};

/// The most entries that are filled in within some seconds.
const AFFORDABLE: u32 = 300_000;

/// A table that is being filled by another thread.
pub struct Filling(Result<JoinHandle<Result<()>>, String>);

/// Begins to fill the table of a namespace that no rule tracks connections in yet.
pub fn fill(netns: &Netns) -> Result<Filling> {
    let max: u32 = netns
        .sysctl_value("net.netfilter.nf_conntrack_max")?
        .parse()
        .context("nf_conntrack_max is no number")?;
    if max > AFFORDABLE {
        let why = format!(
            "this machine's table holds {max} connections, and filling more than {AFFORDABLE} takes too long; \
             `sysctl -w net.netfilter.nf_conntrack_max=262144` makes it smaller"
        );
        return Ok(Filling(Err(why)));
    }
    let netns = netns.as_fd().try_clone_to_owned().context("can't keep the namespace")?;
    let thread = thread::spawn(move || {
        netns::enter(netns.as_fd()).context("can't enter the namespace")?;
        command::feed("conntrack", &["-R", "-"], &entries(max)).map(drop)
    });
    Ok(Filling(Ok(thread)))
}

impl Filling {
    /// Waits until the table is full; an error says why it is not.
    pub fn join(self) -> Result<(), String> {
        match self.0?.join() {
            Ok(filled) => filled.map_err(|error| format!("{error:#}")),
            Err(panic) => panic::resume_unwind(panic),
        }
    }
}

/// Established connections that the kernel has seen in both directions: it does not evict those for new ones.
fn entries(count: u32) -> String {
    let mut text = String::new();
    for n in 0..count {
        let client = Ipv4Addr::from_bits(0x0a80_0000 + n / 50_000);
        let port = 1024 + n % 50_000;
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "-A -t 600 -u SEEN_REPLY,ASSURED -s {client} -d 10.129.0.1 -r 10.129.0.1 -q {client} -p tcp \
             --sport {port} --dport 80 --reply-port-src 80 --reply-port-dst {port} --state ESTABLISHED"
        );
    }
    text
}
