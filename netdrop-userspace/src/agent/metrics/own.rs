//! netdrop's own metrics: the exact sums, what is missing and why, and how the agent itself does.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use netdrop_common::counter::Counters;

use super::page::{Number, Page, level, untyped, values};
use crate::agent::events::EventCounts;
use crate::agent::feed::{FeedReport, Feeds};
use crate::balance::{Balance, Row};
use crate::enrich::NamesStatus;
use crate::flow::{hubble, nearest};
use crate::ledger::Ledger;
use crate::source::LiveTally;

/// Why drops are known by number only.
const CAUSES: [&str; 4] = ["buffers_full", "program_busy", "undecodable", "filter_of_rest"];

/// What the hook and its reader have counted, drawn once a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    balance: Balance,
    hook: Counters,
    /// Lost, by cause.
    lost: [(&'static str, u64); 4],
    runs: Option<(u64, Duration)>,
}

impl Drawn {
    /// Of sums that are known.
    #[cfg(test)]
    pub(super) fn of_balance(balance: Balance) -> Self {
        Self { balance, ..Self::default() }
    }

    /// With all that a kernel can count.
    #[cfg(test)]
    pub(super) fn of_all(balance: Balance) -> Self {
        let lost = CAUSES.map(|cause| (cause, 1));
        Self { balance, lost, runs: Some((1, Duration::from_micros(1))), ..Self::default() }
    }

    pub(super) fn new(live: &LiveTally, balance: &Balance, flows: &Ledger) -> Self {
        let hook = live.totals.sum();
        Self {
            balance: balance.clone(),
            hook,
            lost: [
                (CAUSES[0], hook.lost),
                (CAUSES[1], live.totals.missed),
                (CAUSES[2], live.undecodable),
                (CAUSES[3], flows.total().unnamed),
            ],
            runs: live.totals.runs,
        }
    }
}

/// State of the history.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryLevel {
    /// Observations kept.
    pub len: u64,
    /// Most that are kept.
    pub capacity: u64,
    /// From the oldest to now.
    pub span: Duration,
}

/// Drops by reason and by what became of them. The four fates add up to all drops of this node.
pub(super) fn drops(drawn: &Drawn, page: &mut Page) {
    let mut rows = Vec::new();
    let mut enter = |name: &str, row: &Row| {
        let reason = hubble::drop_reason_name(nearest(name)).unwrap_or_default();
        let fates = [
            ("shown", row.shown),
            ("aggregated", row.aggregated),
            ("hidden", row.hidden),
            ("lost", row.lost),
        ];
        rows.extend(fates.map(|(fate, n)| (values([name, reason, fate]), Number::Count(n))));
    };
    for (name, row) in drawn.balance.rows() {
        enter(name, row);
    }
    // Lost before the reason was known: the total has them, no row does.
    let known: u64 = drawn.balance.rows().iter().map(|(_, row)| row.lost).sum();
    let unknown = drawn.balance.total().lost.saturating_sub(known);
    enter("unknown", &Row { lost: unknown, ..Row::default() });
    page.add(
        "netdrop_drops",
        "Dropped packets, by kernel reason, by Hubble's reason where one means the same, and by what became of them: shown one by one, aggregated by flow, hidden by a filter, lost",
        &["kernel_reason", "reason", "fate"],
        rows,
    );
    page.add_one(
        "netdrop_drops_elsewhere",
        "Dropped packets of other nodes on the same kernel",
        Number::Count(drawn.balance.elsewhere()),
    );
    hook(drawn, page);
}

fn hook(drawn: &Drawn, page: &mut Page) {
    let Counters { seen, skipped, filtered, recorded, aggregated, rest, lost, .. } = drawn.hook;
    page.add_one("netdrop_frames_seen", "Frames that the hook saw being freed", Number::Count(seen));
    let outcomes = [
        ("skipped", skipped),
        ("filtered", filtered),
        ("recorded", recorded),
        ("aggregated", aggregated),
        ("rest", rest),
        ("lost", lost),
    ];
    page.add(
        "netdrop_frames",
        "Frames that the hook saw, by what it did: skipped as no network packet, filtered, recorded, added to its flow, to the rest of its reason, lost",
        &["outcome"],
        outcomes.map(|(outcome, n)| (values([outcome]), Number::Count(n))).into(),
    );
    page.add(
        "netdrop_lost",
        "Drops that are known by number only, by cause: buffers were full, the program was at work on that CPU, a record could not be read, a filter asks more of a rest than it knows",
        &["cause"],
        drawn.lost.map(|(cause, n)| (values([cause]), Number::Count(n))).into(),
    );
    // Without the kernel's statistics both are zero, and would tell something wrong.
    if let Some((count, time)) = drawn.runs.filter(|(count, _)| *count > 0) {
        page.add_one(
            "netdrop_program_runs",
            "Runs of the hook's program while kernel.bpf_stats_enabled is on",
            Number::Count(count),
        );
        page.add_one("netdrop_program_seconds", "Time of these runs", Number::Seconds(time.as_secs_f64()));
    }
}

