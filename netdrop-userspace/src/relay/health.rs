//! Health: SERVING while the peers are known and one of them answers, and that as soon as it is true.

use std::sync::Arc;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::merge::{Crew, PeerState};

/// Names under which clients and probes ask for it.
const NAMES: [&str; 2] = ["", "hubble.server.Observer"];

/// Keeps it right until its task is ended.
pub(super) async fn keep(crew: Arc<Crew>, reporter: HealthReporter) {
    let mut pulse = crew.pulse();
    let mut told = None;
    loop {
        let serving = is_serving(&crew);
        if told.replace(serving) != Some(serving) {
            let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            for name in NAMES {
                reporter.set_service_status(name, status).await;
            }
            tracing::info!(status = if serving { "SERVING" } else { "NOT_SERVING" }, "health");
        }
        if pulse.changed().await.is_err() {
            return;
        }
    }
}

/// Whether there is anybody to ask.
pub(super) fn is_serving(crew: &Crew) -> bool {
    let roster = crew.roster();
    let roster = roster.borrow();
    roster.known && roster.peers.values().any(|peer| matches!(&*peer.state.borrow(), PeerState::Up(_)))
}
