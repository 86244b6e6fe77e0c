//! What filters make of an event that is no flow.

use std::sync::OnceLock;

use super::Compiled;
use super::cel::Subject;
use super::compile::{Ask, One};
use super::matching;
use crate::proto::flow::{Flow, Ip};

/// Values that nobody asks for, where a filter looks at the value alone.
fn no_flow() -> &'static Flow {
    static NO_FLOW: OnceLock<Flow> = OnceLock::new();
    NO_FLOW.get_or_init(|| Flow {
        uuid: "\0".to_owned(),
        verdict: i32::MIN,
        traffic_direction: i32::MIN,
        ip: Some(Ip { ip_version: i32::MIN, ..Ip::default() }),
        ..Flow::default()
    })
}

impl One {
    /// To an expression it has the fields of a flow that has nothing, but it is none.
    fn matches_no_flow(&self) -> bool {
        self.asks.iter().all(|ask| match ask {
            Ask::Expression(wanted) => matching::expression(wanted, &Subject::none(&Flow::default())),
            ask => ask.fits(no_flow()),
        })
    }
}

impl Compiled {
    /// Whether an event that is no flow is to be shown. To Hubble's client it has no field: what asks for a value does not match it, not
    /// even if the value asked for is the default.
    pub fn matches_no_flow(&self) -> bool {
        (self.allow.is_empty() || self.allow.iter().any(One::matches_no_flow))
            && !self.deny.iter().any(One::matches_no_flow)
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{Experimental, Filters, FlowFilter};

    #[test]
    fn to_an_expression_it_has_nothing_and_is_no_flow() {
        for (text, expected) in [
            ("has(_flow.verdict) || has(_flow.uuid) || has(_flow.IP)", false),
            ("_flow.verdict == 0 && _flow.uuid == ''", true),
            ("_flow == Flow{}", false),
            ("flow.Flow{} == _flow", false),
            ("_flow in [Flow{}]", false),
            ("_flow != Flow{}", true),
            ("_flow == _flow", true),
            ("_flow.source == Endpoint{} && _flow.time == Flow{}.time", true),
            ("true", true),
        ] {
            let experimental = Some(Experimental { cel_expression: vec![text.to_owned()] });
            let filter = FlowFilter { experimental, ..FlowFilter::default() };
            let allow = Filters { allow: vec![filter.clone()], deny: vec![] }.compile().unwrap();
            let deny = Filters { allow: vec![], deny: vec![filter] }.compile().unwrap();
            assert_eq!(allow.matches_no_flow(), expected, "{text}");
            assert_eq!(deny.matches_no_flow(), !expected, "{text}");
        }
        let verdict = FlowFilter { verdict: vec![0], ..FlowFilter::default() };
        assert!(!Filters { allow: vec![verdict], deny: vec![] }.compile().unwrap().matches_no_flow());
    }
}