pub(super) fn history(history: HistoryLevel, page: &mut Page) {
    let count = |n: u64| level(usize::try_from(n).unwrap_or(usize::MAX));
    page.add_one("netdrop_history_observations", "Observations in the history", count(history.len));
    page.add_one("netdrop_history_capacity", "Most observations in the history", count(history.capacity));
    page.add_one(
        "netdrop_history_span_seconds",
        "Time from the oldest observation of the history to now",
        Number::Level(history.span.as_secs_f64()),
    );
}

pub(super) fn names(names: &NamesStatus, misses: [u64; 2], page: &mut Page) {
    page.add(
        "netdrop_names",
        "Addresses of which the owner is known",
        &["kind"],
        [("pods", names.pods), ("services", names.services), ("nodes", names.nodes)]
            .map(|(kind, n)| (values([kind]), level(n)))
            .into(),
    );
    page.add_one(
        "netdrop_names_synced",
        "Whether the source of names was read in full",
        level(names.synced.into()),
    );
    page.add(
        "netdrop_names_misses",
        "Drops with an address that nobody knows",
        &["side"],
        [("source", misses[0]), ("destination", misses[1])]
            .map(|(side, n)| (values([side]), Number::Count(n)))
            .into(),
    );
}

/// When the server's certificates end.
pub(super) fn certificates(expires: Timestamp, page: &mut Page) {
    let seconds = expires.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
    page.add_one(
        "netdrop_tls_certificate_expiry_timestamp_seconds",
        "When the first of the server's certificates expires, in seconds since 1970",
        Number::Level(seconds),
    );
}

/// What agent events have told.
pub(super) fn events(counts: &EventCounts, page: &mut Page) {
    let rows = counts.told.iter().map(|(kind, n)| (values([kind]), Number::Count(*n))).collect();
    page.add("netdrop_agent_events", "Agent events, by type", &["type"], rows);
    page.add_one(
        "netdrop_agent_events_missed",
        "Agent events that came faster than a client read them",
        Number::Count(counts.missed),
    );
}

pub(super) fn feeds(feeds: &Feeds, page: &mut Page) {
    let reports = feeds.reports();
    let rows = |number: &dyn Fn(&FeedReport) -> Number| {
        reports.iter().map(|r| (values([&r.name]), number(r))).collect::<Vec<_>>()
    };
    let lines = rows(&|r| Number::Count(r.counts.lines.load(Relaxed)));
    page.add("netdrop_feed_lines", "Lines of a log feed", &["feed"], lines);
    let bytes = rows(&|r| Number::Count(r.counts.bytes.load(Relaxed)));
    page.add("netdrop_feed_bytes", "Bytes of a log feed", &["feed"], bytes);
    let queued = rows(&|r| level(r.counts.queued.load(Relaxed)));
    page.add("netdrop_feed_queue_batches", "Batches that wait for a log feed", &["feed"], queued);
    let fates = reports.iter().flat_map(|r| {
        let c = &r.counts;
        [
            ("told", &c.told),
            ("hidden", &c.hidden),
            ("withheld", &c.withheld),
            ("overflow", &c.overflow),
            ("failed", &c.failed),
        ]
        .map(|(fate, n)| (values([&r.name, fate]), Number::Count(n.load(Relaxed))))
    });
    page.add(
        "netdrop_feed_drops",
        "Drops that came to a log feed: told, hidden by its filter, withheld by its rate, over what its queue holds, or not to be written",
        &["feed", "fate"],
        fates.collect(),
    );
    let events = reports.iter().flat_map(|r| {
        [("told", &r.counts.events), ("missed", &r.counts.events_missed)]
            .map(|(fate, n)| (values([&r.name, fate]), Number::Count(n.load(Relaxed))))
    });
    page.add(
        "netdrop_feed_agent_events",
        "Agent events that came to a log feed: told, or missed because of its rate, a full queue or a failed write",
        &["feed", "fate"],
        events.collect(),
    );
    let up = rows(&|r| level(usize::from(r.counts.active.load(Relaxed) && r.counts.working.load(Relaxed))));
    page.add("hubble_dynamic_exporter_up", "Status of individual exporters", &["name"], up);
    let active = reports.iter().filter(|r| r.counts.active.load(Relaxed)).count();
    page.add(
        "hubble_dynamic_exporter_exporters_total",
        "Number of configured exporters",
        &["status"],
        [("active", active), ("inactive", reports.len() - active)]
            .map(|(status, n)| (values([status]), untyped(n)))
            .into(),
    );
    let changes = feeds.changes();
    page.add(
        "hubble_dynamic_exporter_reconfigurations",
        "Number of dynamic exporters reconfigurations",
        &["op"],
        [("add", changes.added), ("update", changes.updated), ("remove", changes.removed)]
            .map(|(op, n)| (values([op]), Number::Count(n)))
            .into(),
    );
    if let Some(last) = changes.last {
        page.add_one(
            "hubble_dynamic_exporter_config_last_applied",
            "Timestamp of last applied config",
            Number::Level(
                Duration::try_from(last.duration_since(jiff::Timestamp::UNIX_EPOCH))
                    .map_or(0.0, |d| d.as_secs_f64()),
            ),
        );
    }
}

/// Which build this is.
pub(super) fn build(page: &mut Page) {
    page.add(
        "netdrop_build_info",
        "Version of netdrop",
        &["version"],
        vec![(Arc::new([Arc::from(env!("CARGO_PKG_VERSION"))]), level(1))],
    );
}
