//! The fields of a flow that a client asked for.

use tonic::Status;

use super::query::invalid;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::wire::mask::FieldMask;

/// A checked `field_mask` of a request; it may ask for everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Mask {
    fields: FieldMask,
    /// As they were asked for, in order: two masks with the same are one.
    paths: Vec<String>,
}

impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths
    }
}

impl Mask {
    /// Refuses paths that no flow has.
    pub(super) fn new(asked: Option<&prost_types::FieldMask>) -> Result<Self, Status> {
        let paths = asked.map_or(&[][..], |mask| &mask.paths);
        let fields = FieldMask::parse(paths).map_err(|e| invalid(format!("invalid fieldmask: {e}")))?;
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        paths.dedup();
        Ok(Self { fields, paths })
    }

    /// Whether it asks for everything.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Clears what was not asked for. Time and node of the response are the flow's, so they go with it; other events are whole.
    pub(super) fn apply(&self, mut response: GetFlowsResponse) -> GetFlowsResponse {
        if !self.is_empty()
            && let Some(ResponseTypes::Flow(flow)) = &mut response.response_types
        {
            self.fields.apply(flow);
            response.time = flow.time;
            response.node_name.clone_from(&flow.node_name);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::to_wire;
    use crate::flow::{Flow, LostEvents, LostSource, Observation, Verdict};
    use jiff::Timestamp;

    fn mask(paths: &[&str]) -> Result<Mask, Status> {
        let paths = paths.iter().map(ToString::to_string).collect();
        Mask::new(Some(&prost_types::FieldMask { paths }))
    }

    fn response() -> GetFlowsResponse {
        let mut flow = Flow::new(Timestamp::from_second(5).unwrap(), Verdict::Dropped);
        flow.node_name = Some("n".into());
        to_wire(&Observation::Flow(flow))
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        assert_eq!(Mask::new(None).unwrap().apply(response()), response());
        assert_eq!(mask(&[]).unwrap().apply(response()), response());
        let verdict = mask(&["verdict"]).unwrap().apply(response());
        assert_eq!((verdict.time, verdict.node_name.as_str()), (None, ""));
        let Some(ResponseTypes::Flow(flow)) = verdict.response_types else { panic!() };
        assert_eq!((flow.verdict, flow.uuid.as_str(), flow.time), (2, "", None));
        let named = mask(&["time", "node_name"]).unwrap().apply(response());
        assert_eq!((named.time, named.node_name.as_str()), (response().time, "n"));
    }

    #[test]
    fn what_is_lost_is_always_told_whole() {
        let lost = to_wire(&Observation::Lost(LostEvents {
            source: LostSource::HubbleRingBuffer,
            count: 3,
            cpu: None,
            time: Timestamp::from_second(1).unwrap(),
            first: None,
            last: None,
            node_name: Some("n".into()),
        }));
        assert_eq!(mask(&["verdict"]).unwrap().apply(lost.clone()), lost);
    }

    #[test]
    fn a_path_that_no_flow_has_is_refused() {
        let refused = mask(&["verdict", "nope"]).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unknown);
        assert_eq!(refused.message(), "invalid fieldmask: invalid path \"nope\" for message \"flow.Flow\"");
    }
}
