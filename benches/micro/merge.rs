//! What it costs to make one stream of many nodes': the merge alone.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use netdrop::convert;
use netdrop::flow::Observation;
use netdrop::merge::{Course, CourseLimits, Item, MergerLimits, Plan, Wire, WireKind};

use crate::packets;

/// Nodes.
pub const NODES: u32 = 100;
/// Flows of each in a second.
pub const FLOWS: u32 = 1000;
/// In nanoseconds.
pub const SECOND: i64 = 1_000_000_000;
/// When it happened; any time will do.
const WALL: i64 = 1_700_000_000 * SECOND;

/// Flows of one node, evenly over a second, none at the same time as another node's.
pub fn second(node: u32) -> Vec<Wire> {
    let mut flow = packets::flow("tcp");
    flow.node_name = Some(format!("node-{node}").into());
    let at = |n: u32| WALL + i64::from(n) * (SECOND / i64::from(FLOWS)) + i64::from(node);
    let told = |n: u32| {
        let mut flow = flow.clone();
        flow.time = jiff::Timestamp::from_nanosecond(at(n).into()).expect("a time");
        Wire::of(&convert::to_wire(&Observation::Flow(flow)))
    };
    (0..FLOWS).map(told).collect()
}

fn limits() -> CourseLimits {
    let hold = Duration::from_millis(900);
    let merger = MergerLimits { hold, slack: Duration::from_millis(50), most: 131_072, full: 16_256 };
    CourseLimits {
        merger,
        quiet: Duration::from_millis(250),
        patience: Duration::from_secs(5),
        most_last: 524_288,
    }
}

/// A second of a hundred nodes, each of which tells a thousand flows in batches of ten, as they come; in order at the end.
#[divan::bench]
fn merge_course(bencher: Bencher<'_, '_>) {
    let nodes: Vec<_> = (0..NODES).map(second).collect();
    bencher.counter(ItemsCount::new(NODES * FLOWS)).bench(|| {
        let plan = Plan { follow: true, ..Plan::default() };
        let mut course = Course::new(plan, limits(), Duration::ZERO, WALL);
        (0..NODES).for_each(|node| course.join(Duration::ZERO, node));
        let (mut told, mut last) = (0_u32, i64::MIN);
        let mut count = |wire: Wire| {
            let time = wire.time.unwrap_or(0);
            assert!(time > last, "in order");
            (told, last) = (told + 1, time);
        };
        for chunk in 0..FLOWS / 10 {
            let now = Duration::from_millis(u64::from(chunk + 1) * 10);
            for (node, flows) in (0..).zip(&nodes) {
                let from = usize::try_from(chunk * 10).expect("a place");
                let read =
                    flows[from..from + 10].iter().map(|wire| Wire::read(wire.bytes.clone()).expect("a flow"));
                let items =
                    read.map(|wire| Item { time: wire.time, flow: wire.kind == WireKind::Flow, body: wire });
                course.items(now, node, items.collect());
            }
            course.step(now, |_, wire| count(wire));
        }
        (0..NODES).for_each(|node| course.leave(node));
        course.step(Duration::from_secs(3), |_, wire| count(wire));
        assert_eq!(told, NODES * FLOWS);
    });
}
