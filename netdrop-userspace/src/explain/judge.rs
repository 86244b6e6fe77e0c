//! Whether a drop is worth a look: benign ones are not shown unless somebody asks.

use super::kernels::Release;
use super::{Class, find, sites};
use crate::filter::{Compiled, FilterError, Filters};
use crate::flow::DropReason;
use crate::kernel::Reasons;

/// What is to be said of a drop, beyond its reason and place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Normal operation in every case: nothing that matters was lost.
    pub benign: bool,
    /// What a vague reason means at this place.
    pub meaning: Option<&'static str>,
}

/// Judges a drop by its reason's name and the function it died in; an unknown reason or place is never benign.
pub fn judge(reason: &str, symbol: Option<&str>, release: Release) -> Judgement {
    let site = symbol.and_then(|symbol| sites::find(reason, symbol, release));
    let class = site.map(|s| s.class).or_else(|| find(reason).map(|e| e.class));
    Judgement { benign: class == Some(Class::Benign), meaning: site.map(|s| s.means) }
}

/// Codes that are benign at whatever place: what the kernel side may turn away before it reads anything.
pub fn benign_codes(reasons: &Reasons) -> Vec<u32> {
    let everywhere = |r: &&DropReason| {
        find(&r.name).is_some_and(|e| e.class == Class::Benign) && sites::all().all(|s| s.reason != &*r.name)
    };
    reasons.iter().filter(everywhere).map(|r| r.code).collect()
}

/// Whether a filter names a reason: then what it matches is shown, benign or not.
pub fn is_asked_for(filters: &Filters) -> bool {
    filters.allow.iter().any(|f| !f.reason.is_empty())
}

/// The filters, of which those that name no reason match no benign drop.
pub fn compile_asking(filters: &Filters) -> Result<Compiled, FilterError> {
    if is_asked_for(filters) { filters.compile_without_benign() } else { filters.compile() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::FlowFilter;
    use crate::flow::{Flow, Verdict};
    use crate::kernel::KernelInfo;

    const OLD: Release = Release::new(6, 1);
    const NEW: Release = Release::new(6, 18);

    #[test]
    fn only_what_is_certain_is_benign() {
        let benign = |reason, symbol, release| judge(reason, symbol, release).benign;
        assert!(benign("TCP_OLD_DATA", None, NEW) && benign("DUP_FRAG", Some("ip_defrag"), NEW));
        for reason in
            ["NETFILTER_DROP", "NO_SOCKET", "QUEUE_PURGE", "NOT_SPECIFIED", "OTHERHOST", "CORE:9999"]
        {
            assert!(!benign(reason, None, NEW), "{reason}");
        }
        assert!(benign("QUEUE_PURGE", Some("inet_sock_destruct"), NEW));
        assert!(!benign("QUEUE_PURGE", Some("wg_packet_purge_staged_packets"), NEW));
        assert!(benign("NOT_SPECIFIED", Some("skb_release_data"), OLD));
        assert!(!benign("NOT_SPECIFIED", Some("skb_release_data"), NEW));
        assert!(judge("NOT_SPECIFIED", Some("ip_error"), NEW).meaning.is_some());
        assert_eq!(judge("NO_SOCKET", Some("ip_error"), NEW), Judgement::default());
    }

    #[test]
    fn the_kernel_side_hides_few_reasons_and_knows_them_all() {
        let reasons = KernelInfo::load().unwrap().reasons;
        let names: Vec<_> =
            benign_codes(&reasons).iter().map(|c| reasons.name(*c).name.to_string()).collect();
        assert!(names.iter().any(|n| n == "TCP_OLD_DATA") && names.len() <= 12, "{names:?}");
        assert!(!names.iter().any(|n| n == "NOT_SPECIFIED" || n == "QUEUE_PURGE"), "{names:?}");
    }

    #[test]
    fn a_benign_drop_is_for_the_filter_that_names_its_reason() {
        let named = |reason: &str| FlowFilter { reason: vec![reason.into()], ..FlowFilter::default() };
        let other = FlowFilter { verdict: vec![2], ..FlowFilter::default() };
        let mut flow = Flow::new(jiff::Timestamp::UNIX_EPOCH, Verdict::Dropped);
        let (code, subsystem, name) = (0, "CORE".into(), "QUEUE_PURGE".into());
        flow.reason = Some(DropReason { code, subsystem, name });
        for (benign, reason, shown) in [
            (true, "NO_SOCKET", false),
            (true, "QUEUE_PURGE", true),
            (false, "NO_SOCKET", true),
            (false, "QUEUE_PURGE", true),
        ] {
            flow.benign = benign;
            let filters = Filters { allow: vec![named(reason), other.clone()], deny: vec![] };
            assert_eq!(compile_asking(&filters).unwrap().matches(&flow), shown, "{benign} {reason}");
            assert!(filters.compile().unwrap().matches(&flow), "{benign} {reason}");
        }
    }

    #[test]
    fn a_reason_in_the_allow_list_asks_and_one_in_the_deny_list_does_not() {
        let filter = FlowFilter { reason: vec!["DUP_FRAG".into()], ..FlowFilter::default() };
        assert!(is_asked_for(&Filters { allow: vec![filter.clone()], deny: vec![] }));
        assert!(!is_asked_for(&Filters { allow: vec![FlowFilter::default()], deny: vec![filter] }));
    }
}
