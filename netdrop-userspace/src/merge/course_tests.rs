use std::time::Duration;

use proptest::prelude::*;

use super::course::Step;
use super::*;
use crate::proto::observer::GetFlowsRequest;

const HOLD: Duration = Duration::from_millis(900);
const MS: i64 = 1_000_000;
/// The day on which these calls begin.
const WALL: i64 = 1_000_000 * MS;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn limits() -> CourseLimits {
    CourseLimits {
        merger: MergerLimits { hold: HOLD, slack: ms(50), most: 10_000, full: 1000 },
        quiet: ms(250),
        patience: ms(5000),
        most_last: 100,
    }
}

struct Call {
    course: Course<i64>,
    told: Vec<i64>,
}

impl Call {
    fn new(plan: Plan, peers: &[PeerId]) -> Self {
        let mut course = Course::new(plan, limits(), ms(0), WALL);
        for peer in peers {
            course.join(ms(0), *peer);
            course.opened(ms(0), *peer);
        }
        Self { course, told: Vec::new() }
    }

    /// Times are milliseconds after the call began.
    fn flows(&mut self, now: u64, peer: PeerId, times: &[i64]) {
        let item = |t: &i64| Item { time: Some(WALL + t * MS), flow: true, body: *t };
        self.course.items(ms(now), peer, times.iter().map(item).collect());
    }

    fn step(&mut self, now: u64) -> Step {
        let told = &mut self.told;
        self.course.step(ms(now), |_, t| told.push(t))
    }
}

fn last(n: u64, follow: bool) -> Plan {
    Plan { last: Some(n), limit: None, follow }
}

#[test]
fn plans_are_what_one_server_would_do() {
    let plan = |number, first, follow, since: bool| {
        let since = since.then(Default::default);
        Plan::of(&GetFlowsRequest { number, first, follow, since, ..GetFlowsRequest::default() })
    };
    let of = |last, limit, follow| Plan { last, limit, follow };
    assert_eq!(plan(20, false, false, false), of(Some(20), None, false));
    assert_eq!(plan(20, false, true, false), of(Some(20), None, true));
    assert_eq!(plan(20, true, false, false), of(None, Some(20), false));
    assert_eq!(plan(20, false, false, true), of(None, Some(20), false));
    assert_eq!(
        plan(20, false, true, true),
        of(None, None, true),
        "following ignores the number after a point in time"
    );
    assert_eq!(plan(0, false, true, false), of(None, None, true));
    assert_eq!(plan(u64::MAX, false, false, false), of(None, None, false), "--all");
}

#[test]
fn the_last_are_the_last_of_all_nodes() {
    let mut call = Call::new(last(3, false), &[1, 2]);
    call.flows(1, 1, &[-90, -50, -10]);
    assert!(!call.step(1).done);
    call.course.leave(1);
    assert!(!call.step(2).done, "the other may have newer ones");
    call.flows(3, 2, &[-70, -40, -20]);
    call.course.leave(2);
    assert!(call.step(3).done);
    assert_eq!(call.told, [-40, -20, -10]);
}

#[test]
fn who_says_nothing_does_not_keep_the_last_from_being_told() {
    let mut call = Call::new(last(2, false), &[1, 2]);
    call.flows(100, 1, &[-90, -50, -10]);
    call.course.leave(1);
    let step = call.step(100);
    assert_eq!((step.done, step.wake), (false, Some(ms(1000))));
    let step = call.step(1000);
    assert_eq!((step.done, step.given_up), (true, vec![2]));
    assert_eq!(call.told, [-50, -10]);
}

#[test]
fn with_nothing_to_tell_there_is_more_patience() {
    let mut call = Call::new(last(2, false), &[1, 2]);
    call.course.leave(1);
    let step = call.step(1000);
    assert_eq!((step.done, step.wake), (false, Some(ms(5000))));
    assert_eq!(call.step(5000).given_up, [2]);
}

