//! Which flows to show: Hubble's flow filters, and netdrop's own reason and namespace.
//!
//! Inside a field the values are alternatives, the fields of a filter must all match, a list of filters matches if one does.
//! Shown is what the allow list matches (an empty one matches all) and the deny list does not.

mod address;
mod cel;
mod compile;
mod fields;
mod glob;
mod http;
mod index;
mod json;
mod label;
mod look;
mod lower;
mod matching;
mod nothing;
mod own;
mod part;
mod pattern;
mod rest;
mod spec;
mod tree;
mod wire;

use crate::flow::{Flow, TallyKind};

pub use compile::FilterError;
pub use index::Index;
pub use lower::Prefilter;
pub(crate) use part::Part;
pub use spec::{
    EventTypeFilter, Experimental, FlowFilter, HttpHeaderFilter, InterfaceFilter, TcpFlagsFilter,
    WorkloadFilter,
};
pub(crate) use tree::{Answer, Leaf, Other, Rule, Tree};

use compile::One;
pub(crate) use fields::Side;

use fields::Fields;

/// Allow and deny list, as typed or as sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Empty: everything.
    pub allow: Vec<FlowFilter>,
    /// Any match hides.
    pub deny: Vec<FlowFilter>,
}

impl Filters {
    /// Parses every value once.
    pub fn compile(&self) -> Result<Compiled, FilterError> {
        let all = |list: &[FlowFilter]| list.iter().map(One::new).collect::<Result<Vec<_>, _>>();
        Ok(Compiled { allow: all(&self.allow)?, deny: all(&self.deny)? })
    }

    /// The same, but benign drops are shown to those filters alone that name a reason.
    pub fn compile_without_benign(&self) -> Result<Compiled, FilterError> {
        let mut compiled = self.compile()?;
        for (one, filter) in compiled.allow.iter_mut().zip(&self.allow) {
            if filter.reason.is_empty() {
                one.asks.push(compile::Ask::NotBenign);
            }
        }
        Ok(compiled)
    }
}

/// Filters, ready to match.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    allow: Vec<One>,
    deny: Vec<One>,
}

impl Compiled {
    /// Whether the flow is to be shown; a rest only if all its packets are ([`Compiled::undecided`]).
    pub fn matches(&self, flow: &Flow) -> bool {
        if flow.tally.kind == TallyKind::Rest { self.matches_rest(flow) } else { self.lets_through(flow) }
    }

    /// Whether a flow of the API is to be shown.
    pub fn matches_wire(&self, flow: &crate::proto::flow::Flow) -> bool {
        self.lets_through(flow)
    }

    fn lets_through(&self, flow: &impl Fields) -> bool {
        (self.allow.is_empty() || self.allow.iter().any(|f| f.matches(flow)))
            && !self.deny.iter().any(|f| f.matches(flow))
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// What the kernel may turn away: a superset of what matches passes. `codes` gives the numbers of a kernel reason's name
    /// or `*` pattern.
    pub fn prefilter(&self, codes: &dyn Fn(&str) -> Vec<u32>) -> Prefilter {
        lower::lower(&self.allow, codes)
    }
}

#[cfg(test)]
mod tests;
