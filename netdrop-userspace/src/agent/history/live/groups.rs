//! Who follows, by what they ask for.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use tokio::sync::mpsc::{Sender, channel};

use super::super::super::encoded::Encoded;
use super::super::super::mask::Mask;
use super::super::codec::time_of;
use super::super::reader::{Chunk, Position};
use super::super::ring::Missed;
use super::super::ring_of;
use super::feed::{Fed, Feed, Item, Wanted, bytes};
use super::{Live, Place};
use crate::convert::to_wire;
use crate::filter::Index;
use crate::flow::{Flow, Observation, TallyKind};
use crate::proto::observer::GetFlowsResponse;

/// Bytes of all queues together; each may have its share.
const QUEUES: usize = 32 << 20;
/// A share of many, and of few.
const SHARE: [usize; 2] = [64 << 10, 1 << 20];
/// Lists in one queue, however short they are.
const MOST_QUEUED: usize = 2048;
/// Places that are kept free: for what was missed, a list, and where to go on.
const FREE: usize = 3;

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    list: Vec<Group>,
    /// Filters of all groups, once it was asked after the last change.
    index: Option<Index>,
    /// Different masks.
    masks: Vec<Mask>,
    /// What is dealt out next.
    next: Place,
    members: usize,
    last_id: u64,
    found: Vec<usize>,
}

/// Those who ask for the same. One that nobody is in any more stays until the next change.
#[derive(Debug)]
struct Group {
    wanted: Wanted,
    mask: usize,
    members: Vec<Member>,
    /// What they get of the batch at hand.
    out: Vec<Item>,
}

#[derive(Debug)]
struct Member {
    id: u64,
    /// Where it joined.
    from: Place,
    to: Sender<Fed>,
    queued: Arc<AtomicUsize>,
}

/// One observation on its way to the groups: each mask's response is made when it is first asked for.
struct Dealt<'a> {
    observation: &'a Observation,
    wire: OnceCell<GetFlowsResponse>,
    by_mask: Vec<OnceCell<Item>>,
}

impl<'a> Dealt<'a> {
    fn new(observation: &'a Observation, masks: usize) -> Self {
        Self { observation, wire: OnceCell::new(), by_mask: vec![OnceCell::new(); masks] }
    }

    fn item(&self, mask: usize, masks: &[Mask]) -> Item {
        let made = || Item {
            time: time_of(self.observation),
            is_flow: matches!(self.observation, Observation::Flow(_)),
            response: Encoded::of(self.wire.get_or_init(|| to_wire(self.observation)), &masks[mask]),
        };
        self.by_mask[mask].get_or_init(made).clone()
    }
}

