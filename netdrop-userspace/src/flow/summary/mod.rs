//! The one free-text column of Hubble's formats.

mod icmp;

pub(crate) use icmp::icmp_type;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::{Arp, Flow, Inner, Ip, L4, Packet, TallyKind, TcpFlags, Verdict};

/// The text of `Flow.Summary`, see [`write_summary`].
pub fn summary(flow: &Flow) -> String {
    let mut text = String::new();
    write_summary(flow, &mut text);
    text
}

/// Appends what Hubble would write of the packet (threefour/parser.go, 1.19), then what only netdrop knows: an ARP request's
/// question, the packet that an ICMP error is about, the kernel's reason and site, and how many packets it stands for. One
/// line, without control characters. The text of another server comes first, verbatim.
pub fn write_summary(flow: &Flow, out: &mut String) {
    if let Some(text) = &flow.remote_summary {
        out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        return;
    }
    if flow.tally.kind == TallyKind::Rest {
        out.push_str("more flows than are kept apart");
    } else {
        layers(&flow.packet, out);
        details(&flow.packet, out);
    }
    if flow.verdict == Verdict::Dropped {
        death(flow, out);
    }
    if flow.tally.count > 1 {
        put(out, format_args!("; x{}", flow.tally.count));
    }
}

/// Writing to a String does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn layers(packet: &Packet, out: &mut String) {
    match packet.l4 {
        Some(L4::Tcp { flags, .. }) => tcp_flags(flags, out),
        Some(L4::Udp { .. }) => out.push_str("UDP"),
        Some(L4::Sctp { .. }) => out.push_str("SCTP"),
        Some(L4::Icmpv4(m)) => {
            out.push_str("ICMPv4 ");
            icmp::v4(m, out);
        }
        Some(L4::Icmpv6(m)) => {
            out.push_str("ICMPv6 ");
            icmp::v6(m, out);
        }
        Some(L4::Vrrp { kind: 1, .. }) => out.push_str("VRRP VRRPv2 Advertisement"),
        Some(L4::Vrrp { kind, .. }) => put(out, format_args!("VRRP {kind}")),
        Some(L4::Igmp { kind, .. }) => put(out, format_args!("IGMP {}", igmp_name(kind))),
        None => out.push_str(match packet.ip {
            Some(Ip { source: IpAddr::V4(_), .. }) => "IPv4",
            Some(_) => "IPv6",
            None => "Ethernet",
        }),
    }
}

fn tcp_flags(flags: TcpFlags, out: &mut String) {
    out.push_str("TCP Flags: ");
    let mut separator = "";
    for (bit, name) in TcpFlags::NAMES {
        if flags.contains(TcpFlags(bit)) {
            out.push_str(separator);
            out.push_str(name);
            separator = ", ";
        }
    }
}

fn igmp_name(kind: u8) -> &'static str {
    match kind {
        0x11 => "IGMP Membership Query",
        0x12 => "IGMPv1 Membership Report",
        0x16 => "IGMPv2 Membership Report",
        0x17 => "Leave Group",
        0x22 => "IGMPv3 Membership Report",
        _ => "",
    }
}

fn details(packet: &Packet, out: &mut String) {
    if let Some(arp) = packet.arp {
        out.push_str("; ");
        arp_text(arp, out);
    } else if packet.ip.is_none()
        && let Some(ether_type) = packet.ether_type
    {
        put(out, format_args!("; EtherType {ether_type:#06x}"));
    }
    if let Some(ip) = packet.ip {
        if packet.l4.is_none() && ip.fragment.is_none_or(|f| f.offset == 0) {
            put(out, format_args!("; protocol {}", ip.protocol));
        }
        if let Some(fragment) = ip.fragment {
            put(out, format_args!("; fragment offset {}", fragment.offset));
        }
    }
    if let Some(inner) = &packet.inner {
        out.push_str("; ");
        inner_text(inner, out);
    }
}

/// `ARP who-has TARGET tell SENDER`, as tcpdump says it.
pub(crate) fn arp_text(arp: Arp, out: &mut String) {
    match arp.operation {
        1 => put(out, format_args!("ARP who-has {} tell {}", arp.target, arp.sender)),
        2 => put(out, format_args!("ARP reply {} to {}", arp.sender, arp.target)),
        n => put(out, format_args!("ARP operation {n} from {} to {}", arp.sender, arp.target)),
    }
}

/// `about A:P -> B:P TCP`, or `VXLAN vni 1 A:P -> B:P TCP`.
pub(crate) fn inner_text(inner: &Inner, out: &mut String) {
    let packet = match inner {
        Inner::IcmpAbout(packet) => {
            out.push_str("about ");
            packet
        }
        Inner::Vxlan { vni, packet } => {
            put(out, format_args!("VXLAN vni {vni} "));
            packet
        }
    };
    let Some(ip) = packet.ip else {
        match packet.arp {
            Some(arp) => arp_text(arp, out),
            None => out.push_str("a frame that is not IP"),
        }
        return;
    };
    let name = match packet.l4 {
        Some(L4::Tcp { .. }) => "TCP",
        Some(L4::Udp { .. }) => "UDP",
        Some(L4::Sctp { .. }) => "SCTP",
        Some(L4::Icmpv4(_)) => "ICMPv4",
        Some(L4::Icmpv6(_)) => "ICMPv6",
        _ => "IP",
    };
    match packet.l4.and_then(|l4| l4.ports()) {
        Some((from, to)) => {
            let (from, to) = (SocketAddr::new(ip.source, from), SocketAddr::new(ip.destination, to));
            put(out, format_args!("{from} -> {to} {name}"));
        }
        None => put(out, format_args!("{} -> {} {name}", ip.source, ip.destination)),
    }
}

fn death(flow: &Flow, out: &mut String) {
    if let Some(reason) = &flow.reason {
        out.push_str("; ");
        out.push_str(&reason.name);
    }
    if let Some(symbol) = flow.site.as_ref().and_then(|s| s.symbol.as_ref()) {
        out.push_str(if flow.reason.is_some() { " at " } else { "; at " });
        out.push_str(symbol);
    }
}

#[cfg(test)]
mod tests;
