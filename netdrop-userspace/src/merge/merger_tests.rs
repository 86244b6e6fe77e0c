use std::time::Duration;

use proptest::prelude::*;

use super::*;

const HOLD: Duration = Duration::from_millis(900);
const MS: i64 = 1_000_000;

fn limits() -> MergerLimits {
    MergerLimits { hold: HOLD, slack: Duration::from_millis(50), most: 10_000, full: 10_000 }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn due<T>(merger: &mut Merger<T>, now: u64) -> Vec<T> {
    let mut out = Vec::new();
    merger.due(ms(now), |_, item| out.push(item));
    out
}

fn merger(peers: &[PeerId]) -> Merger<&'static str> {
    let mut merger = Merger::new(limits());
    for peer in peers {
        merger.wait_for(*peer, true);
    }
    merger
}

#[test]
fn an_item_waits_until_all_have_told_of_later() {
    let mut merger = merger(&[1, 2]);
    merger.push(ms(0), 1, [(5 * MS, "a")]);
    assert_eq!(due(&mut merger, 0), [""; 0]);
    merger.push(ms(1), 2, [(3 * MS, "b"), (100 * MS, "c")]);
    assert_eq!(due(&mut merger, 1), [""; 0], "the first may still tell of an earlier one, by its slack");
    merger.push(ms(2), 1, [(80 * MS, "d")]);
    assert_eq!(due(&mut merger, 2), ["b", "a"]);
}

#[test]
fn nobody_is_held_for_longer_than_agreed() {
    let mut merger = merger(&[1, 2]);
    merger.push(ms(10), 1, [(5 * MS, "a")]);
    merger.push(ms(20), 1, [(6 * MS, "b")]);
    assert_eq!(merger.deadline(), Some(ms(910)));
    assert_eq!(due(&mut merger, 909), [""; 0]);
    assert_eq!(due(&mut merger, 910), ["a"], "the other has said nothing at all");
    assert_eq!(due(&mut merger, 920), ["b"]);
    assert_eq!(merger.deadline(), None);
}

#[test]
fn who_has_gone_or_stalled_is_not_waited_for() {
    let mut merger = merger(&[1, 2, 3]);
    merger.push(ms(0), 1, [(5 * MS, "a"), (90 * MS, "z")]);
    merger.wait_for(2, false);
    assert_eq!(due(&mut merger, 0), [""; 0], "the third is still waited for");
    merger.wait_for(3, false);
    assert_eq!(due(&mut merger, 0), ["a"]);
    merger.wait_for(1, false);
    assert_eq!(due(&mut merger, 0), ["z"], "nobody is left to wait for");
}

#[test]
fn what_comes_too_late_goes_out_at_once() {
    let mut merger = merger(&[1, 2]);
    merger.push(ms(0), 1, [(50 * MS, "a")]);
    assert_eq!(due(&mut merger, 900), ["a"]);
    merger.push(ms(901), 2, [(20 * MS, "late")]);
    assert_eq!(due(&mut merger, 901), ["late"]);
}

#[test]
fn more_than_there_is_room_for_goes_out_early_and_in_order() {
    let mut merger = Merger::new(MergerLimits { most: 3, ..limits() });
    merger.wait_for(1, true);
    merger.wait_for(2, true);
    merger.push(ms(0), 1, (0..10).rev().map(|n| (n * MS, n)));
    assert_eq!(due(&mut merger, 0), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!((merger.len(), merger.held(1)), (3, 3));
}

/// What one server tells: gaps between its items' times, and how much later each comes.
type Told = Vec<(u16, u16)>;

/// All that arrives, in order of arrival: when, from whom, of what time.
fn arrivals(servers: &[Told], most_delay: u64) -> Vec<(Duration, PeerId, i64)> {
    let mut all = Vec::new();
    for (peer, told) in (0..).zip(servers) {
        let (mut time, mut last) = (0_i64, 0);
        for (gap, delay) in told {
            time += i64::from(*gap);
            // A stream keeps its order.
            let at = (time.unsigned_abs() + u64::from(*delay) % most_delay).max(last);
            last = at;
            all.push((ms(at), peer, time * MS));
        }
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// Feeds them, and looks whenever something is due. Returns times told, with when.
fn run(
    merger: &mut Merger<(Duration, i64)>,
    all: &[(Duration, PeerId, i64)],
) -> Vec<(Duration, Duration, i64)> {
    let mut told = Vec::new();
    let mut look = |merger: &mut Merger<(Duration, i64)>, now: Duration| {
        merger.due(now, |_, (came, time)| told.push((now, came, time)));
    };
    for (at, peer, time) in all {
        while let Some(deadline) = merger.deadline().filter(|d| d < at) {
            look(merger, deadline);
        }
        merger.push(*at, *peer, [(*time, (*at, *time))]);
        look(merger, *at);
    }
    while let Some(deadline) = merger.deadline() {
        look(merger, deadline);
    }
    told
}

fn servers() -> impl Strategy<Value = Vec<Told>> {
    let server = proptest::collection::vec((0..300_u16, any::<u16>()), 0..60);
    proptest::collection::vec(server, 1..6)
}

proptest! {
    /// Whatever comes within the hold of when it happened goes out in order; all goes out, and none is held for longer.
    #[test]
    fn order_and_no_loss(servers in servers()) {
        let mut merger = Merger::new(limits());
        for peer in 0..5 {
            merger.wait_for(peer, true);
        }
        let all = arrivals(&servers, 900);
        let told = run(&mut merger, &all);
        prop_assert_eq!(told.len(), all.len());
        prop_assert!(told.iter().all(|(now, came, _)| *now <= *came + HOLD));
        let times: Vec<_> = told.iter().map(|(.., time)| *time).collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
    }

    /// However late things come, each is told once and in time.
    #[test]
    fn late_is_not_lost(servers in servers(), most in 1..50_usize) {
        let mut merger = Merger::new(MergerLimits { most, ..limits() });
        for peer in 0..5 {
            merger.wait_for(peer, true);
        }
        let all = arrivals(&servers, 5000);
        let told = run(&mut merger, &all);
        let mut expected: Vec<_> = all.iter().map(|(.., time)| *time).collect();
        let mut times: Vec<_> = told.iter().map(|(.., time)| *time).collect();
        expected.sort_unstable();
        times.sort_unstable();
        prop_assert_eq!(times, expected);
        prop_assert!(told.iter().all(|(now, came, _)| *now <= *came + HOLD));
        prop_assert!(merger.is_empty());
    }
}
