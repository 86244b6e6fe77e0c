//! A request for flows, as the bytes it came as: a filter that this build does not know still gets to the servers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost_types::{FieldMask, Timestamp};
use tonic::Status;
use tonic::codec::{DecodeBuf, EncodeBuf};

use super::wire::Carried;
use crate::proto::observer::GetFlowsRequest;

/// Of a message's fields with one value the last one counts; so a request is changed by what is appended to it.
mod key {
    const VARINT: u8 = 0;
    const BYTES: u8 = 2;
    pub(super) const NUMBER: u8 = 1 << 3 | VARINT;
    pub(super) const FIRST: u8 = 9 << 3 | VARINT;
    pub(super) const SINCE: u8 = 7 << 3 | BYTES;
    /// Within a Timestamp.
    pub(super) const SECONDS: u8 = 1 << 3 | VARINT;
    pub(super) const NANOS: u8 = 2 << 3 | VARINT;
}

/// What merging needs of each flow.
const TIME: &str = "time";

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// As far as this build knows it.
    pub request: GetFlowsRequest,
    bytes: Bytes,
}

impl From<GetFlowsRequest> for Asked {
    fn from(request: GetFlowsRequest) -> Self {
        let bytes = request.encode_to_vec().into();
        Self { request, bytes }
    }
}

impl Asked {
    /// The same, from a point in time on and without a number: how a stream goes on after it was cut.
    #[must_use]
    pub fn since(&self, nanos: i64) -> Self {
        let since = Timestamp {
            seconds: nanos.div_euclid(1_000_000_000),
            nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
        };
        let mut stamp = vec![key::SECONDS];
        prost::encoding::encode_varint(since.seconds.cast_unsigned(), &mut stamp);
        stamp.push(key::NANOS);
        prost::encoding::encode_varint(u64::from(since.nanos.unsigned_abs()), &mut stamp);
        let mut bytes = BytesMut::from(&self.bytes[..]);
        bytes.put_slice(&[key::NUMBER, 0, key::FIRST, 0, key::SINCE]);
        bytes.put_u8(u8::try_from(stamp.len()).unwrap_or_default());
        bytes.put_slice(&stamp);
        let request = GetFlowsRequest { number: 0, first: false, since: Some(since), ..self.request.clone() };
        Self { request, bytes: bytes.freeze() }
    }

    /// The same with the flow's time in its field mask; `None`: it has it, or there is no mask.
    pub fn with_time(&self) -> Option<Self> {
        let mask = self.request.field_mask.as_ref().filter(|mask| !mask.paths.is_empty())?;
        if mask.paths.iter().any(|path| path == TIME) {
            return None;
        }
        // Lists of two such fields are joined.
        let more = FieldMask { paths: vec![TIME.to_owned()] };
        let suffix = GetFlowsRequest { field_mask: Some(more), ..GetFlowsRequest::default() };
        let bytes = [&self.bytes[..], &suffix.encode_to_vec()].concat();
        let mut request = self.request.clone();
        request.field_mask.get_or_insert_default().paths.push(TIME.to_owned());
        Some(Self { request, bytes: bytes.into() })
    }
}

impl Carried for Asked {
    fn put(self, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(self.bytes);
        Ok(())
    }

    fn take(from: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let request = GetFlowsRequest::decode(&bytes[..]).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Self { request, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::flow::FlowFilter;

    fn read(asked: &Asked) -> GetFlowsRequest {
        GetFlowsRequest::decode(&asked.bytes[..]).unwrap()
    }

    fn whole() -> GetFlowsRequest {
        GetFlowsRequest {
            number: 300,
            first: true,
            follow: true,
            since: Some(Timestamp { seconds: 1, nanos: 999 }),
            whitelist: vec![FlowFilter { source_pod: vec!["a/b".into()], ..FlowFilter::default() }],
            ..GetFlowsRequest::default()
        }
    }

    #[test]
    fn a_resumed_request_differs_in_its_beginning_only() {
        for nanos in [0, 5, 1_700_000_000_000_000_000, -1] {
            let resumed = Asked::from(whole()).since(nanos);
            assert_eq!(read(&resumed), resumed.request);
            let GetFlowsRequest { number, first, since, .. } = &resumed.request;
            let since = since.as_ref().map(|s| s.seconds * 1_000_000_000 + i64::from(s.nanos));
            assert_eq!((*number, *first, since), (0, false, Some(nanos)));
            assert_eq!(resumed.request.whitelist, whole().whitelist);
        }
    }

    #[test]
    fn fields_of_the_future_are_kept() {
        // Field 4000 of a filter, which nobody knows yet.
        let filter = [0x82, 0xfa, 0x01, 1, b'x'];
        let bytes = [&[6 << 3 | 2, u8::try_from(filter.len()).unwrap()][..], &filter].concat();
        let request = GetFlowsRequest::decode(&bytes[..]).unwrap();
        let asked = Asked { request, bytes: bytes.clone().into() };
        assert!(asked.since(7).bytes.starts_with(&bytes));
    }

    #[test]
    fn a_mask_without_time_gets_it() {
        let mask = |paths: &[&str]| FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
        let with = |paths: &[&str]| Asked::from(GetFlowsRequest { field_mask: Some(mask(paths)), ..whole() });
        let widened = with(&["verdict", "IP"]).with_time().unwrap();
        assert_eq!(read(&widened).field_mask, Some(mask(&["verdict", "IP", "time"])));
        assert_eq!(read(&widened), widened.request);
        assert_eq!(with(&["time"]).with_time(), None);
        assert_eq!(with(&[]).with_time(), None, "no mask: everything");
        assert_eq!(Asked::from(whole()).with_time(), None);
    }
}
