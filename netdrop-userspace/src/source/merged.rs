//! Several servers as one source.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::several::named;
use super::wire::WireSource;
use crate::cli::server_flags::Servers;
use crate::connect::words;
use crate::merge::session::Told;
use crate::merge::{Crew, Peer, PeerState, Session, SessionConfig, Tempo, Wire};
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use crate::proto::relay::NodeState;

/// Batches that wait to be printed; then servers must wait.
const IN_FLIGHT: usize = 4;

/// One call to all of them.
pub struct MergedSource {
    crew: Crew,
    told: mpsc::Receiver<Told>,
    /// Why servers can't be reached, as the person was told.
    whys: HashSet<String>,
}

impl MergedSource {
    /// Asks; who can't be reached is told by the stream.
    pub fn open(servers: &Servers, request: GetFlowsRequest) -> anyhow::Result<Self> {
        let mut config = SessionConfig::new(hostname());
        config.patience = servers.dial.timeout;
        Self::ask(servers, request, config, Tempo::default())
    }

    fn ask(
        servers: &Servers,
        request: GetFlowsRequest,
        config: SessionConfig,
        tempo: Tempo,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !(request.first && request.follow),
            "rpc error: code = InvalidArgument desc = first cannot be specified with follow"
        );
        let crew = Crew::fixed(&servers.peers()?, servers.dial.clone(), tempo);
        let (to, told) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(Session::run(crew.roster(), request.into(), config, to));
        Ok(Self { crew, told, whys: HashSet::new() })
    }

    /// Says why servers can't be reached, each cause once: their line has no room for it.
    fn tell_why(&mut self, response: &GetFlowsResponse) {
        let Some(ResponseTypes::NodeStatus(status)) = &response.response_types else { return };
        if status.state_change() != NodeState::NodeUnavailable || status.message.is_empty() {
            return;
        }
        let why = named(&status.node_names.join(", "), &status.message);
        if !self.whys.contains(&why) {
            tracing::warn!("{why}");
            self.whys.insert(why);
        }
    }

    /// Why none of them can be reached; `None`: one can.
    fn unreachable(&self) -> Option<String> {
        let roster = self.crew.roster();
        let roster = roster.borrow();
        let why = |peer: &Peer| match &*peer.state.borrow() {
            PeerState::Down(why) | PeerState::Stalled(why) => Some(named(&peer.name, why)),
            _ => None,
        };
        let all: Option<Vec<_>> = roster.peers.values().map(|peer| why(peer)).collect();
        all.map(|all| all.join("; "))
    }
}

/// This machine, in whose name news of nodes are told.
pub fn hostname() -> Arc<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().into()
}

impl WireSource for MergedSource {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        let Some(told) = self.told.recv().await else {
            return match self.unreachable() {
                Some(why) => Err(anyhow::anyhow!("none of the servers can be reached: {why}")),
                None => Ok(false),
            };
        };
        let mut take = |told: Told| -> anyhow::Result<()> {
            let wires = told.map_err(|s| words(&s))?;
            // A message that can't be read costs itself alone.
            batch.extend(wires.iter().filter_map(|wire: &Wire| wire.response().ok()));
            Ok(())
        };
        take(told)?;
        while let Ok(more) = self.told.try_recv() {
            take(more)?;
        }
        for response in batch.iter() {
            self.tell_why(response);
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "merged_tests.rs"]
mod tests;
