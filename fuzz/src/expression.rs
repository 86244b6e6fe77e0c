//! Text as an expression in CEL, tried on a flow.

use netdrop::filter::{Experimental, Filters, FlowFilter};

use crate::filter;

/// An expression, a zero byte, and the bytes of a flow of the API.
pub fn run(bytes: &[u8]) {
    let (text, flow) = filter::split(bytes);
    let experimental = Some(Experimental { cel_expression: vec![text] });
    let allow = vec![FlowFilter { experimental, ..FlowFilter::default() }];
    filter::try_on(&Filters { allow, deny: Vec::new() }, &flow);
}
