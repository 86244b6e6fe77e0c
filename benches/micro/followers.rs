//! What followers cost together: one, a hundred who ask for different things, a hundred who ask for the same.
//!
//! Unlike the others this is measured in CPU time of the process: what is handed to a hundred is done by more than one thread.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use netdrop::agent::{History, HistorySize, Query, answer};
use netdrop::convert::{filter_to_wire, filters_to_extension};
use netdrop::filter::{Filters, FlowFilter};
use netdrop::flow::{DropReason, Endpoint, EndpointInfo, Flow, Identity, L4, Observation, Workload};
use netdrop::proto::observer::GetFlowsRequest;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::packets;

/// Drops of one run.
const DROPS: u32 = 40_960;
/// As capture hands them over in a storm.
const BATCH: usize = 256;
/// Each line is the middle one of so many runs.
const RUNS: usize = 5;

/// Names as capture gives them: one for all flows of a pod.
struct Cast {
    pods: Vec<Arc<EndpointInfo>>,
    reasons: Vec<DropReason>,
}

impl Cast {
    fn new() -> Self {
        let pod = |n: usize| {
            Arc::new(EndpointInfo {
                namespace: format!("team-{}", n % 10).into(),
                pod_name: format!("checkout-{n}-5d8f7c9b6-x2x4z").into(),
                labels: vec![
                    format!("k8s:app=checkout-{n}").into(),
                    format!("k8s:tier=tier-{}", n % 4).into(),
                ],
                workloads: vec![Workload { name: format!("checkout-{n}").into(), kind: "Deployment".into() }],
                node: None,
            })
        };
        let reason =
            |n: u32| DropReason { code: n, subsystem: "CORE".into(), name: format!("REASON_{n}").into() };
        Self { pods: (0..200).map(pod).collect(), reasons: (0..20).map(reason).collect() }
    }

    fn drop_of(&self, template: &Flow, n: u32) -> Flow {
        // Mixed, so that what comes next to each other has little in common.
        let mixed = n.wrapping_mul(2_654_435_761) >> 12;
        let pick = |of: usize, salt: u32| mixed.wrapping_add(salt.wrapping_mul(n)) as usize % of;
        let (source, destination) = (pick(200, 0), pick(200, 7));
        let mut flow = template.clone();
        flow.uuid = Some(uuid::Uuid::from_u128(u128::from(n) << 64));
        flow.reason = Some(self.reasons[pick(20, 3)].clone());
        let end =
            |n: usize| Endpoint { id: 0, identity: Identity::UNKNOWN, info: Some(Arc::clone(&self.pods[n])) };
        (flow.source, flow.destination) = (end(source), end(destination));
        let byte = |n: usize| u8::try_from(n % 250).unwrap_or_default();
        if let Some(ip) = &mut flow.packet.ip {
            ip.source = [10, 244, byte(source), byte(pick(250, 11))].into();
            ip.destination = [10, 96, byte(destination), 1].into();
        }
        if let Some(L4::Tcp { source_port, destination_port, .. }) = &mut flow.packet.l4 {
            *source_port = 30_000 + u16::from(byte(pick(250, 13)));
            *destination_port = 5000 + u16::from(byte(pick(100, 17)));
        }
        flow
    }

    fn drops(&self) -> Vec<Arc<Observation>> {
        let template = packets::flow("tcp");
        (0..DROPS).map(|n| Arc::new(Observation::Flow(self.drop_of(&template, n)))).collect()
    }
}

/// A hundred filters as people type them; each lets through one in some tens to hundreds, but for a few broad ones.
fn different() -> Vec<FlowFilter> {
    let of = FlowFilter::default;
    (0..100u16)
        .map(|n| match n {
            0..30 => FlowFilter { source_pod: vec![format!("team-{}/checkout-{n}-", n % 10)], ..of() },
            30..45 => FlowFilter { destination_pod: vec![format!("team-{}/checkout-{n}-", n % 10)], ..of() },
            45..60 => FlowFilter { destination_port: vec![format!("{}", 5000 + n)], ..of() },
            60..70 => FlowFilter { source_ip: vec![format!("10.244.{n}.0/24")], ..of() },
            70..78 => FlowFilter { destination_ip: vec![format!("10.96.{n}.1")], ..of() },
            78..86 => FlowFilter { reason: vec![format!("REASON_{}", n - 78)], verdict: vec![2], ..of() },
            86..94 => FlowFilter {
                source_label: vec![format!("app=checkout-{n}")],
                protocol: vec!["tcp".into()],
                ..of()
            },
            94..98 => FlowFilter {
                destination_label: vec![format!("app in (checkout-{n}, checkout-{})", n + 1)],
                ..of()
            },
            98 => FlowFilter {
                source_pod: vec!["team-3/".into()],
                destination_port: vec!["5001".into(), "5002".into()],
                ..of()
            },
            _ => FlowFilter { node_name: vec!["another-*".into()], ..of() },
        })
        .collect()
}