#[test]
fn one_that_has_stalled_is_given_up_unless_it_is_followed() {
    let mut call = Call::new(Plan::default(), &[1, 2]);
    call.flows(1, 1, &[-5]);
    call.course.leave(1);
    call.course.stalled(2, true);
    let step = call.step(2);
    assert_eq!((step.done, step.given_up, &call.told[..]), (true, vec![2], &[-5][..]));
    let mut call = Call::new(Plan { follow: true, ..Plan::default() }, &[1, 2]);
    call.course.stalled(2, true);
    call.flows(1, 1, &[1, 80]);
    assert!(!call.step(2).done);
    assert_eq!(call.told, [1], "told at once, as nobody else is waited for");
    call.course.stalled(2, false);
    call.flows(100, 1, &[200]);
    call.step(101);
    assert_eq!(call.told, [1]);
    call.flows(200, 2, &[90, 190]);
    call.step(201);
    assert_eq!(call.told, [1, 80, 90]);
}

#[test]
fn the_last_and_then_what_follows() {
    let mut call = Call::new(last(2, true), &[1, 2]);
    call.flows(10, 1, &[-5000, -3000]);
    call.flows(20, 2, &[-4000, -2000]);
    call.step(20);
    assert_eq!(call.told, [-3000, -2000], "both have told two, so they have told their past");
    call.flows(500, 2, &[490]);
    call.flows(600, 1, &[590]);
    call.step(1400);
    call.step(1500);
    assert_eq!(call.told, [-3000, -2000, 490, 590]);
}

#[test]
fn quiet_is_a_sign_that_the_past_is_told() {
    let mut call = Call::new(last(9, true), &[1, 2]);
    call.flows(10, 1, &[-5000, -3000]);
    assert_eq!(call.step(10).wake, Some(ms(250)));
    assert_eq!(call.step(250).wake, Some(ms(260)));
    call.step(260);
    assert_eq!(call.told, [-5000, -3000]);
}

#[test]
fn a_past_that_comes_too_late_is_not_told_as_if_it_were_new() {
    let mut call = Call::new(last(2, true), &[1]);
    call.course.join(ms(0), 2);
    call.flows(10, 1, &[-5000, -3000]);
    assert!(call.step(300).wake.is_some());
    call.step(910);
    assert_eq!(call.told, [-5000, -3000], "the second is still connecting");
    call.course.opened(ms(2000), 2);
    call.flows(2010, 2, &[-9000, -4000, -8000]);
    call.step(2010);
    assert_eq!(call.told, [-5000, -3000, -8000, -4000], "only two can be of its past");
}

/// However long one takes to tell its past, as long as it goes on; the other has told all of its own at once.
#[test]
fn a_history_is_in_order_though_one_tells_it_slowly() {
    let mut call = Call::new(Plan::default(), &[1, 2]);
    call.flows(1, 1, &[-5000, -10]);
    call.course.leave(1);
    let mut told = vec![-5000];
    for n in 0..20 {
        let now = u64::try_from(n * 500).unwrap();
        call.flows(now, 2, &[-4000 + n * 100]);
        call.step(now);
        told.push(-4000 + n * 100);
    }
    assert_eq!(call.told.last(), Some(&-2200), "the last may be followed by an earlier one, by its slack");
    call.course.leave(2);
    assert!(call.step(9600).done);
    told.push(-10);
    assert_eq!(call.told, told);
}

#[test]
fn one_that_pauses_in_its_history_is_not_waited_for() {
    let mut call = Call::new(Plan::default(), &[1, 2]);
    call.flows(1, 1, &[-100]);
    call.flows(1, 2, &[-90]);
    call.course.leave(1);
    assert_eq!(call.step(1).wake, Some(ms(901)));
    assert!(call.told.is_empty());
    call.step(901);
    assert_eq!(call.told, [-100, -90]);
    call.flows(1000, 2, &[-50]);
    call.course.leave(2);
    assert!(call.step(1000).done);
    assert_eq!(call.told, [-100, -90, -50]);
}

