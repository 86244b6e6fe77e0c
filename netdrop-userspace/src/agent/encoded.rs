//! A response as bytes: encoded once, for all who get it.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, skip_field};

use super::mask::Mask;
use crate::convert::to_wire;
use crate::flow::Observation;
use crate::proto::observer::GetFlowsResponse;

/// A `GetFlowsResponse` that is encoded already. The server's side of GetFlows is generated for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// What a client gets of an observation.
    pub(super) fn new(observation: &Observation, mask: &Mask) -> Self {
        Self(mask.apply(to_wire(observation)).encode_to_vec().into())
    }

    /// What clients with this mask get of a response.
    pub(super) fn of(response: &GetFlowsResponse, mask: &Mask) -> Self {
        if mask.is_empty() {
            return Self(response.encode_to_vec().into());
        }
        Self(mask.apply(response.clone()).encode_to_vec().into())
    }

    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// To write it is to copy it. It is never read: servers don't get responses.
impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