/// Filters of one each, of one for all of them, or of none.
fn request(allow: Vec<FlowFilter>) -> GetFlowsRequest {
    let filters = Filters { allow, deny: Vec::new() };
    GetFlowsRequest {
        follow: true,
        whitelist: filters.allow.iter().map(filter_to_wire).collect(),
        extensions: filters_to_extension(&filters),
        ..GetFlowsRequest::default()
    }
}

/// CPU time of this process so far, in us.
fn cpu() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// CPU time, in us, of pushing all drops until all followers have got theirs, and how many that were.
async fn run(drops: &[Arc<Observation>], requests: &[GetFlowsRequest]) -> (i64, u64) {
    let history = Arc::new(History::new(HistorySize { drops: 64 << 20, flows: 1 << 20 }));
    let (stop, stopped) = watch::channel(false);
    let (got, mut tasks, mut expected) =
        (Arc::new(AtomicU64::new(0)), Vec::new(), vec![0; drops.len() / BATCH]);
    for request in requests {
        let filters = netdrop::convert::filters_from_extension(request.extensions.as_ref());
        let filters = filters.transpose().expect("filters").unwrap_or_default().compile().expect("filters");
        for (batch, drops) in expected.iter_mut().zip(drops.chunks(BATCH)) {
            *batch +=
                drops.iter().filter(|o| matches!(&***o, Observation::Flow(f) if filters.matches(f))).count()
                    as u64;
        }
        let query = Query::new(request.clone()).expect("a request that makes sense");
        let (mut responses, got) = (answer(&history, query, stopped.clone()).await, Arc::clone(&got));
        tasks.push(tokio::spawn(async move {
            while let Some(response) = responses.recv().await {
                let response = response.expect("flows");
                assert!(!response.is_empty(), "none is empty");
                got.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (before, mut sent) = (cpu(), 0);
    for (drops, expected) in drops.chunks(BATCH).zip(expected) {
        history.push(drops.to_vec());
        sent += expected;
        // As fast as they are taken, and no faster.
        while got.load(Ordering::Relaxed) < sent {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let took = cpu() - before;
    stop.send_replace(true);
    for task in tasks {
        task.await.expect("a follower ends");
    }
    (took, sent)
}

/// Prints the table, unless something else was asked for.
pub fn report() -> io::Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let listed = std::env::args().any(|word| word == "--list" || word == "--test");
    if listed || !(asked.is_empty() || asked.iter().any(|word| "followers".contains(word.as_str()))) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let drops = Cast::new().drops();
    let mut out = io::stdout();
    writeln!(
        out,
        "\nfollowers: CPU of this process, from capture's hands to a response for each follower; {DROPS} drops"
    )?;
    writeln!(out, "{:<44} {:>8} {:>10} {:>14} {:>8}", "", "CPU, ms", "responses", "us for a drop", "x one")?;
    let mut measure = |name: &str, requests: &[GetFlowsRequest], [none, one]: [i64; 2]| {
        let mut runs: Vec<_> = (0..RUNS).map(|_| runtime.block_on(run(&drops, requests))).collect();
        runs.sort_unstable();
        let (us, responses) = runs[RUNS / 2];
        let x_one = if one > none { format!("{:.2}", ratio(us - none, one - none)) } else { String::new() };
        let (ms, a_drop) = (ratio(us, 1000), ratio(us, DROPS.into()));
        writeln!(out, "{name:<44} {ms:>8.1} {responses:>10} {a_drop:>14.2} {x_one:>8}")?;
        Ok::<_, io::Error>(us)
    };
    let none = measure("nobody follows: the history alone", &[], [0; 2])?;
    let each: Vec<_> = different().into_iter().map(|filter| request(vec![filter])).collect();
    let one = measure("1 without a filter", &[request(Vec::new())], [none, 0])?;
    let all = measure("1 with all the hundred filters", &[request(different())], [none, one])?;
    measure("100 with a filter each, all different", &each, [none, one])?;
    measure("the same; x the one that gets the same", &each, [none, all])?;
    measure("100 without a filter", &vec![request(Vec::new()); 100], [none, one])?;
    Ok(())
}

fn ratio(us: i64, of: i64) -> f64 {
    // Microseconds of seconds: far below what a double holds.
    Duration::from_micros(us.unsigned_abs()).as_secs_f64()
        / Duration::from_micros(of.unsigned_abs()).as_secs_f64()
}
