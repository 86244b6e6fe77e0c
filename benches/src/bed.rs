//! Where the drops happen: a client, a server, and a rule on the server that drops and counts.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use netdrop_tests::expect;
use netdrop_tests::link::{Batch, mac};
use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, NftDrop};

use crate::flood::{self, PORT, Plan, Sent};

/// One network, so large that every source address of the flood is in it: the server takes each for its neighbour's.
const PREFIX: u8 = 10;
/// How long after the last packet was sent the rule may still count.
const ARRIVAL: Duration = Duration::from_millis(500);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 2);

/// Two namespaces, which go away with this value.
pub struct Bed {
    client: Netns,
    server: Netns,
    rule: NftDrop,
}

impl Bed {
    /// Builds it. Neighbours are known from the start, so that nothing is sent but what the flood sends.
    pub fn new() -> Result<Self> {
        let (client, server) = (Netns::anonymous("client")?, Netns::anonymous("server")?);
        Batch::new()
            .veth("eth0", &mac(1), &server, "eth0", &mac(2))
            .address("eth0", CLIENT.into(), PREFIX)
            .up("eth0")
            .neighbour(SERVER.into(), &mac(2), "eth0")
            .apply(&client)?;
        Batch::new().address("eth0", SERVER.into(), PREFIX).up("eth0").apply(&server)?;
        let rule = NftDrop::add(
            &server,
            "bench",
            Chain::Input,
            &format!("meta l4proto {{ tcp, udp }} th dport {PORT}"),
        )?;
        Ok(Self { client, server, rule })
    }

    /// Inode of the namespace where packets die.
    pub fn inode(&self) -> u32 {
        self.server.inode()
    }

    /// How many packets the rule has dropped so far, by the kernel's own count.
    pub fn dropped(&self) -> Result<u64> {
        self.rule.packets(&self.server)
    }

    /// Sends a flood; gives what it took and how many of its packets the rule dropped.
    pub fn flood(&self, plan: Plan) -> Result<(Sent, u64)> {
        let before = self.dropped()?;
        let sent = self.client.run(|| flood::run(plan, SERVER))?;
        let mut dropped = 0;
        // The last ones may still be on their way; one that died elsewhere never comes.
        let arrived = || {
            dropped = self.dropped()? - before;
            Ok(dropped >= sent.packets)
        };
        drop(expect::until("all drops", ARRIVAL, arrived));
        Ok((sent, dropped))
    }

    /// Runs a closure that sends by itself, on a thread in the client's namespace; it is given the server's address.
    pub fn on_client<T: Send>(&self, send: impl FnOnce(Ipv4Addr) -> Result<T> + Send) -> Result<T> {
        self.client.run(|| send(SERVER))
    }
}
