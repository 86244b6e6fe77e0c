//! The course of one call to many servers: whose answers are waited for, how many flows are told, and when it is over.

use std::collections::HashMap;
use std::time::Duration;

use super::PeerId;
use super::merger::{Merger, MergerLimits, nanos};
use super::newest::Newest;
use crate::proto::observer::GetFlowsRequest;

/// What a request asks for, over all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The newest so many, before anything else.
    pub last: Option<u64>,
    /// End after so many flows.
    pub limit: Option<u64>,
    /// Go on with new ones.
    pub follow: bool,
}

impl Plan {
    /// As one server would read the request.
    pub fn of(request: &GetFlowsRequest) -> Self {
        let GetFlowsRequest { number, first, follow, since, .. } = request;
        let from_a_point = *first || since.is_some();
        // All that there is needs no choice.
        let number = Some(*number).filter(|n| (1..u64::MAX).contains(n));
        Self {
            last: number.filter(|_| !from_a_point),
            limit: number.filter(|_| from_a_point && !follow),
            follow: *follow,
        }
    }
}

/// How patient to be.
#[derive(Clone, Copy, Debug)]
pub struct CourseLimits {
    /// For order.
    pub merger: MergerLimits,
    /// A server that is followed has told its past when it is quiet for so long.
    pub quiet: Duration,
    /// A server that is not followed and says nothing for so long is given up.
    pub patience: Duration,
    /// Most flows to choose the newest among.
    pub most_last: usize,
}

/// One item of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<T> {
    /// Nanoseconds since 1970, if it says so.
    pub time: Option<i64>,
    /// Flows are counted.
    pub flow: bool,
    /// The item.
    pub body: T,
}

/// What there is to say after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// It is over.
    pub done: bool,
    /// These did not answer in time, and are not waited for any more.
    pub given_up: Vec<PeerId>,
    /// When to look again, if nothing comes before.
    pub wake: Option<Duration>,
}

#[derive(Debug)]
struct Member {
    opened: bool,
    stalled: bool,
    /// When it last said something.
    sign: Duration,
    /// The latest time of its items.
    latest: Option<i64>,
    flows: u64,
    /// Flows that may still be of its past, which came too late to be chosen among.
    past: u64,
}

#[derive(Debug)]
enum Stage<T> {
    Choosing(Newest<Item<T>>),
    Merging,
}

/// One call. Times of day come in as `wall`: nanoseconds since 1970 at `now` 0.
#[derive(Debug)]
pub struct Course<T> {
    plan: Plan,
    limits: CourseLimits,
    wall: i64,
    started: Duration,
    stage: Stage<T>,
    merger: Merger<Item<T>>,
    members: HashMap<PeerId, Member>,
    left: Option<u64>,
    /// Older than all of the newest that were asked for.
    cut: Option<i64>,
    crowded_out: HashMap<PeerId, u64>,
}

impl<T> Course<T> {
    /// Begins at `now`.
    pub fn new(plan: Plan, limits: CourseLimits, now: Duration, wall: i64) -> Self {
        let stage = match plan.last {
            Some(n) => {
                let number = usize::try_from(n).unwrap_or(usize::MAX).min(limits.most_last);
                Stage::Choosing(Newest::new(number))
            }
            None => Stage::Merging,
        };
        Self {
            plan,
            limits,
            wall,
            started: now,
            stage,
            // What is followed has to be told in time; a history, in order.
            merger: if plan.follow { Merger::new(limits.merger) } else { Merger::patient(limits.merger) },
            members: HashMap::new(),
            left: plan.limit,
            cut: None,
            crowded_out: HashMap::new(),
        }
    }

    /// This server is asked.
    pub fn join(&mut self, now: Duration, peer: PeerId) {
        let member = Member { opened: false, stalled: false, sign: now, latest: None, flows: 0, past: 0 };
        self.members.insert(peer, member);
        self.merger.wait_for(peer, true);
    }

    /// It has accepted the call.
    pub fn opened(&mut self, now: Duration, peer: PeerId) {
        if let Some(member) = self.members.get_mut(&peer) {
            (member.opened, member.stalled, member.sign) = (true, false, now);
            self.merger.wait_for(peer, true);
        }
    }

