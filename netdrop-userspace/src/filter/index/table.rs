//! Which filters are content with which value of one part of a flow.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use rustc_hash::FxBuildHasher;

use super::super::compile::Ask;
use super::key::{Held, Part};
use crate::flow::Flow;

/// About what an entry takes beside its bits: hash, value, pointers, free places of the map.
const ENTRY: usize = 128;

/// One part, and what is asked of it.
#[derive(Debug)]
pub(super) struct Table {
    part: Part,
    asks: Vec<(usize, Ask)>,
    all: Box<[u64]>,
    /// By the hash of the value. Of two with the same hash the later one stays.
    known: HashMap<u64, (Held, Box<[u64]>), FxBuildHasher>,
    most: usize,
}

impl Table {
    /// Of these asks, each of a row; `all` are the bits of all rows.
    pub(super) fn new(part: Part, asks: Vec<(usize, Ask)>, all: &[u64], bytes: usize) -> Self {
        let most = (bytes / (ENTRY + size_of_val(all))).max(16);
        Self { part, asks, all: all.into(), known: HashMap::default(), most }
    }

    pub(super) fn memory(&self) -> usize {
        self.known.capacity() * (ENTRY + size_of_val(&*self.all))
    }

    /// Rows that are content with what a flow has here, or do not ask.
    pub(super) fn fits(&mut self, flow: &Flow) -> &[u64] {
        let value = self.part.value(flow);
        let hash = FxBuildHasher.hash_one(value);
        let known = self.known.get(&hash).is_some_and(|(held, _)| value.is(held));
        if !known {
            if self.known.len() >= self.most {
                self.known.clear();
            }
            let mut bits = self.all.clone();
            for (row, _) in self.asks.iter().filter(|(_, ask)| !ask.fits(flow)) {
                bits[row / 64] &= !(1 << (row % 64));
            }
            self.known.insert(hash, (value.held(), bits));
        }
        self.known.get(&hash).map_or(&self.all, |(_, bits)| bits)
    }
}
