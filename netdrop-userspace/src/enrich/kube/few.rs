//! Facts of kinds of which there are few: kept by object, with what differs from before.

use std::collections::HashMap;

/// The facts of each object under its uid.
pub(super) struct Few<T> {
    known: HashMap<String, T>,
    /// A list under way: what is not in it at its end is gone.
    fresh: Option<HashMap<String, T>>,
    /// A list has come to its end; what differs from then on are changes.
    listed: bool,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), fresh: None, listed: false }
    }
}

/// An object's facts before and now; it is new, different or gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn<T> {
    pub(super) before: Option<T>,
    pub(super) now: Option<T>,
}

impl<T: Clone + PartialEq> Few<T> {
    pub(super) fn begin(&mut self) {
        self.fresh = Some(HashMap::new());
    }

    /// What is different now; what a list brings is that at its end.
    pub(super) fn set(&mut self, uid: String, facts: T) -> Option<Turn<T>> {
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(uid, facts);
            return None;
        }
        let before = self.known.insert(uid, facts.clone());
        (before.as_ref() != Some(&facts)).then_some(Turn { before, now: Some(facts) })
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<Turn<T>> {
        let before = self.known.remove(uid)?;
        Some(Turn { before: Some(before), now: None })
    }

    /// What is different after a list; nothing after the first, which tells what was there before anybody looked.
    pub(super) fn complete(&mut self) -> Vec<Turn<T>> {
        let Some(fresh) = self.fresh.take() else { return Vec::new() };
        let mut before = std::mem::replace(&mut self.known, fresh);
        if !std::mem::replace(&mut self.listed, true) {
            return Vec::new();
        }
        let mut turns = Vec::new();
        for (uid, now) in &self.known {
            let before = before.remove(uid);
            if before.as_ref() != Some(now) {
                turns.push(Turn { before, now: Some(now.clone()) });
            }
        }
        turns.extend(before.into_values().map(|gone| Turn { before: Some(gone), now: None }));
        turns
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.known.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(before: Option<u8>, now: Option<u8>) -> Turn<u8> {
        Turn { before, now }
    }

    #[test]
    fn the_first_list_is_no_change_and_a_later_one_is_compared() {
        let mut few = Few::default();
        few.begin();
        for (uid, facts) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(few.set(uid.into(), facts), None);
        }
        assert_eq!(few.complete(), []);
        assert_eq!(few.set("a".into(), 1), None, "as before");
        assert_eq!(few.set("a".into(), 4), Some(turn(Some(1), Some(4))));
        assert_eq!(few.set("d".into(), 5), Some(turn(None, Some(5))));
        assert_eq!(few.remove("d"), Some(turn(Some(5), None)));
        assert_eq!(few.remove("d"), None);
        // The connection broke and is back: b is as before, c is gone, e is new, a has changed.
        few.begin();
        for (uid, facts) in [("a", 6), ("b", 2), ("e", 7)] {
            assert_eq!(few.set(uid.into(), facts), None);
        }
        let mut turns = few.complete();
        turns.sort_by_key(|t| t.before);
        assert_eq!(turns, [turn(None, Some(7)), turn(Some(3), None), turn(Some(4), Some(6))]);
        let mut all: Vec<u8> = few.all().copied().collect();
        all.sort_unstable();
        assert_eq!(all, [2, 6, 7]);
    }
}
