//! A response to GetFlows as the bytes it came as, with what merging must know of it.
//!
//! Flows go through a relay unread: that is the cheapest, and what a newer server says in fields that this build does not know still
//! arrives.

use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::proto::observer::GetFlowsResponse;

/// Fields of `GetFlowsResponse`, and of `Flow` and `Timestamp` as far as they are read here.
mod field {
    pub(super) const FLOW: u32 = 1;
    pub(super) const NODE_STATUS: u32 = 2;
    pub(super) const LOST_EVENTS: u32 = 3;
    pub(super) const TIME: u32 = 1001;
    pub(super) const FLOW_TIME: u32 = 1;
    pub(super) const SECONDS: u32 = 1;
    pub(super) const NANOS: u32 = 2;
}

/// Kind of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// A flow.
    Flow,
    /// Lost events.
    Lost,
    /// State of nodes.
    Status,
    /// None of those that this build knows.
    Other,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// What it is.
    pub kind: WireKind,
    /// Nanoseconds since 1970; `None`: it says no time.
    pub time: Option<i64>,
    /// The message.
    pub bytes: Bytes,
}

impl Wire {
    /// Reads what is needed; `None` if the bytes are no message.
    pub fn read(bytes: Bytes) -> Option<Self> {
        let (mut kind, mut time, mut flow_time) = (WireKind::Other, None, None);
        let mut fields = Fields(&bytes);
        while !fields.0.is_empty() {
            match fields.next()? {
                (field::FLOW, Value::Bytes(flow)) => {
                    kind = WireKind::Flow;
                    flow_time = first_time(flow);
                }
                (field::NODE_STATUS, Value::Bytes(_)) => kind = WireKind::Status,
                (field::LOST_EVENTS, Value::Bytes(_)) => kind = WireKind::Lost,
                (field::TIME, Value::Bytes(stamp)) => time = timestamp(stamp),
                _ => {}
            }
        }
        Some(Self { kind, time: time.or(flow_time), bytes })
    }

    /// A response made here.
    pub fn of(response: &GetFlowsResponse) -> Self {
        let bytes = Bytes::from(response.encode_to_vec());
        Self::read(bytes.clone()).unwrap_or(Self { kind: WireKind::Other, time: None, bytes })
    }

    /// The whole message.
    pub fn response(&self) -> Result<GetFlowsResponse, prost::DecodeError> {
        GetFlowsResponse::decode(&self.bytes[..])
    }
}

/// The time of a flow, which servers write first.
fn first_time(flow: &[u8]) -> Option<i64> {
    let mut fields = Fields(flow);
    while !fields.0.is_empty() {
        if let (field::FLOW_TIME, Value::Bytes(stamp)) = fields.next()? {
            return timestamp(stamp);
        }
    }
    None
}

fn timestamp(bytes: &[u8]) -> Option<i64> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut fields = Fields(bytes);
    while !fields.0.is_empty() {
        match fields.next()? {
            (field::SECONDS, Value::Varint(n)) => seconds = n.cast_signed(),
            (field::NANOS, Value::Varint(n)) => nanos = n.cast_signed(),
            _ => {}
        }
    }
    (0..1_000_000_000).contains(&nanos).then(|| seconds.checked_mul(1_000_000_000)?.checked_add(nanos))?
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Fields of a message, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// `None`: this is no message.
    fn next(&mut self) -> Option<(u32, Value<'a>)> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).ok()?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups are not in any of these messages.
            _ => return None,
        };
        Some((number, value))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for (i, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Some(value);
            }
        }
        None
    }
}

/// What [`WireCodec`] carries.
pub trait Carried: Sized + Send + 'static {
    /// Writes it.
    fn put(self, to: &mut EncodeBuf<'_>) -> Result<(), Status>;
    /// Reads all that there is.
    fn take(from: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

impl Carried for Wire {
    fn put(self, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(self.bytes);
        Ok(())
    }

    fn take(from: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        let len = from.remaining();
        Self::read(from.copy_to_bytes(len))
            .ok_or_else(|| Status::data_loss("a response is no protobuf message"))
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy, Debug)]
pub struct WireCodec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for WireCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E: Carried, D: Carried> Codec for WireCodec<E, D> {
    type Encode = E;
    type Decode = D;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<E: Carried, D: Carried> Encoder for WireCodec<E, D> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.put(to)
    }
}

impl<E: Carried, D: Carried> Decoder for WireCodec<E, D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        D::take(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::flow::{Flow, LostEvent};
    use crate::proto::observer::get_flows_response::ResponseTypes;
    use crate::proto::relay::NodeStatusEvent;

    fn stamp(seconds: i64, nanos: i32) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos }
    }

    #[test]
    fn kind_and_time_are_read_off_the_bytes() {
        let lost = ResponseTypes::LostEvents(LostEvent::default());
        let status = ResponseTypes::NodeStatus(NodeStatusEvent::default());
        let flow = ResponseTypes::Flow(Flow { time: Some(stamp(7, 9)), ..Flow::default() });
        for (kind, types) in
            [(WireKind::Lost, lost), (WireKind::Status, status), (WireKind::Flow, flow.clone())]
        {
            let response = GetFlowsResponse {
                node_name: "node-1".into(),
                time: Some(stamp(1_700_000_000, 5)),
                response_types: Some(types),
            };
            let wire = Wire::of(&response);
            assert_eq!((wire.kind, wire.time), (kind, Some(1_700_000_000_000_000_005)));
            assert_eq!(wire.response().unwrap(), response);
        }
        let masked = GetFlowsResponse { response_types: Some(flow), ..GetFlowsResponse::default() };
        assert_eq!(
            Wire::of(&masked).time,
            Some(7_000_000_009),
            "the flow's own, where the response has none"
        );
        assert_eq!(Wire::of(&GetFlowsResponse::default()).kind, WireKind::Other);
    }

    #[test]
    fn a_time_that_is_none_is_absent() {
        for time in [stamp(1, -1), stamp(1, 1_000_000_000), stamp(i64::MAX, 0)] {
            let response = GetFlowsResponse { time: Some(time), ..GetFlowsResponse::default() };
            assert_eq!(Wire::of(&response).time, None, "{time:?}");
        }
        let before = GetFlowsResponse { time: Some(stamp(-1, 5)), ..GetFlowsResponse::default() };
        assert_eq!(Wire::of(&before).time, Some(-999_999_995));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_not(bytes: Vec<u8>) {
            let wire = Wire::read(Bytes::from(bytes.clone()));
            prop_assert!(wire.is_none_or(|w| w.bytes == bytes));
        }

        #[test]
        fn what_is_cut_off_is_no_message(cut in 1_usize..20) {
            let response = GetFlowsResponse { node_name: "a-node".into(), time: Some(stamp(1, 2)), response_types: None };
            let bytes = response.encode_to_vec();
            let end = bytes.len().saturating_sub(cut);
            let part = Bytes::copy_from_slice(&bytes[..end]);
            prop_assert_eq!(Wire::read(part.clone()).is_some(), GetFlowsResponse::decode(part).is_ok());
        }
    }
}
