//! Answers that a query was given before.
//!
//! What an expression asks can cost more than all else there is to reading a record, and records have few addresses, ports and names
//! between them. So it is asked once for each, as far as they are few.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use rustc_hash::FxBuildHasher;

use crate::filter::Answer;

/// Answers kept for one question: more are asked again.
const MOST: usize = 1 << 16;

/// What a question is about: the likeness, and the names of both ends, as numbers of one block.
pub(super) type Pair = [usize; 3];

/// An address, what there is of a transport header, or both; as few words as can be, as it is looked up for each record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    V4(u32),
    Address(Option<IpAddr>),
    /// [`Glance::l4_key`](super::Glance::l4_key) or [`Glance::port_key`](super::Glance::port_key).
    L4(u64),
    HeadersV4(u64, u64),
    Headers(Box<([Option<IpAddr>; 2], u64)>),
}

impl Key {
    #[inline]
    pub(super) fn of_address(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V4(v4)) => Self::V4(v4.to_bits()),
            other => Self::Address(other),
        }
    }

    #[inline]
    pub(super) fn of_headers(addresses: [Option<IpAddr>; 2], l4: u64) -> Self {
        match addresses {
            [Some(IpAddr::V4(source)), Some(IpAddr::V4(destination))] => {
                Self::HeadersV4(u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits()), l4)
            }
            other => Self::Headers(Box::new((other, l4))),
        }
    }
}

/// Answers by question and what it was about.
#[derive(Clone, Debug)]
pub(super) struct Remembered<K> {
    questions: Vec<HashMap<K, Answer, FxBuildHasher>>,
}

/// Of what is the same in all blocks.
pub(super) type Recent = Remembered<Key>;

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self { questions: Vec::new() }
    }
}

impl<K: Hash + Eq> Remembered<K> {
    #[inline]
    pub(super) fn get(&self, question: usize, about: &K) -> Option<Answer> {
        self.questions.get(question)?.get(about).copied()
    }

    pub(super) fn keep(&mut self, question: usize, about: K, answer: Answer) {
        if self.questions.len() <= question {
            self.questions.resize_with(question + 1, HashMap::default);
        }
        if let Some(answers) = self.questions.get_mut(question)
            && answers.len() < MOST
        {
            answers.insert(about, answer);
        }
    }
}

/// What one reader was told by one plan.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Memory {
    plan: u64,
    recent: Recent,
}

impl Memory {
    /// Of this plan: what another said is forgotten.
    pub(super) fn of(&mut self, plan: u64) -> &mut Recent {
        if self.plan != plan {
            *self = Self { plan, recent: Recent::default() };
        }
        &mut self.recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_of_one_question_and_one_plan_and_bounded() {
        let mut memory = Memory::default();
        let v4 = Key::of_address(Some([1, 2, 3, 4].into()));
        let v6 = Key::of_address(Some(IpAddr::V6(std::net::Ipv6Addr::from_bits(0x0102_0304))));
        let none = Key::of_address(None);
        memory.of(7).keep(1, v4.clone(), Answer::Yes);
        assert_eq!(memory.of(7).get(1, &v4), Some(Answer::Yes));
        let others = [(0, v4.clone()), (2, v4.clone()), (1, v6), (1, none), (1, Key::L4(0x0102_0304))];
        assert!(others.iter().all(|(question, key)| memory.of(7).get(*question, key).is_none()));
        assert_eq!(memory.of(8).get(1, &v4), None, "another plan");
        assert_eq!(memory.of(7).get(1, &v4), None, "forgotten");
        for port in 0..2 * MOST as u64 {
            memory.of(7).keep(0, Key::L4(port), Answer::No);
        }
        let kept = (0..2 * MOST as u64).filter(|port| memory.of(7).get(0, &Key::L4(*port)).is_some());
        assert_eq!(kept.count(), MOST);
    }
}
