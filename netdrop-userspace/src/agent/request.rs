//! A request, before anybody decodes it: whole, of a sane size, in time.
//!
//! What is not is answered with the code that gRPC has for it, and costs no more memory than it may.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use tokio::time::Sleep;
use tonic::Status;

use super::limits::{MAX_PARTS, MAX_PATTERNS, MAX_REQUEST};
use super::query::Query;
use crate::filter::{Filters, FlowFilter};
use crate::proto::observer::GetFlowsRequest;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Calls whose client may send many messages. All others take one.
const STREAMING: &str = "/grpc.reflection.";

/// Waits for the one message of a request, or lets a stream of messages through within the same bounds.
pub(super) async fn admit(path: &str, body: Incoming, limit: Duration) -> Result<tonic::body::Body, Status> {
    if path.starts_with(STREAMING) {
        let until = Box::pin(tokio::time::sleep(limit));
        return Ok(tonic::body::Body::new(Bounded { body, left: MAX_REQUEST, until, limit }));
    }
    let message = tokio::time::timeout(limit, whole(body)).await.map_err(|_| late(limit))??;
    check(&message)?;
    Ok(tonic::body::Body::new(Full::new(message)))
}

fn late(limit: Duration) -> Status {
    Status::deadline_exceeded(format!("the request was not complete after {} s", limit.as_secs()))
}

async fn whole(mut body: Incoming) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers mean nothing here.
        if let Ok(data) = frame.map_err(|e| Status::from_error(e.into()))?.into_data() {
            bytes.extend_from_slice(&data);
        }
        let Some(length) = declared(&bytes) else {
            continue;
        };
        if length > MAX_REQUEST {
            return Err(Status::resource_exhausted(format!(
                "received message larger than max ({length} vs. {MAX_REQUEST}); ask with fewer filters"
            )));
        }
        if bytes.len() > PREFIX + length {
            return Err(Status::internal("more than one message in a request that takes one"));
        }
    }
    Ok(bytes.freeze())
}

/// Length of the message, as its prefix says.
fn declared(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(1..PREFIX)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// Refuses a message that would become far larger in memory. What can't be decoded is for the decoder to refuse.
pub(super) fn check(framed: &[u8]) -> Result<(), Status> {
    // A compressed one is refused later on: the server offers no compression.
    let (Some(0), Some(message)) = (framed.first(), framed.get(PREFIX..)) else {
        return Ok(());
    };
    count(message)
}

fn count(message: &[u8]) -> Result<(), Status> {
    let parts = parts(message);
    if parts > MAX_PARTS {
        return Err(too_many_filters());
    }
    Ok(())
}

/// Refuses filters that cost more than they can be worth, whichever way they came.
pub(super) fn affordable(filters: &Filters) -> Result<(), Status> {
    let all = || filters.allow.iter().chain(&filters.deny);
    if all().count() > MAX_PARTS {
        return Err(too_many_filters());
    }
    let patterns = |f: &FlowFilter| {
        let cel = f.experimental.as_ref().map_or(0, |e| e.cel_expression.len());
        f.http_path.len() + f.http_url.len() + f.dns_query.len() + cel
    };
    if all().map(patterns).sum::<usize>() > MAX_PATTERNS {
        return Err(Status::resource_exhausted(format!(
            "a request of more than {MAX_PATTERNS} expressions (of paths, URLs, DNS names, CEL); join them by |, or || in CEL"
        )));
    }
    Ok(())
}

fn too_many_filters() -> Status {
    Status::resource_exhausted(format!(
        "a request of more than {MAX_PARTS} filters; ask with fewer, or for their parts one after the other"
    ))
}

/// What the server makes of the bytes of a request for flows, up to the question whether it is one: for the fuzzer.
pub fn examine(message: &[u8]) -> Result<(), Status> {
    count(message)?;
    let request = GetFlowsRequest::decode(message).map_err(|e| Status::internal(e.to_string()))?;
    Query::new(request).map(drop)
}

/// Messages and texts at the top of a message.
fn parts(mut message: &[u8]) -> usize {
    let mut parts = 0;
    while message.has_remaining() {
        let Ok((tag, kind)) = decode_key(&mut message) else {
            break;
        };
        parts += usize::from(kind == WireType::LengthDelimited);
        if skip_field(kind, tag, &mut message, DecodeContext::default()).is_err() {
            break;
        }
    }
    parts
}

/// A stream of messages within bounds of size and time.
struct Bounded {
    body: Incoming,
    left: usize,
    until: Pin<Box<Sleep>>,
    limit: Duration,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(late(self.limit))));
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(Status::from_error(e.into())))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(size) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(Status::resource_exhausted(format!(
                "requests of more than {MAX_REQUEST} bytes in one call; ask in another"
            ))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::flow::FlowFilter as WireFilter;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    }

    #[test]
    fn filters_are_counted_before_they_are_decoded() {
        let request = |filters: usize| {
            let whitelist = vec![WireFilter::default(); filters];
            framed(&GetFlowsRequest { whitelist, number: 7, ..GetFlowsRequest::default() }.encode_to_vec())
        };
        assert!(check(&request(MAX_PARTS)).is_ok());
        let refused = check(&request(MAX_PARTS + 1)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(refused.message().contains("256 filters"), "{refused}");
    }

    #[test]
    fn expressions_are_counted_before_they_are_compiled() {
        let filter = |n| FlowFilter { http_path: vec!["(a{200}){50}".into(); n], ..FlowFilter::default() };
        let filters = |n| Filters { allow: vec![filter(n), filter(n)], deny: vec![filter(n)] };
        assert!(affordable(&filters(MAX_PATTERNS / 3)).is_ok());
        let refused = affordable(&filters(MAX_PATTERNS / 3 + 1)).unwrap_err();
        assert!(refused.message().contains("16 expressions"), "{refused}");
        let many = Filters { allow: vec![], deny: vec![FlowFilter::default(); MAX_PARTS + 1] };
        assert_eq!(affordable(&many).unwrap_err().message(), too_many_filters().message());
    }

    #[test]
    fn what_cannot_be_decoded_is_left_to_the_decoder() {
        for bytes in
            [&b""[..], b"\0", b"\0\0\0\0\x02\xff\xff", b"\x01\0\0\0\x02\x2a\0", b"\0\0\0\0\x03\x2a\xff\xff"]
        {
            assert!(check(bytes).is_ok(), "{bytes:?}");
        }
        assert_eq!(declared(b"\0\0\0\x01"), None);
        assert_eq!(declared(b"\0\0\0\x01\x02"), Some(258));
    }
}
