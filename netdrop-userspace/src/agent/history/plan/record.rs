//! One record, and the answers that it gives.

use std::mem;
use std::sync::Arc;

use uuid::Uuid;

use super::memory::{Key, Recent};
use super::{Asked, Named, Told, index};
use crate::agent::history::codec::{Dictionary, Glance, Name};
use crate::convert::{l4_to_wire, nanos_to_wire};
use crate::filter::{Answer, Other, Part, Rule, Side};
use crate::flow::write_address;

/// A record of which little was read.
pub(super) struct Seen<'a, 'b> {
    glance: Glance<'a>,
    time: i128,
    likeness: usize,
    told: &'a Told,
    names: &'a mut Dictionary<'b>,
    known: &'a mut Named,
    memory: &'a mut Recent,
    /// Whether the scratch flow has them already.
    has_address: [bool; 2],
    has_l4: bool,
}

impl Asked {
    /// The answer for a record.
    pub(super) fn answer(&self, number: usize, seen: &mut Seen<'_, '_>) -> Answer {
        let Some(leaf) = self.leaves.get(number) else { return Answer::Unknown };
        let known = seen.told.get(number);
        if known != Answer::Unknown {
            return known;
        }
        match (leaf.part, &leaf.rule) {
            (Part::Likeness, _) => Answer::Unknown,
            (Part::End(side), _) => {
                let Some([source, destination, _]) = seen.glance.names() else { return Answer::Unknown };
                let id = side.of(source, destination).unwrap_or(seen.names.written.len());
                self.end(id, side, seen.names, seen.known).get(number)
            }
            (Part::Process, _) => {
                let Some([.., process]) = seen.glance.names() else { return Answer::Unknown };
                let id = process.unwrap_or(seen.names.written.len());
                self.process(id, seen.names, seen.known).get(number)
            }
            (_, Rule::Prefixes(side, all)) => {
                let address = seen.glance.address(side.of(false, true));
                address.is_some_and(|address| all.iter().any(|one| one.contains(address))).into()
            }
            (_, Rule::Ports(side, all)) => {
                let ports = seen.glance.l4().and_then(|l4| l4.ports());
                ports.is_some_and(|(from, to)| all.contains(&side.of(from, to))).into()
            }
            (_, Rule::Uuids(all)) => all.contains(&seen.glance.uuid().map(Uuid::from_bytes)).into(),
            (Part::Address(side), Rule::Other(rule)) => seen.of_address(number, side, rule),
            (Part::Port(side), Rule::Other(rule)) => seen.of_l4(number, seen.glance.port_key(side), rule),
            (Part::L4, Rule::Other(rule)) => seen.of_l4(number, seen.glance.l4_key(), rule),
            (Part::Time, Rule::Other(rule)) => {
                seen.known.scratch.time = Some(nanos_to_wire(seen.time));
                rule.answer_wire(&seen.known.scratch)
            }
            (Part::Headers, Rule::Other(rule)) => seen.of_headers(number, rule),
            (Part::Names, Rule::Other(rule)) => seen.of_names(number, rule).unwrap_or(Answer::Unknown),
            _ => Answer::Unknown,
        }
    }
}

impl<'a, 'b> Seen<'a, 'b> {
    /// Of a time, ns since 1970, and a likeness, of which something is told.
    pub(super) fn new(
        (glance, time): (Glance<'a>, i128),
        likeness: usize,
        told: &'a Told,
        names: &'a mut Dictionary<'b>,
        known: &'a mut Named,
        memory: &'a mut Recent,
    ) -> Self {
        Self { glance, time, likeness, told, names, known, memory, has_address: [false; 2], has_l4: false }
    }

    /// What was said of the same before; else what is said of it now.
    fn once(&mut self, number: usize, key: Key, ask: impl FnOnce(&mut Self) -> Answer) -> Answer {
        if let Some(answer) = self.memory.get(number, &key) {
            return answer;
        }
        let answer = ask(self);
        self.memory.keep(number, key, answer);
        answer
    }

    fn of_address(&mut self, number: usize, side: Side, rule: &Other) -> Answer {
        let key = Key::of_address(self.glance.address(side.of(false, true)));
        self.once(number, key, |seen| {
            seen.fill_address(side);
            rule.answer_wire(&seen.known.scratch)
        })
    }

    /// Of a transport header, or a part of it that has this key.
    fn of_l4(&mut self, number: usize, key: u64, rule: &Other) -> Answer {
        self.once(number, Key::L4(key), |seen| {
            seen.fill_l4();
            rule.answer_wire(&seen.known.scratch)
        })
    }

    fn of_headers(&mut self, number: usize, rule: &Other) -> Answer {
        let addresses = [false, true].map(|of_destination| self.glance.address(of_destination));
        self.once(number, Key::of_headers(addresses, self.glance.l4_key()), |seen| {
            seen.fill_address(Side::Source);
            seen.fill_address(Side::Destination);
            seen.fill_l4();
            rule.answer_wire(&seen.known.scratch)
        })
    }

    fn of_names(&mut self, number: usize, rule: &Other) -> Option<Answer> {
        let [source, destination, _] = self.glance.names()?;
        let none = self.names.written.len();
        let pair = [self.likeness, source.unwrap_or(none), destination.unwrap_or(none)];
        if let Some(answer) = self.known.pairs.get(number, &pair) {
            return Some(answer);
        }
        let likeness = Arc::clone(self.names.likeness(self.likeness)?);
        let mut flow = likeness.flow(self.names)?;
        for (id, end) in [(source, &mut flow.source), (destination, &mut flow.destination)] {
            if let Some(id) = id {
                let Some(Name::Endpoint(info)) = self.names.get(id) else { return None };
                end.info = Some(Arc::clone(info));
            }
        }
        let answer = rule.answer(&flow);
        self.known.pairs.keep(number, pair, answer);
        Some(answer)
    }

    fn fill_address(&mut self, side: Side) {
        if mem::replace(&mut self.has_address[index(side)], true) {
            return;
        }
        let Some(address) = self.glance.address(side.of(false, true)) else {
            self.known.scratch.ip = None;
            return;
        };
        let ip = self.known.scratch.ip.get_or_insert_default();
        let text = side.of(&mut ip.source, &mut ip.destination);
        text.clear();
        write_address(address, text);
    }

    fn fill_l4(&mut self) {
        if !mem::replace(&mut self.has_l4, true) {
            self.known.scratch.l4 = self.glance.l4().map(l4_to_wire);
        }
    }
}