impl Group {
    fn asks_for(&self, flow: &Flow) -> bool {
        !self.members.is_empty() && (!flow.benign || self.wanted.selection.with_benign_ones())
    }
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.members == 0
    }

    pub(super) fn next(&self) -> Place {
        self.next
    }

    /// One more, from a place on.
    pub(super) fn join(&mut self, wanted: Wanted, from: Place, live: &Arc<Live>) -> Feed {
        if self.is_empty() {
            self.next = from;
        }
        self.last_id += 1;
        let (to, queue) = channel(MOST_QUEUED);
        let queued = Arc::new(AtomicUsize::new(0));
        let member = Member { id: self.last_id, from, to, queued: Arc::clone(&queued) };
        self.members += 1;
        match self.list.iter_mut().find(|group| group.wanted.is_as(&wanted)) {
            Some(group) => group.members.push(member),
            None => self.add(wanted, member),
        }
        Feed { live: Arc::clone(live), id: self.last_id, from: queue, queued }
    }

    fn add(&mut self, wanted: Wanted, first: Member) {
        self.index = None;
        self.list.retain(|group| !group.members.is_empty());
        self.masks.clear();
        self.list.push(Group { wanted, mask: 0, members: vec![first], out: Vec::new() });
        for group in &mut self.list {
            let known = self.masks.iter().position(|mask| *mask == group.wanted.mask);
            group.mask = known.unwrap_or_else(|| {
                self.masks.push(group.wanted.mask.clone());
                self.masks.len() - 1
            });
        }
    }

    /// Takes one off, if it is there; where it has to go on.
    pub(super) fn leave(&mut self, id: u64) -> Option<Position> {
        let next = self.next;
        let position = self.list.iter_mut().find_map(|group| {
            let at = group.members.iter().position(|member| member.id == id)?;
            Some(group.members.swap_remove(at).goes_on(next))
        })?;
        self.members -= 1;
        self.forget_if_empty();
        Some(position)
    }

    fn forget_if_empty(&mut self) {
        if self.is_empty() {
            (self.index, self.list) = (None, Vec::new());
        }
    }

    /// Takes off those who joined after what is dealt out next.
    pub(super) fn take_off_later(&mut self) {
        let next = self.next;
        self.keep(|member| {
            let later = member.from.seq > next.seq;
            if later {
                member.take_off(member.from.position, None);
            }
            !later
        });
    }

    fn keep(&mut self, mut keep: impl FnMut(&Member) -> bool) {
        for group in &mut self.list {
            group.members.retain(&mut keep);
        }
        self.members = self.list.iter().map(|group| group.members.len()).sum();
        self.forget_if_empty();
    }

    /// All before is dealt out.
    pub(super) fn go_on_from(&mut self, place: Place) {
        self.next = place;
    }

    /// Deals out what was pushed.
    pub(super) fn deal(&mut self, items: &[Arc<Observation>]) {
        self.sort(items.iter().map(|item| &**item));
        self.send(items.first().map(|item| time_of(item)), |_| None);
        for item in items {
            self.next.seq += 1;
            self.next.position.0[ring_of(item)] += 1;
        }
    }

    /// Deals out what was read in the rings, which ended at a position. The number of what comes next is known once all is read.
    pub(super) fn deal_chunk(&mut self, chunk: &Chunk, position: Position) {
        self.sort(chunk.items.iter());
        let first = match chunk.missed() {
            Some(missed) => missed.first,
            None => chunk.items.first().map(time_of),
        };
        self.send(first, |wanted| chunk.missed_by(&wanted.selection));
        self.next.position = position;
    }

    /// Finds out who gets what.
    fn sort<'a>(&mut self, items: impl Iterator<Item = &'a Observation>) {
        let Self { list, index, masks, found, .. } = self;
        let index = index.get_or_insert_with(|| Index::new(list.iter().map(|g| g.wanted.selection.filter())));
        for observation in items {
            let dealt = Dealt::new(observation, masks.len());
            match observation {
                Observation::Flow(flow) if flow.tally.kind == TallyKind::Rest => {
                    deal_rest(flow, &dealt, list, masks);
                }
                Observation::Flow(flow) => {
                    index.matching(flow, found);
                    for group in &*found {
                        let group = &mut list[*group];
                        if group.asks_for(flow) {
                            group.out.push(dealt.item(group.mask, masks));
                        }
                    }
                }
                _ => list.iter_mut().for_each(|group| group.out.push(dealt.item(group.mask, masks))),
            }
        }
    }

    /// Hands out what is sorted, after what was missed. `first`: when the first of it was.
    fn send(&mut self, first: Option<Timestamp>, missed: impl Fn(&Wanted) -> Option<Missed>) {
        let (next, room) = (self.next, (QUEUES / self.members.max(1)).clamp(SHARE[0], SHARE[1]));
        let mut gone = false;
        for group in &mut self.list {
            let (more, missed) = (bytes(&group.out), missed(&group.wanted));
            if group.out.is_empty() && missed.is_none() {
                continue;
            }
            let items: Arc<[Item]> = group.out.drain(..).collect();
            group.members.retain(|member| {
                let fed =
                    member.feed((next, first), room, missed, (!items.is_empty()).then_some((&items, more)));
                gone |= !fed;
                fed
            });
        }
        if gone {
            self.keep(|_| true);
        }
    }
}

impl Member {
    /// Where it goes on by itself, if all before `next` was dealt out.
    fn goes_on(&self, next: Place) -> Position {
        if self.from.seq > next.seq { self.from.position } else { next.position }
    }

    fn take_off(&self, position: Position, after: Option<Timestamp>) {
        self.put(Fed::Behind { position, after });
    }

    fn put(&self, fed: Fed) {
        // There is room ([`FREE`]). One that is gone leaves by itself.
        let _ = self.to.try_send(fed);
    }

    /// Whether it stays.
    fn feed(
        &self,
        (next, first): (Place, Option<Timestamp>),
        room: usize,
        missed: Option<Missed>,
        items: Option<(&Arc<[Item]>, usize)>,
    ) -> bool {
        if self.from.seq > next.seq {
            return true;
        }
        let more = items.map_or(0, |(_, bytes)| bytes);
        let queued = self.queued.load(Ordering::Relaxed);
        // What is larger than a queue goes into an empty one.
        if self.to.capacity() < FREE || (queued > 0 && queued + more > room) {
            self.take_off(next.position, first);
            return false;
        }
        if let Some(missed) = missed {
            self.put(Fed::Missed(missed));
        }
        if let Some((items, bytes)) = items {
            self.queued.fetch_add(bytes, Ordering::Relaxed);
            self.put(Fed::Items(Arc::clone(items)));
        }
        true
    }
}

/// Packets of which not everything is known: each filter is asked by itself, and may not be able to tell.
fn deal_rest(flow: &Flow, dealt: &Dealt<'_>, groups: &mut [Group], masks: &[Mask]) {
    let lost = OnceCell::new();
    for group in groups.iter_mut().filter(|group| group.asks_for(flow)) {
        let filter = group.wanted.selection.filter();
        if filter.matches(flow) {
            group.out.push(dealt.item(group.mask, masks));
        } else if let Some(undecided) = filter.undecided(flow) {
            // The same for all: it says nothing of the filter.
            let lost: &Observation = lost.get_or_init(|| Observation::Lost(undecided));
            group.out.push(Dealt::new(lost, masks.len()).item(group.mask, masks));
        }
    }
}
