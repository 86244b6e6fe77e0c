//! Metrics for Prometheus: the exact sums, by reason and by what became of the drops.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::balance::{Balance, Row};

/// OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reason: String,
    fate: Fate,
}

/// What became of a drop. The four add up to all drops of this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Fate {
    Shown,
    Aggregated,
    Hidden,
    Lost,
}

/// Serves `/metrics` until `stopped` turns true.
pub(super) async fn serve(
    address: SocketAddr,
    balance: watch::Receiver<Balance>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot serve metrics on {address}; choose another with --metrics-address")
    })?;
    let handler = move || {
        let text = text(&balance.borrow());
        async move { ([(CONTENT_TYPE, OPEN_METRICS)], text) }
    };
    let router = Router::new().route("/metrics", get(handler));
    let end = async move {
        // An error means that the agent is gone: an end as well.
        drop(stopped.wait_for(|stop| *stop).await);
    };
    Ok(tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(end).await.context("the metrics server failed")
    }))
}

fn text(balance: &Balance) -> String {
    let drops = Family::<Labels, Counter>::default();
    let enter = |reason: &str, row: &Row| {
        let fates = [
            (Fate::Shown, row.shown),
            (Fate::Aggregated, row.aggregated),
            (Fate::Hidden, row.hidden),
            (Fate::Lost, row.lost),
        ];
        for (fate, count) in fates {
            drops.get_or_create(&Labels { reason: reason.to_owned(), fate }).inc_by(count);
        }
    };
    for (reason, row) in balance.rows() {
        enter(reason, row);
    }
    // Lost before the reason was known: the total has them, no row does.
    let known: u64 = balance.rows().iter().map(|(_, row)| row.lost).sum();
    let unknown = Row { lost: balance.total().lost.saturating_sub(known), ..Row::default() };
    enter("unknown", &unknown);
    let elsewhere = Counter::<u64>::default();
    elsewhere.inc_by(balance.elsewhere());
    let mut registry = Registry::with_prefix("netdrop");
    registry.register(
        "drops",
        "Dropped packets, by kernel reason and by what became of them: shown one by one, aggregated by flow, hidden by a filter, lost",
        drops,
    );
    registry.register("drops_elsewhere", "Dropped packets of other nodes on the same kernel", elsewhere);
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_of_every_reason_has_its_line() {
        let row = Row { drops: 10, shown: 1, aggregated: 2, hidden: 3, lost: 4, other: 0 };
        let total = Row { lost: 9, drops: 15, ..row };
        let text = text(&Balance::of_rows(total, vec![("NO_SOCKET".into(), row)]));
        for line in [
            "netdrop_drops_total{reason=\"NO_SOCKET\",fate=\"Shown\"} 1",
            "netdrop_drops_total{reason=\"NO_SOCKET\",fate=\"Aggregated\"} 2",
            "netdrop_drops_total{reason=\"NO_SOCKET\",fate=\"Hidden\"} 3",
            "netdrop_drops_total{reason=\"NO_SOCKET\",fate=\"Lost\"} 4",
            "netdrop_drops_total{reason=\"unknown\",fate=\"Lost\"} 5",
            "netdrop_drops_elsewhere_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l.eq_ignore_ascii_case(line)), "{line} in:\n{text}");
        }
    }
}
