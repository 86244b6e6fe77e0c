//! `netdrop list` and `netdrop watch`: what a server knows.

use std::io::{self, Write};

use tonic::Code;

use super::{say_all, servers_of};
use crate::cli::list::{self, List, ListFormat, Watch};
use crate::cli::server_flags::Servers;
use crate::connect::words;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetNamespacesRequest, GetNodesRequest};
use crate::proto::peer::NotifyRequest;
use crate::proto::peer::peer_client::PeerClient;
use crate::source::remote::{call, connect};
use crate::source::several::Several;

/// Prints a list.
pub async fn list(what: &List, out: &mut impl Write) -> anyhow::Result<()> {
    let (List::Nodes(args) | List::Namespaces(args)) = what;
    let format = ListFormat::from_name(&args.output)?;
    let servers = servers_of(&args.server)?;
    if servers.targets.len() > 1 {
        return list_several(&servers, what, format, out).await;
    }
    let mut client = ObserverClient::new(connect(&servers).await?);
    match what {
        List::Nodes(_) => {
            let nodes = call(&servers, client.get_nodes(GetNodesRequest {})).await?.nodes;
            list::nodes(nodes, format, out)
        }
        List::Namespaces(_) => {
            let namespaces = call(&servers, client.get_namespaces(GetNamespacesRequest {})).await?.namespaces;
            list::namespaces(&namespaces, format, out)
        }
    }
}

async fn list_several(
    servers: &Servers,
    what: &List,
    format: ListFormat,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let several = Several::connect(servers).await?;
    say_all(&several.troubles());
    match what {
        List::Nodes(_) => list::nodes(several.nodes().await?, format, out),
        List::Namespaces(_) => list::namespaces(&several.namespaces().await?, format, out),
    }
}

/// Prints changes as they come, until the server ends or `stop`. There is nothing to say at the end, so a signal ends it as it ends
/// Hubble's client: by its default, with the exit code that tells which.
pub async fn watch(what: Watch, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Watch::Peers(args) = what;
    let watch = async {
        let servers = servers_of(&args.server)?;
        let mut client = PeerClient::new(connect(&servers).await?);
        let mut changes = client.notify(NotifyRequest {}).await.map_err(|s| words(&s))?.into_inner();
        loop {
            match changes.message().await {
                Ok(Some(change)) => {
                    let mut line = Vec::new();
                    list::peer(&change, &mut line)?;
                    io::stdout().write_all(&line)?;
                }
                Ok(None) => return Ok(()),
                Err(status) if status.code() == Code::Cancelled => return Ok(()),
                Err(status) => return Err(words(&status)),
            }
        }
    };
    tokio::select! {
        ended = watch => ended,
        () = stop => Ok(()),
    }
}
