//! What the text formats share: names, types, verdicts.
//!
//! Behaviour of Hubble's client 1.19.4 (hubble/pkg/printer).

use std::borrow::Cow;

use super::Options;
use super::goish;
use crate::flow::{Identity, hubble};
use crate::proto::flow as wire;
use crate::proto::flow::layer4::Protocol;
use crate::proto::flow::layer7::Record;
use crate::sink::Painter;
use crate::sink::escape;
use crate::sink::text::push_number;
use crate::wire::json::{
    FLOW_AUTH_TYPE, FLOW_DEBUG_CAPTURE_POINT, FLOW_L7_FLOW_TYPE, FLOW_SOCKET_TRANSLATION_POINT,
    FLOW_TRAFFIC_DIRECTION, FLOW_VERDICT,
};

/// How text from outside is made harmless.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// Colour sequences of the client's own palette pass, as they do in the client.
    pub(super) color: bool,
    /// Everything that drives a terminal is escaped, beyond what the client does.
    pub(super) terminal: bool,
}

/// What may stand behind ESC, where colours are on.
const PALETTE: [&str; 7] = ["[31m", "[32m", "[34m", "[36m", "[35m", "[33m", "[0m"];

impl Text {
    pub(super) fn push(self, text: &str, out: &mut String) {
        if self.terminal {
            return match escape(text) {
                Cow::Borrowed(safe) => out.push_str(safe),
                Cow::Owned(safe) => out.push_str(&safe),
            };
        }
        let mut rest = text;
        while let Some(at) = rest.find(['\u{1b}', '\r']) {
            out.push_str(&rest[..at]);
            let cr = rest.as_bytes()[at] == b'\r';
            rest = &rest[at + 1..];
            if cr {
                out.push_str("\\r");
            } else if let Some(code) = PALETTE.iter().find(|c| self.color && rest.starts_with(**c)) {
                out.push('\u{1b}');
                out.push_str(code);
                rest = &rest[code.len()..];
            } else {
                out.push_str("^[");
            }
        }
        out.push_str(rest);
    }
}

fn ports(flow: &wire::Flow) -> Option<(u32, u32)> {
    match flow.l4.as_ref()?.protocol.as_ref()? {
        Protocol::Tcp(p) => Some((p.source_port, p.destination_port)),
        Protocol::Udp(p) => Some((p.source_port, p.destination_port)),
        Protocol::Sctp(p) => Some((p.source_port, p.destination_port)),
        _ => None,
    }
}

pub(super) fn source(flow: &wire::Flow, options: Options, out: &mut String) {
    let ends = End {
        endpoint: flow.source.as_ref(),
        service: flow.source_service.as_ref(),
        names: &flow.source_names,
        port: ports(flow).map_or(0, |p| p.0),
    };
    let ip = flow.ip.as_ref().map(|ip| ip.source.as_str());
    ends.write(ip, flow.ethernet.as_ref().map(|e| e.source.as_str()), options, out);
}

pub(super) fn destination(flow: &wire::Flow, options: Options, out: &mut String) {
    let end = End {
        endpoint: flow.destination.as_ref(),
        service: flow.destination_service.as_ref(),
        names: &flow.destination_names,
        port: ports(flow).map_or(0, |p| p.1),
    };
    let ip = flow.ip.as_ref().map(|ip| ip.destination.as_str());
    end.write(ip, flow.ethernet.as_ref().map(|e| e.destination.as_str()), options, out);
}

/// An end's names.
struct End<'a> {
    endpoint: Option<&'a wire::Endpoint>,
    service: Option<&'a wire::Service>,
    names: &'a [String],
    /// 0: none.
    port: u32,
}

impl End<'_> {
    fn write(&self, ip: Option<&str>, mac: Option<&str>, options: Options, out: &mut String) {
        let (painter, text) = (Painter(options.print.color), options.text());
        let Some(ip) = ip else {
            if let Some(mac) = mac {
                painter.host(out, |out| text.push(mac, out));
            }
            return;
        };
        painter.host(out, |out| {
            let name = if options.print.numeric { None } else { self.name() };
            let host = name.as_deref().unwrap_or(ip);
            if self.port == 0 {
                return text.push(host, out);
            }
            let colon = host.contains(':');
            if colon {
                out.push('[');
            }
            text.push(host, out);
            out.push_str(if colon { "]:" } else { ":" });
            painter.port(out, |out| push_number(self.port, out));
        });
    }

    /// Pod, else service, else DNS names.
    fn name(&self) -> Option<Cow<'_, str>> {
        let namespace = match (self.service, self.endpoint) {
            (Some(service), _) => &service.namespace,
            (None, Some(endpoint)) => &endpoint.namespace,
            (None, None) => "",
        };
        let pod = self.endpoint.map_or("", |e| &e.pod_name);
        let service = self.service.map_or("", |s| &s.name);
        match (pod, service, self.names) {
            ("", "", []) => None,
            ("", "", [one]) => Some(one.into()),
            ("", "", names) => Some(names.join(",").into()),
            ("", service, _) => Some(goish::join(namespace, service)),
            (pod, ..) => Some(goish::join(namespace, pod)),
        }
    }
}

/// The last reserved identity that the client names.
const LAST_NAMED: u32 = 10;

