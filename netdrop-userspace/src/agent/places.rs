//! The places of a door, and who has to go where all are taken.
//!
//! Whoever comes has a place as long as there is one. In a full house one from where few come is let in all the same, and one of those
//! where most come from is sent away for it: so each machine, and of this machine each user and each process, keeps a share, however
//! much another one takes. Among equals nobody has to go: who comes then is turned away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrivals::{Group, Origin};
use super::limits::LEAVING;

/// Who has a place.
pub(super) trait Guest {
    /// Who does nothing with it goes first.
    fn is_idle(&self) -> bool {
        false
    }

    /// It has to go. It leaves its place by itself, soon.
    fn send_away(self);
}

/// The places.
#[derive(Debug)]
pub(super) struct Places<G> {
    most: usize,
    there: Mutex<There<G>>,
}

#[derive(Debug)]
struct There<G> {
    /// Number of the next.
    next: u64,
    /// By number, which is the order they came in.
    all: BTreeMap<u64, (Origin, G)>,
    /// Those who were sent away and have not left yet.
    leaving: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Place<G> {
    /// `None`: it was left.
    number: Option<u64>,
    places: Arc<Places<G>>,
}

impl<G: Guest> Places<G> {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let there = There { next: 0, all: BTreeMap::new(), leaving: 0 };
        Arc::new(Self { most, there: Mutex::new(there) })
    }

    /// Most that there are.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A place, and where the one comes from that was sent away for it; `None`: all are taken, and rightly so.
    pub(super) fn admit(self: &Arc<Self>, origin: Origin, guest: G) -> Option<(Place<G>, Option<Origin>)> {
        let mut there = self.lock();
        let gone = if there.all.len() < self.most { None } else { Some(there.make_room(origin)?) };
        let number = there.next;
        there.next += 1;
        there.all.insert(number, (origin, guest));
        drop(there);
        Some((Place { number: Some(number), places: Arc::clone(self) }, gone))
    }
}

impl<G> Places<G> {
    /// A panic elsewhere leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, There<G>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: Guest> There<G> {
    /// Sends one away, if there is one who has to go for somebody from there.
    fn make_room(&mut self, origin: Origin) -> Option<Origin> {
        // Who is sent away still takes what it takes; so only a few may be about to go.
        if self.leaving >= LEAVING {
            return None;
        }
        let from = self.crowd(origin)?;
        let of_crowd = self.all.iter().rev().filter(|(_, (origin, _))| *origin == from);
        // The newest has least to lose.
        let (number, _) = of_crowd.max_by_key(|(number, (_, guest))| (guest.is_idle(), **number))?;
        let number = *number;
        let (_, guest) = self.all.remove(&number)?;
        self.leaving += 1;
        guest.send_away();
        Some(from)
    }

    /// Where too many come from, beside somebody from `origin`. One more from there must not make it the greater crowd, or two would
    /// send away each other's without end.
    fn crowd(&self, origin: Origin) -> Option<Origin> {
        let (mut groups, mut origins) = (BTreeMap::new(), BTreeMap::new());
        for (origin, _) in self.all.values() {
            *groups.entry(origin.group()).or_insert(0_usize) += 1;
            *origins.entry(*origin).or_insert(0_usize) += 1;
        }
        let (greatest, most) = groups.iter().max_by_key(|(_, n)| **n)?;
        let own = origin.group();
        let of_own = groups.get(&own).copied().unwrap_or(0);
        let group: Group = match of_own {
            n if n + 1 < *most => *greatest,
            n if n == *most => own,
            _ => return None,
        };
        let within = origins.iter().filter(|(origin, _)| origin.group() == group);
        let (from, most) = within.max_by_key(|(_, n)| **n)?;
        let of_own = origins.get(&origin).copied().unwrap_or(0);
        (group != own || of_own + 1 < *most).then_some(*from)
    }
}

impl<G> Place<G> {
    /// Leaves it; whether it was to be left.
    pub(super) fn leave(&mut self) -> bool {
        let Some(number) = self.number.take() else {
            return false;
        };
        let mut there = self.places.lock();
        let sent_away = there.all.remove(&number).is_none();
        there.leaving -= usize::from(sent_away);
        sent_away
    }
}