    /// It does not answer, or does again.
    pub fn stalled(&mut self, peer: PeerId, stalled: bool) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.stalled = stalled;
            self.merger.wait_for(peer, !stalled);
        }
    }

    /// It has nothing more to say.
    pub fn leave(&mut self, peer: PeerId) {
        if self.members.remove(&peer).is_some() {
            self.merger.wait_for(peer, false);
        }
    }

    /// Something came of it.
    pub fn items(&mut self, now: Duration, peer: PeerId, items: Vec<Item<T>>) {
        let Some(member) = self.members.get_mut(&peer) else {
            return;
        };
        member.sign = now;
        let today = self.wall.saturating_add(nanos(now));
        // A clock that runs ahead must not make all others look late.
        let latest = today.saturating_add(nanos(self.limits.merger.hold) / 2);
        let mut straight = Vec::with_capacity(items.len());
        for item in items {
            let time = item.time.or(member.latest).unwrap_or(today).min(latest);
            member.latest = member.latest.max(Some(time));
            member.flows += u64::from(item.flow);
            match &mut self.stage {
                Stage::Choosing(newest) if item.flow => {
                    let gone = newest.push(now, peer, time, item);
                    let number = self.plan.last.unwrap_or(0);
                    if let Some(gone) = gone.filter(|_| number > self.limits.most_last as u64) {
                        *self.crowded_out.entry(gone).or_default() += 1;
                    }
                }
                _ if item.flow && member.past > 0 => {
                    member.past -= 1;
                    if self.cut.is_none_or(|cut| time >= cut) {
                        straight.push((time, item));
                    }
                }
                _ => straight.push((time, item)),
            }
        }
        self.merger.push(now, peer, straight);
    }

    /// Flows that were asked for and did not fit, by server.
    pub fn take_crowded_out(&mut self) -> HashMap<PeerId, u64> {
        std::mem::take(&mut self.crowded_out)
    }

    /// How many were told after a later one since this was last asked.
    pub fn take_late(&mut self) -> u64 {
        self.merger.take_late()
    }

    /// Items of this server that wait for their turn.
    pub fn held(&self, peer: PeerId) -> usize {
        self.merger.held(peer)
    }

    /// Moves out what is due.
    pub fn step(&mut self, now: Duration, mut out: impl FnMut(PeerId, T)) -> Step {
        let mut step = Step { given_up: self.impatient(now), ..Step::default() };
        for peer in &step.given_up {
            self.leave(*peer);
        }
        if let Stage::Choosing(_) = self.stage {
            match self.choosing_ends(now) {
                Some(wake) => {
                    step.wake = Some(wake);
                    return step;
                }
                None => self.choose(now),
            }
        }
        let silent = self.wait_for_who_tells(now);
        let over = !self.plan.follow && self.members.is_empty();
        let left = &mut self.left;
        let mut tell = |peer, item: Item<T>| {
            if let (true, Some(n)) = (item.flow, left.as_mut()) {
                if *n == 0 {
                    return;
                }
                *n -= 1;
            } else if *left == Some(0) {
                return;
            }
            out(peer, item.body);
        };
        if over {
            self.merger.flush(&mut tell);
        } else {
            self.merger.due(now, &mut tell);
        }
        step.done = over || self.left == Some(0);
        step.wake = self.merger.deadline().into_iter().chain(self.next_impatience()).chain(silent).min();
        step
    }

    /// Those who are not followed and have been silent for too long.
    fn impatient(&self, now: Duration) -> Vec<PeerId> {
        if self.plan.follow {
            return Vec::new();
        }
        let limits = &self.limits;
        let mut silent: Vec<_> = self
            .members
            .iter()
            .filter(|(_, m)| m.stalled || m.sign + limits.patience <= now)
            .map(|(peer, _)| *peer)
            .collect();
        if let Stage::Choosing(newest) = &self.stage
            && let Some(first) = newest.first_arrival()
            && first + limits.merger.hold <= now
        {
            // What came waits for these alone.
            let late = |m: &Member| {
                !m.stalled && m.sign + limits.merger.hold <= now && m.sign + limits.patience > now
            };
            silent.extend(self.members.iter().filter(|(_, m)| late(m)).map(|(peer, _)| *peer));
        }
        silent.sort_unstable();
        silent
    }

    /// A history waits for those who go on telling theirs, and for one that pauses no longer than for a line. When to look again.
    fn wait_for_who_tells(&mut self, now: Duration) -> Option<Duration> {
        if self.plan.follow || self.merger.is_empty() {
            return None;
        }
        let MergerLimits { hold, full, .. } = self.limits.merger;
        let mut next = None;
        for (peer, m) in &self.members {
            let pauses_at = m.sign + hold;
            // One whose room is taken waits for the others.
            let pauses = pauses_at <= now && self.merger.held(*peer) < full;
            self.merger.wait_for(*peer, !pauses && !m.stalled);
            if pauses_at > now {
                next = next.into_iter().chain([pauses_at]).min();
            }
        }
        next
    }

    fn next_impatience(&self) -> Option<Duration> {
        if self.plan.follow {
            return None;
        }
        self.members.values().map(|m| m.sign + self.limits.patience).min()
    }

    /// `None`: the choice can be made. Else when to look again.
    fn choosing_ends(&self, now: Duration) -> Option<Duration> {
        let Stage::Choosing(newest) = &self.stage else {
            return None;
        };
        let hold = self.limits.merger.hold;
        if !self.plan.follow {
            let first = newest.first_arrival();
            let look = |m: &Member| match first {
                Some(first) => (m.sign + hold).max(first + hold),
                None => m.sign + self.limits.patience,
            };
            // Those whose time is over have been given up before.
            return self.members.values().map(look).min().map(|at| at.max(now));
        }
        let end = self.started + hold;
        let until = |m: &Member| if m.opened { m.sign + self.limits.quiet } else { end };
        let wake = self.members.values().filter(|m| !self.has_told(m, now)).map(until).min()?.min(end);
        (end > now).then_some(wake.max(now))
    }

    /// Whether a server that is followed has told its past.
    fn has_told(&self, m: &Member, now: Duration) -> bool {
        let number = self.plan.last.unwrap_or(0);
        m.stalled || (m.opened && (m.flows >= number || m.sign + self.limits.quiet <= now))
    }

    /// Takes the newest of what has come.
    fn choose(&mut self, now: Duration) {
        let Stage::Choosing(newest) = std::mem::replace(&mut self.stage, Stage::Merging) else {
            return;
        };
        let number = self.plan.last.unwrap_or(0);
        let late: Vec<_> =
            self.members.iter().filter(|(_, m)| !self.has_told(m, now)).map(|(peer, _)| *peer).collect();
        self.cut = newest.cut();
        if late.is_empty() {
            // All have told of the time before the call.
            let before = self.wall.saturating_add(nanos(self.started));
            self.merger.complete_to(before.saturating_sub(nanos(self.limits.merger.hold)));
        }
        for peer in late {
            if let Some(member) = self.members.get_mut(&peer) {
                member.past = number.saturating_sub(member.flows);
            }
        }
        let arrived = newest.first_arrival().unwrap_or(now);
        for (peer, time, item) in newest.into_sorted() {
            self.merger.push(arrived, peer, [(time, item)]);
        }
    }
}
