//! Provoking each of the demo's drops, with the kernel's own count of it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use netdrop_tests::link::Batch;
use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, Iptables, IptablesRule, NftDrop};
use netdrop_tests::topology::Pod;
use netdrop_tests::traffic::{self, Mailbox, craft};
use netdrop_tests::truth::{self, Counters};
use netdrop_tests::{expect, rules};

use super::LIMIT;
use super::cases::{Case, Truth};
use super::stage::{Stage, source};

fn target(pod: &Pod, case: &Case) -> SocketAddr {
    SocketAddr::new(pod.v4, case.port)
}

fn open_connections(from: &Pod, to: &Pod, case: &Case) -> Result<()> {
    from.netns.run(|| traffic::syns(source(from.v4), target(to, case), case.sent))
}

fn send_udp(from: &Pod, to: IpAddr, case: &Case) -> Result<()> {
    let to = SocketAddr::new(to, case.port);
    from.netns.run(|| traffic::udp(source(from.v4), to, b"netdrop demo", case.sent))
}

fn send(from: &Pod, packet: &[u8], case: &Case) -> Result<()> {
    from.netns.run(|| traffic::packets(std::iter::repeat_n(packet, case.sent.into())))
}

/// The truth by one of a namespace's protocol counters.
fn by_counter<'a>(
    netns: &'a Netns,
    counter: &'static str,
    case: &Case,
    provoke: impl FnOnce() -> Result<()>,
) -> Result<Truth<'a>> {
    let before = Counters::read(netns)?;
    provoke()?;
    Ok(Truth::new(case.sent, move || Counters::read(netns)?.since(&before, counter).map(Some)))
}

pub(super) fn nft_forward<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let node = stage.worker_1();
    let rule = NftDrop::add(node, "deny_db", Chain::Forward, &format!("tcp dport {}", case.port))?;
    open_connections(stage.checkout(), stage.payments(), case)?;
    Ok(Truth::new(case.sent, move || rule.packets(node).map(Some)))
}

pub(super) fn iptables_forward<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let node = stage.worker_1();
    let spec = format!("-p tcp --dport {} -j DROP", case.port);
    let rule = IptablesRule::add(node, Iptables::Nft, Chain::Forward, &spec, "deny-scrape")?;
    open_connections(stage.prometheus(), stage.checkout(), case)?;
    Ok(Truth::new(case.sent, move || rule.packets(node).map(Some)))
}

pub(super) fn output<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let pod = stage.load_generator();
    let rule = NftDrop::add(&pod.netns, "deny_dns", Chain::Output, &format!("udp dport {}", case.port))?;
    send_udp(pod, IpAddr::from([8, 8, 8, 8]), case)?;
    Ok(Truth::new(case.sent, move || rule.packets(&pod.netns).map(Some)))
}

pub(super) fn closed_udp<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let to = stage.payments();
    by_counter(&to.netns, "UdpNoPorts", case, || send_udp(stage.checkout(), to.v4, case))
}

pub(super) fn closed_tcp<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let to = stage.payments();
    by_counter(&to.netns, "TcpOutRsts", case, || open_connections(stage.load_generator(), to, case))
}

pub(super) fn no_route<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let to = IpAddr::from([10, 250, 0, 9]);
    by_counter(stage.worker_1(), "IpExtInNoRoutes", case, || send_udp(stage.checkout(), to, case))
}

pub(super) fn rp_filter<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let node = stage.worker_1();
    node.sysctl(&[("net.ipv4.conf.cni0.rp_filter", "1")])?;
    let (false_source, to) = (SocketAddr::from(([10, 244, 2, 99], 40_000)), target(stage.payments(), case));
    let datagram = craft::udp(false_source, to, b"netdrop demo");
    let packet = craft::ip(false_source.ip(), to.ip(), craft::protocol::UDP, &datagram);
    by_counter(node, "TcpExtIPReversePathFilter", case, || send(stage.load_generator(), &packet, case))
}

pub(super) fn full_buffer<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let to = stage.payments();
    let mailbox = to.netns.run(|| Mailbox::bind(target(to, case)))?;
    let before = Counters::read(&to.netns)?;
    send_udp(stage.checkout(), to.v4, case)?;
    // How many have room is the kernel's affair; how many have not, it counts.
    let (mut held, mut dropped) = (0, 0);
    expect::until("the arrival of every datagram", LIMIT, || {
        held += mailbox.empty()?;
        dropped = Counters::read(&to.netns)?.since(&before, "UdpRcvbufErrors")?;
        Ok(held + dropped == u64::from(case.sent))
    })?;
    Ok(Truth::new(dropped, move || Ok(Some(dropped))))
}

/// A UDP packet with a header of its own making.
fn crafted(from: &Pod, to: SocketAddr, len: usize, change: impl FnOnce(&mut craft::Ipv4)) -> Result<Vec<u8>> {
    let (IpAddr::V4(sender), IpAddr::V4(receiver)) = (from.v4, to.ip()) else {
        bail!("the demo's pods have IPv4 addresses");
    };
    let mut header = craft::Ipv4::new(sender, receiver, craft::protocol::UDP);
    change(&mut header);
    Ok(header.packet(&craft::udp(source(from.v4), to, &vec![0; len])))
}

pub(super) fn too_big<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let (from, node) = (stage.checkout(), stage.worker_1());
    Batch::new().mtu("veth1", 1500).apply(node)?;
    Batch::new().mtu("eth0", 1500).apply(&from.netns)?;
    let headers = 20 + 8;
    let packet = crafted(from, target(stage.payments(), case), 1500 - headers, |header| {
        header.fragment = craft::DONT_FRAGMENT;
    })?;
    by_counter(node, "IpFragFails", case, || send(from, &packet, case))
}

pub(super) fn time_to_live<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let from = stage.load_generator();
    let packet = crafted(from, target(stage.payments(), case), 12, |header| header.ttl = 1)?;
    by_counter(stage.worker_1(), "IpInHdrErrors", case, || send(from, &packet, case))
}

pub(super) fn unknown_neighbour<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let quick = [("net.ipv4.neigh.cni0.mcast_solicit", "1"), ("net.ipv4.neigh.cni0.retrans_time_ms", "100")];
    stage.worker_1().sysctl(&quick)?;
    send_udp(stage.prometheus(), IpAddr::from([10, 244, 1, 99]), case)?;
    Ok(Truth::new(case.sent, || Ok(None)))
}

pub(super) fn full_conntrack<'a>(stage: &'a Stage, case: &Case) -> Result<Truth<'a>> {
    let node = stage.worker_1();
    rules::track_connections(node)?;
    let before = truth::conntrack_drops(node)?;
    open_connections(stage.checkout(), stage.payments(), case)?;
    Ok(Truth::new(case.sent, move || Ok(Some(truth::conntrack_drops(node)? - before))))
}
