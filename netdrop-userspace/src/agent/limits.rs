//! What clients may take of a server.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Complaints about clients: one in this time.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// What one door grants. Each door has its own, so that other machines never keep out this one's own clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones are told so.
    pub connections: usize,
    /// Connections at once that have yet to show that they speak TLS and HTTP/2; for a further one the oldest is cut of where most
    /// come from. More than there may be connections, so that honest ones who come all at once are not taken for a crowd.
    pub arriving: usize,
    /// Calls at once, over all connections. Each may hold [`SEND_BUFFER`] and a request.
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
    /// How long calls have to end once the server stops.
    pub farewell: Duration,
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
            farewell: Duration::from_millis(500),
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
/// Connections at once that were cut and are not closed yet.
pub(super) const LEAVING: usize = 16;
/// Connections at once that are being told that there are too many; further ones just end.
pub(super) const REFUSED: usize = 16;
/// How long telling may take.
pub(super) const REFUSAL: Duration = Duration::from_secs(2);

/// Keeps clients from filling the log: says one thing in a while, and then how many it kept quiet about.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<(Option<Instant>, u64)>);

impl Complaints {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Calls `say` with the number of those that were kept quiet, if it is time.
    pub(super) fn make(&self, say: impl FnOnce(u64)) {
        if let Some(kept) = self.due(Instant::now()) {
            say(kept);
        }
    }

    /// Calls `say` with the number of those that were kept quiet, if it is time and there are any.
    pub(super) fn rest(&self, say: impl FnOnce(u64)) {
        if let Some(kept) = self.left(Instant::now()) {
            say(kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Instant>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        let due = state.1 > 0 && state.0.is_none_or(|last| now.duration_since(last) >= PAUSE);
        due.then(|| {
            state.0 = Some(now);
            std::mem::take(&mut state.1)
        })
    }

    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        if state.0.is_some_and(|last| now.duration_since(last) < PAUSE) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_few_and_counted() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let at = |seconds| complaints.due(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(30)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
        let left = |seconds| complaints.left(start + Duration::from_secs(seconds));
        assert_eq!(left(50), None, "nothing was kept quiet");
        assert_eq!((at(31), left(39), left(40), left(60)), (None, None, Some(1), None));
    }
}
