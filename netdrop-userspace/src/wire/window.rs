//! Which part of a file is shown, by the rules of Hubble's client: times first, then filters, then the first or the last so many.

use std::collections::vec_deque::{IntoIter, VecDeque};

use anyhow::bail;
use jiff::Timestamp;

use crate::proto::observer::GetFlowsResponse;

/// So many may be asked for with `--last`; they are kept in memory.
const MOST: u64 = 1_000_000;

/// Between two times, in nanoseconds after the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    since: Option<i128>,
    until: Option<i128>,
}

/// A part of a stream.
#[derive(Debug, Default)]
pub struct Window {
    times: Times,
    /// How many may still come.
    first: Option<u64>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    most: usize,
    kept: VecDeque<GetFlowsResponse>,
}

impl Window {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// `first`, else `last`, if it is not 0; between two times.
    pub fn new(
        first: Option<u64>,
        last: Option<u64>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> anyhow::Result<Self> {
        // Hubble's client asks for all by the largest number.
        let last = match last.filter(|n| *n > 0 && *n < u64::MAX && first.is_none()) {
            Some(n) if n > MOST => bail!("--last must be <= 1_000_000, got {n}"),
            Some(n) => Some(Last { most: usize::try_from(n)?, kept: VecDeque::new() }),
            None => None,
        };
        let [since, until] = [since, until].map(|time| time.map(Timestamp::as_nanosecond));
        Ok(Self { times: Times { since, until }, first: first.filter(|n| *n > 0), last })
    }

    /// Whether this time is within. A message without a time is as old as the epoch.
    pub fn covers(&self, response: &GetFlowsResponse) -> bool {
        self.times.cover(response)
    }

    /// Which times, how many of the first, and how many of the last.
    pub(crate) fn parts(&self) -> (Times, Option<u64>, Option<usize>) {
        (self.times, self.first, self.last.as_ref().map(|last| last.most))
    }

    /// Takes one that covers and matches; gives what is to be shown now.
    pub fn pass(&mut self, response: GetFlowsResponse) -> Option<GetFlowsResponse> {
        if let Some(last) = &mut self.last {
            if last.kept.len() == last.most {
                last.kept.pop_front();
            }
            last.kept.push_back(response);
            return None;
        }
        if let Some(first) = &mut self.first {
            *first = first.checked_sub(1)?;
        }
        Some(response)
    }

    /// Whether nothing more can pass.
    pub fn is_over(&self) -> bool {
        self.first == Some(0)
    }

    /// What was kept for the end.
    pub fn rest(&mut self) -> IntoIter<GetFlowsResponse> {
        self.last.take().map(|l| l.kept).unwrap_or_default().into_iter()
    }
}

impl Times {
    /// Whether they are all times.
    pub(crate) fn are_all(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    pub(crate) fn cover(self, response: &GetFlowsResponse) -> bool {
        if self.are_all() {
            return true;
        }
        let (seconds, nanos) = response.time.map_or((0, 0), |t| (t.seconds, t.nanos));
        let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp as WireTime;

    use super::*;

    fn at(seconds: i64) -> GetFlowsResponse {
        GetFlowsResponse { time: Some(WireTime { seconds, nanos: 0 }), ..GetFlowsResponse::default() }
    }

    fn through(mut window: Window) -> Vec<i64> {
        let mut out = Vec::new();
        for i in 0..10 {
            if window.is_over() {
                break;
            }
            let response = at(i);
            if window.covers(&response) {
                out.extend(window.pass(response));
            }
        }
        out.extend(window.rest());
        out.iter().map(|r| r.time.unwrap().seconds).collect()
    }

    #[test]
    fn parts() {
        let time = |s| Some(Timestamp::from_second(s).unwrap());
        let new = |f, l, s, u| Window::new(f, l, s, u).unwrap();
        assert_eq!(through(Window::all()).len(), 10);
        assert_eq!(through(new(Some(2), None, None, None)), [0, 1]);
        assert_eq!(through(new(None, Some(2), None, None)), [8, 9]);
        assert_eq!(through(new(None, Some(u64::MAX), None, None)).len(), 10);
        assert_eq!(through(new(None, Some(2), time(1), time(4))), [3, 4]);
        assert_eq!(through(new(Some(2), None, time(5), None)), [5, 6]);
        assert_eq!(through(new(Some(0), Some(0), None, time(0))), [0]);
        let e = Window::new(None, Some(1_000_001), None, None).unwrap_err().to_string();
        assert_eq!(e, "--last must be <= 1_000_000, got 1000001");
        assert!(!Window::new(None, None, time(1), None).unwrap().covers(&GetFlowsResponse::default()));
    }
}
