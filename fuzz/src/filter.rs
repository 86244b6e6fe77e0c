//! Text as the JSON of filters, as a client types or sends it, tried on a flow.

use netdrop::convert::{filter_from_wire, filter_to_wire};
use netdrop::filter::{Filters, FlowFilter};
use netdrop::proto::flow::Flow;
use prost::Message as _;

/// Filters, a zero byte, and the bytes of a flow of the API.
pub fn run(bytes: &[u8]) {
    let (text, flow) = split(bytes);
    let Ok(filters) = FlowFilter::several(&text) else { return };
    for filter in &filters {
        check(filter);
    }
    try_on(&Filters { allow: filters.clone(), deny: Vec::new() }, &flow);
    try_on(&Filters { allow: Vec::new(), deny: filters }, &flow);
}

/// Up to the first zero byte a text, then a flow; what is none is one without any field.
pub(crate) fn split(bytes: &[u8]) -> (String, Flow) {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let flow = bytes.get(end + 1..).and_then(|rest| Flow::decode(rest).ok()).unwrap_or_default();
    (String::from_utf8_lossy(&bytes[..end]).into_owned(), flow)
}

/// An error is one line; what compiles says yes or no.
pub(crate) fn try_on(filters: &Filters, flow: &Flow) {
    match filters.compile() {
        Ok(filter) => {
            filter.matches_wire(flow);
            filter.matches_wire(&Flow::default());
        }
        Err(e) => assert!(!e.to_string().is_empty(), "an error without a word"),
    }
}

/// What was read is written, read again and sent as it is.
fn check(filter: &FlowFilter) {
    let written = filter.to_json().unwrap_or_default();
    let again = FlowFilter::several(&written);
    assert!(again.is_ok_and(|all| all == [filter.clone()]), "{written} is not read as it was written");
    if !filter.is_own() {
        assert_eq!(filter_from_wire(filter_to_wire(filter)).as_ref(), Ok(filter), "lost on the wire");
    }
}