impl<G> Drop for Place<G> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    /// What a guest does, and hears.
    #[derive(Clone, Debug, Default)]
    struct Someone(Arc<(AtomicBool, AtomicBool)>);

    impl Guest for Someone {
        fn is_idle(&self) -> bool {
            self.0.0.load(Relaxed)
        }

        fn send_away(self) {
            self.0.1.store(true, Relaxed);
        }
    }

    const fn machine(n: u8) -> Origin {
        Origin::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    const fn process(uid: u32, pid: i32) -> Origin {
        Origin::Process { uid: Some(uid), pid: Some(pid) }
    }

    /// A house, and those who are in it or were.
    struct House {
        places: Arc<Places<Someone>>,
        guests: Vec<(Origin, Someone, Place<Someone>)>,
    }

    impl House {
        fn of(most: usize) -> Self {
            Self { places: Places::new(most), guests: Vec::new() }
        }

        /// Where the one was from that had to go; an error: who comes is turned away.
        fn comes(&mut self, origin: Origin) -> Result<Option<Origin>, ()> {
            let someone = Someone::default();
            let (place, gone) = self.places.admit(origin, someone.clone()).ok_or(())?;
            self.guests.push((origin, someone, place));
            Ok(gone)
        }

        /// Who was sent away leaves.
        fn leave(&mut self) {
            self.guests.retain_mut(|(_, someone, place)| {
                !someone.0.1.load(Relaxed) || {
                    assert!(place.leave(), "it was to be left");
                    false
                }
            });
        }

        fn number(&self, origin: Origin) -> usize {
            self.guests.iter().filter(|(o, someone, _)| *o == origin && !someone.0.1.load(Relaxed)).count()
        }
    }

    #[test]
    fn a_full_house_has_room_for_who_comes_from_elsewhere_up_to_an_equal_share() {
        let mut house = House::of(9);
        for _ in 0..9 {
            assert_eq!(house.comes(machine(1)), Ok(None));
        }
        assert_eq!(house.comes(machine(1)), Err(()), "nobody pushes out its own");
        for n in 0..4 {
            assert_eq!(house.comes(machine(2)), Ok(Some(machine(1))), "{n}");
            house.leave();
        }
        // Five and four: one more would only turn it round.
        assert_eq!(house.comes(machine(2)), Err(()));
        assert_eq!(house.comes(machine(1)), Err(()));
        assert_eq!(house.comes(machine(3)), Ok(Some(machine(1))));
        assert_eq!([1, 2, 3].map(|n| house.number(machine(n))), [4, 4, 1]);
        house.guests.clear();
        assert_eq!(house.places.lock().leaving, 0);
        assert_eq!(house.comes(machine(1)), Ok(None), "who has gone takes no place");
    }

    #[test]
    fn users_share_first_and_then_their_processes() {
        let mut house = House::of(6);
        for _ in 0..6 {
            assert_eq!(house.comes(process(1000, 1)), Ok(None));
        }
        // Another process of the same user.
        assert_eq!(house.comes(process(1000, 2)), Ok(Some(process(1000, 1))));
        assert_eq!(house.comes(process(1000, 2)), Ok(Some(process(1000, 1))));
        // However many processes a user has, another one has a share.
        for _ in 0..3 {
            assert!(house.comes(process(0, 9)).is_ok_and(|gone| gone.is_some()));
        }
        assert_eq!(house.number(process(0, 9)), 3);
        assert_eq!(house.comes(process(0, 9)), Err(()));
        // The share of root's one process is not more than that of root.
        assert_eq!(house.comes(process(0, 10)), Ok(Some(process(0, 9))));
    }

    #[test]
    fn the_idle_go_first_and_then_the_newest() {
        let mut house = House::of(4);
        for _ in 0..4 {
            house.comes(machine(1)).unwrap();
        }
        house.guests[1].1.0.0.store(true, Relaxed);
        let gone = |house: &House| -> Vec<usize> {
            (0..4).filter(|n| house.guests[*n].1.0.1.load(Relaxed)).collect()
        };
        house.comes(machine(2)).unwrap();
        assert_eq!(gone(&house), [1]);
        house.comes(machine(3)).unwrap();
        assert_eq!(gone(&house), [1, 3]);
    }

    #[test]
    fn few_are_about_to_go_at_once() {
        let most = LEAVING * 8;
        let mut house = House::of(most);
        for _ in 0..most {
            house.comes(machine(1)).unwrap();
        }
        let let_in = (0..most).filter(|_| house.comes(machine(2)).is_ok()).count();
        assert_eq!(let_in, LEAVING);
        house.leave();
        assert_eq!(house.comes(machine(2)), Ok(Some(machine(1))));
    }
}
