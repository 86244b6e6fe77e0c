//! A debug event's columns.

use super::Options;
use crate::proto::flow::{DebugEvent, Endpoint};
use crate::proto::observer::GetDebugEventsResponse;
use crate::wire::json::FLOW_DEBUG_EVENT_TYPE;

/// As they are printed.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) from: String,
    pub(super) kind: String,
    pub(super) mark: String,
    pub(super) cpu: String,
    pub(super) message: String,
}

const NONE: &str = "N/A";

pub(super) fn columns(response: &GetDebugEventsResponse, options: Options) -> Columns {
    let Some(event) = &response.debug_event else { return Columns::default() };
    let DebugEvent { r#type, source, hash, message, cpu, .. } = event;
    let mut out = Columns {
        mark: hash.map_or_else(|| NONE.to_owned(), |hash| format!("{hash:#x}")),
        cpu: cpu.map_or_else(|| NONE.to_owned(), |cpu| format!("{cpu:02}")),
        ..Columns::default()
    };
    FLOW_DEBUG_EVENT_TYPE.push(*r#type, &mut out.kind);
    options.text().push(&from(source.as_ref()), &mut out.from);
    options.text().push(message, &mut out.message);
    out
}

/// A pod by its name, what is reserved by its label, all else by its number.
fn from(endpoint: Option<&Endpoint>) -> String {
    let Some(e) = endpoint else { return NONE.to_owned() };
    match &e.labels[..] {
        _ if !e.namespace.is_empty() && !e.pod_name.is_empty() => {
            format!("{}/{} (ID: {})", e.namespace, e.pod_name, e.id)
        }
        [label] if label.starts_with("reserved:") => format!("{label} (ID: {})", e.id),
        _ => format!("ID: {}", e.id),
    }
}