/// Its room is taken by what happened within the slack: waiting for more of it would be waiting for ever.
#[test]
fn a_burst_that_takes_all_room_goes_out() {
    let mut call = Call::new(Plan::default(), &[1, 2]);
    call.flows(1, 1, &vec![-100; 1000]);
    call.flows(1, 2, &[-10]);
    call.step(1);
    assert_eq!(call.told.len(), 1000);
}

#[test]
fn first_ends_with_its_number() {
    let mut call = Call::new(Plan { limit: Some(3), ..Plan::default() }, &[1, 2]);
    call.flows(1, 1, &[-90, -50, -10]);
    call.flows(1, 2, &[-80, -40]);
    call.course.leave(1);
    call.course.leave(2);
    assert!(call.step(1).done);
    assert_eq!(call.told, [-90, -80, -50]);
}

#[test]
fn lost_events_are_told_and_not_counted() {
    let mut call = Call::new(last(1, false), &[1]);
    let lost = Item { time: Some(WALL - 20 * MS), flow: false, body: 0 };
    call.course.items(ms(1), 1, vec![lost]);
    call.flows(1, 1, &[-50, -10]);
    call.course.leave(1);
    assert!(call.step(1).done);
    assert_eq!(call.told, [0, -10]);
}

#[test]
fn a_clock_ahead_does_not_hurry_the_others() {
    let mut call = Call::new(Plan { follow: true, ..Plan::default() }, &[1, 2, 3]);
    call.flows(10, 1, &[3_600_000]);
    assert!(call.step(10).wake.is_some());
    call.step(910);
    assert_eq!(call.told, [3_600_000]);
    // By then what happened before 460 is late; a flow of now is not, and still waits for an earlier one.
    call.flows(920, 2, &[915]);
    call.flows(930, 3, &[912]);
    call.step(930);
    call.step(1830);
    assert_eq!(call.told, [3_600_000, 912, 915]);
}

#[test]
fn more_than_can_be_kept_is_counted() {
    let mut call = Call::new(last(150, false), &[1]);
    call.flows(1, 1, &(0..150).collect::<Vec<_>>());
    call.course.leave(1);
    assert!(call.step(1).done);
    assert_eq!((call.told.len(), call.course.take_crowded_out().get(&1)), (100, Some(&50)));
}

#[test]
fn without_time_an_item_keeps_its_place() {
    let mut call = Call::new(Plan::default(), &[1]);
    let no_time = Item { time: None, flow: true, body: 7 };
    call.flows(1, 1, &[-90]);
    call.course.items(ms(1), 1, vec![no_time]);
    call.flows(1, 1, &[-80]);
    call.course.leave(1);
    call.step(1);
    assert_eq!(call.told, [-90, 7, -80]);
}

proptest! {
    /// The newest N of all, in order, whoever tells first.
    #[test]
    fn last_is_exact(
        times in proptest::collection::vec((0..3_u32, -10_000..0_i64), 0..90),
        number in 1..40_u64,
    ) {
        let mut call = Call::new(last(number, false), &[0, 1, 2]);
        let mut own: Vec<Vec<i64>> = vec![Vec::new(); 3];
        for (peer, time) in &times {
            own[*peer as usize].push(*time);
        }
        for (peer, list) in (0..).zip(&mut own) {
            list.sort_unstable();
            // A server gives its own newest.
            let from = list.len().saturating_sub(usize::try_from(number).unwrap());
            call.flows(u64::from(peer), peer, &list[from..]);
            call.course.leave(peer);
        }
        prop_assert!(call.step(5).done);
        let mut all: Vec<_> = times.iter().map(|(_, t)| *t).collect();
        all.sort_unstable();
        let from = all.len().saturating_sub(usize::try_from(number).unwrap());
        prop_assert_eq!(&call.told[..], &all[from..]);
    }
}
