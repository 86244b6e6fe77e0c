//! What a filter makes of a rest: packets of which only reason, namespace and node are known.

use super::Compiled;
use super::compile::{Ask, One};
use super::tree::Answer;
use crate::flow::{Flow, LostEvents, TallyKind};

impl Ask {
    /// Whether a rest knows what this asks for.
    fn rest_knows(&self) -> bool {
        matches!(
            self,
            Self::Verdict(_)
                | Self::Reason(_)
                | Self::Netns(_)
                | Self::EventType(_)
                | Self::DropReason(_)
                | Self::NodeName(_)
        )
    }
}

impl One {
    fn answer(&self, rest: &Flow) -> Answer {
        if self.asks.iter().any(|ask| ask.rest_knows() && !ask.fits(rest)) {
            return Answer::No;
        }
        if self.asks.iter().all(Ask::rest_knows) { Answer::Yes } else { Answer::Unknown }
    }
}

/// Of a list, in which one is enough.
fn any(list: &[One], rest: &Flow) -> Answer {
    let mut best = Answer::No;
    for one in list {
        match one.answer(rest) {
            Answer::Yes => return Answer::Yes,
            Answer::Unknown => best = Answer::Unknown,
            Answer::No => {}
        }
    }
    best
}

impl Compiled {
    fn answer(&self, rest: &Flow) -> Answer {
        let allowed = if self.allow.is_empty() { Answer::Yes } else { any(&self.allow, rest) };
        match (allowed, any(&self.deny, rest)) {
            (Answer::No, _) | (_, Answer::Yes) => Answer::No,
            (Answer::Yes, Answer::No) => Answer::Yes,
            _ => Answer::Unknown,
        }
    }

    /// Whether all packets of a rest match.
    pub(super) fn matches_rest(&self, rest: &Flow) -> bool {
        self.answer(rest) == Answer::Yes
    }

    /// What is left to say of a rest ([`TallyKind::Rest`]) of which the filter asks more than it knows: that it was lost to whoever
    /// asks, and how much. `None` for all else: that matches or does not.
    pub fn undecided(&self, flow: &Flow) -> Option<LostEvents> {
        (flow.tally.kind == TallyKind::Rest && self.answer(flow) == Answer::Unknown)
            .then(|| LostEvents::of_rest(flow))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::filter::{Filters, FlowFilter};
    use crate::flow::{DropReason, Netns, Verdict};

    fn rest() -> Flow {
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        flow.tally.kind = TallyKind::Rest;
        flow.tally.count = 7;
        flow.reason =
            Some(DropReason { code: 12, subsystem: Arc::from("CORE"), name: Arc::from("NETFILTER_DROP") });
        flow.netns = Some(Netns { inode: 5, name: None });
        flow
    }

    fn reason(name: &str) -> FlowFilter {
        FlowFilter { reason: vec![name.into()], ..FlowFilter::default() }
    }

    fn port() -> FlowFilter {
        FlowFilter { destination_port: vec!["80".into()], ..FlowFilter::default() }
    }

    #[test]
    fn a_rest_is_judged_by_what_it_knows() {
        let both = FlowFilter { netns: vec![6], ..port() };
        for (allow, deny, expected) in [
            (vec![], vec![], Answer::Yes),
            (vec![reason("NETFILTER_*")], vec![], Answer::Yes),
            (vec![reason("NO_SOCKET")], vec![], Answer::No),
            (vec![port()], vec![], Answer::Unknown),
            (vec![port(), reason("NETFILTER_DROP")], vec![], Answer::Yes),
            (vec![both.clone()], vec![], Answer::No),
            (vec![], vec![reason("NETFILTER_DROP")], Answer::No),
            (vec![port()], vec![reason("NETFILTER_DROP")], Answer::No),
            (vec![], vec![port()], Answer::Unknown),
            (vec![], vec![both], Answer::Yes),
        ] {
            let shown = format!("{allow:?} {deny:?}");
            let compiled = Filters { allow, deny }.compile().unwrap();
            assert_eq!(compiled.answer(&rest()), expected, "{shown}");
            assert_eq!(compiled.matches(&rest()), expected == Answer::Yes, "{shown}");
            let lost = compiled.undecided(&rest()).map(|lost| lost.count);
            assert_eq!(lost, (expected == Answer::Unknown).then_some(7), "{shown}");
        }
    }

    #[test]
    fn a_packet_is_never_undecided() {
        let mut packet = rest();
        packet.tally.kind = TallyKind::Packet;
        let compiled = Filters { allow: vec![port()], deny: vec![] }.compile().unwrap();
        assert!(!compiled.matches(&packet) && compiled.undecided(&packet).is_none());
    }
}
