//! What clients may take of a server.

use std::time::Duration;

pub(super) use crate::complaints::{Complaints, PAUSE};

/// What one door grants. Each door has its own, so that other machines never keep out this one's own clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, shared as `places` says; one too many is told so.
    pub connections: usize,
    /// Connections at once that have yet to show that they speak TLS and HTTP/2; for a further one the oldest is cut of where most
    /// come from. More than there may be connections, so that honest ones who come all at once are not taken for a crowd.
    pub arriving: usize,
    /// Calls at once, over all connections, and shared in the same way. Each may hold [`SEND_BUFFER`] and a request.
    pub calls: usize,
    /// Calls at once of one connection.
    pub streams: u32,
    /// How long arriving may take.
    pub arrival: Duration,
    /// How long a request may take to come.
    pub request: Duration,
    /// A connection without a call ends after this time.
    pub idle: Duration,
    /// A client that is silent is asked whether it lives, this often.
    pub ping: Duration,
    /// ... and has this long to answer.
    pub pong: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 200,
            arriving: 256,
            calls: 256,
            streams: 100,
            arrival: Duration::from_secs(5),
            request: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
        }
    }
}

/// Bytes of a request message. Requests hold filters; this is hundreds of them.
pub(crate) const MAX_REQUEST: usize = 64 * 1024;
/// Parts of a request, as filters: one is two bytes on the wire, but a thousand in memory.
pub(super) const MAX_PARTS: usize = 256;
/// Regular expressions and CEL's in a request: each may become a program of a megabyte.
pub(super) const MAX_PATTERNS: usize = 16;
/// Bytes of a request's headers.
pub(super) const MAX_HEADERS: u32 = 8 * 1024;
/// Bytes under way to a client that does not read, of each call.
pub(super) const SEND_BUFFER: usize = 64 * 1024;
/// Bytes that a client may send ahead, of a call and of a connection.
pub(super) const RECEIVE_WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);
/// Calls that a client took back before the server had looked at them; more end the connection.
pub(super) const MAX_TAKEN_BACK: usize = 20;
/// Streams that a client broke; more end the connection.
pub(super) const MAX_BROKEN: usize = 64;
/// Pause after the kernel could not hand over a connection: it is out of files or memory.
pub(super) const BREATH: Duration = Duration::from_millis(100);
/// Connections at once that were cut and are not closed yet, or calls that were ended.
pub(super) const LEAVING: usize = 16;
/// Connections at once that are being told that there are too many; further ones just end.
pub(super) const REFUSED: usize = 16;
/// How long telling may take, of that or of an end.
pub(super) const REFUSAL: Duration = Duration::from_secs(2);
/// How long calls have to end once the agent stops.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
