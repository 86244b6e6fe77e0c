//! Which values a block may hold: what it says no to is not there.

use std::hash::{BuildHasher as _, Hash};

use rustc_hash::FxBuildHasher;

/// A Bloom filter with two bits a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bloom(Vec<u64>);

impl Bloom {
    /// An empty one of so many words, rounded up to a power of two.
    pub(super) fn new(words: usize) -> Self {
        Self(vec![0; words.next_power_of_two()])
    }

    /// One that was written.
    pub(super) fn of_words(words: Vec<u64>) -> Option<Self> {
        words.len().is_power_of_two().then_some(Self(words))
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn add(&mut self, value: impl Hash) {
        for (word, bit) in self.places(value) {
            self.0[word] |= bit;
        }
    }

    pub(super) fn may_have(&self, value: impl Hash) -> bool {
        self.places(value).into_iter().all(|(word, bit)| self.0[word] & bit != 0)
    }

    fn places(&self, value: impl Hash) -> [(usize, u64); 2] {
        // The bits of the multiplication that depend on all of the value are the upper ones.
        let hash = FxBuildHasher.hash_one(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = |bits: u64| {
            let word = usize::try_from(bits >> 6).unwrap_or_default() & (self.0.len() - 1);
            (word, 1 << (bits & 63))
        };
        [place(hash >> 44), place(hash >> 24 & 0xf_ffff)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_most_else_is_not() {
        let mut bloom = Bloom::new(256);
        for port in 0..500u16 {
            bloom.add(port);
        }
        assert!((0..500u16).all(|port| bloom.may_have(port)));
        let wrong = (500..10_500u16).filter(|port| bloom.may_have(port)).count();
        assert!(wrong < 300, "{wrong} of 10,000 are said to be there");
        bloom.clear();
        assert!(!bloom.may_have(7u16));
    }
}