pub(super) fn identity(endpoint: Option<&wire::Endpoint>, options: Options, out: &mut String) {
    let number = endpoint.map_or(0, |e| e.identity);
    let name = Identity(number).reserved_name().filter(|_| number <= LAST_NAMED);
    Painter(options.print.color).identity(out, |out| {
        out.push('(');
        if let Some(name) = name {
            out.push_str(name);
        } else {
            out.push_str("ID:");
            push_number(number, out);
        }
        out.push(')');
    });
}

/// The TYPE column. The client cuts sub types to eight bits.
pub(super) fn kind(flow: &wire::Flow, options: Options, out: &mut String) {
    if let Some(l7) = &flow.l7 {
        return layer7(l7, options, out);
    }
    let (kind, sub_type) = flow.event_type.map_or((0, 0), |e| (e.r#type, e.sub_type));
    let number = sub_type.to_le_bytes()[0];
    match kind {
        1 => drop_reason(number, out),
        3 => FLOW_DEBUG_CAPTURE_POINT.push(flow.debug_capture_point, out),
        4 => match hubble::TRACE_POINTS.get(usize::from(number)) {
            Some(point) => out.push_str(point),
            None => push_number(number, out),
        },
        5 => {
            out.push_str("policy-verdict:");
            out.push_str(match flow.policy_match_type {
                0 => "none",
                1 => "L3-Only",
                2 => "L3-L4",
                3 => "L4-Only",
                4 => "all",
                5 => "L3-Proto",
                6 => "Proto-Only",
                _ => "unknown",
            });
            out.push(' ');
            FLOW_TRAFFIC_DIRECTION.push(flow.traffic_direction, out);
        }
        7 => match flow.sock_xlate_point {
            1 => out.push_str("pre-xlate-fwd"),
            2 => out.push_str("post-xlate-fwd"),
            3 => out.push_str("pre-xlate-rev"),
            4 => out.push_str("post-xlate-rev"),
            other => FLOW_SOCKET_TRANSLATION_POINT.push(other, out),
        },
        _ => out.push_str("UNKNOWN"),
    }
}

fn drop_reason(number: u8, out: &mut String) {
    if let Some(text) = hubble::drop_type_text(number).filter(|_| !NAMED_LATER.contains(&number)) {
        out.push_str(text);
    } else {
        push_number(number, out);
        out.push_str(", 0");
    }
}

/// Drop reasons that got their names after the client 1.19.4.
const NAMED_LATER: [u8; 2] = [206, 207];

fn layer7(l7: &wire::Layer7, options: Options, out: &mut String) {
    out.push_str(match l7.record {
        Some(Record::Http(_)) => "http-",
        Some(Record::Dns(_)) => "dns-",
        Some(Record::Kafka(_)) => "kafka-",
        None => "l7-",
    });
    let start = out.len();
    FLOW_L7_FLOW_TYPE.push(l7.r#type, out);
    out[start..].make_ascii_lowercase();
    if let Some(Record::Dns(dns)) = &l7.record {
        out.push(' ');
        options.text().push(&dns.observation_source, out);
    }
}

pub(super) fn verdict(flow: &wire::Flow, options: Options, out: &mut String) {
    let painter = Painter(options.print.color);
    let policy = flow.event_type.is_some_and(|e| e.r#type == 5);
    let allowed = [&flow.ingress_allowed_by, &flow.egress_allowed_by];
    let denied = [&flow.ingress_denied_by, &flow.egress_denied_by];
    let (code, word, by) = match flow.verdict {
        1 | 5 => ("32", "ALLOWED", Some(allowed)),
        2 | 3 => ("31", "DENIED", Some(denied)),
        4 => ("33", "AUDITED", None),
        6 | 7 => ("33", "", None),
        other => return FLOW_VERDICT.push(other, out),
    };
    painter.around(code, out, |out| {
        if !policy || word.is_empty() {
            return FLOW_VERDICT.push(flow.verdict, out);
        }
        out.push_str(word);
        match (by.filter(|_| options.policy_names), flow.traffic_direction) {
            (Some([ingress, _]), 1) => policies(ingress, options, out),
            (Some([_, egress]), 2) => policies(egress, options, out),
            _ => {}
        }
    });
}

fn policies(policies: &[wire::Policy], options: Options, out: &mut String) {
    let text = options.text();
    let mut joint = " BY ";
    for policy in policies.iter().filter(|p| !p.kind.is_empty() && !p.name.is_empty()) {
        out.push_str(joint);
        joint = ", ";
        text.push(&policy.name, out);
        out.push_str(" (");
        text.push(&policy.kind, out);
        out.push(')');
    }
}

pub(super) fn summary(flow: &wire::Flow, options: Options, out: &mut String) {
    if let Some(id) = flow.ip_trace_id.as_ref().map(|t| t.trace_id).filter(|id| *id > 0) {
        out.push_str("IP Trace ID: ");
        push_number(id, out);
        out.push_str("; ");
    }
    options.text().push(&flow.summary, out);
    if flow.auth_type != 0 {
        out.push_str("; Auth: ");
        let code = if flow.auth_type == 2 { "31" } else { "32" };
        Painter(options.print.color).around(code, out, |out| FLOW_AUTH_TYPE.push(flow.auth_type, out));
    }
}
