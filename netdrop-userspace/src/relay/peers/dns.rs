//! Peers from DNS: the addresses of a headless service.
//!
//! The names are looked up here and not by the C library: musl's keeps the first 48 addresses of a name and no more, and neither says
//! whether a name has none or could not be looked up.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::{Source, publish};
use crate::merge::{PeerAddress, Peers};

/// How often names are looked up; agents come and go with their nodes, which takes longer.
const AGAIN: Duration = Duration::from_secs(5);
/// One look, over all servers and search domains.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom to ask, and how often.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// `None`: as the system's resolv.conf says.
    pub servers: Option<(ResolverConfig, ResolverOpts)>,
    /// From one look to the next.
    pub again: Duration,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { servers: None, again: AGAIN }
    }
}

impl Lookups {
    fn resolver(&self) -> anyhow::Result<TokioResolver> {
        let mut builder = match self.servers.clone() {
            Some((config, options)) => {
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(options)
            }
            None => TokioResolver::builder_tokio().context("cannot read the system's DNS settings")?,
        };
        // Who asks now wants to know what is there now.
        builder.options_mut().cache_size = 0;
        Ok(builder.build()?)
    }
}

/// Looks up `host:port` now and then. While DNS fails, peers that are known stay; a name that has no addresses has no peers.
pub fn start(name: String, lookups: Lookups) -> Source {
    Source::spawn(|to| async move {
        let (host, port) = parts(&name);
        let mut look = Look { lookups, host: host.to_owned(), resolver: None, found: None };
        let mut told: Option<Result<usize, String>> = None;
        while !to.is_closed() {
            let looked = tokio::time::timeout(PATIENCE, look.now()).await;
            let looked = looked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {PATIENCE:?}")));
            // What has changed is said, and once.
            let news = looked.as_ref().map(BTreeSet::len).map_err(|e| format!("{e:#}"));
            if told.as_ref() != Some(&news) {
                match &news {
                    Ok(addresses) => tracing::info!(name, addresses, "the peers were looked up"),
                    Err(error) => tracing::warn!(name, error, "cannot look up the peers; those known stay"),
                }
                told = Some(news);
            }
            match looked {
                Ok(addresses) => publish(&to, peers(addresses, port)),
                // The system's settings may have changed.
                Err(_) => look.resolver = None,
            }
            tokio::time::sleep(look.lookups.again).await;
        }
    })
}

fn parts(name: &str) -> (&str, u16) {
    let (host, port) = name.rsplit_once(':').unwrap_or((name, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port.parse().unwrap_or(super::AGENT_PORT))
}

/// A name to look up.
struct Look {
    lookups: Lookups,
    host: String,
    resolver: Option<TokioResolver>,
    /// Which of the names that the search domains make of it has had addresses: no other is asked for from then on, so that one
    /// server's trouble does not look like another name's absence.
    found: Option<Name>,
}

impl Look {
    async fn now(&mut self) -> anyhow::Result<BTreeSet<IpAddr>> {
        if let Ok(address) = self.host.parse() {
            return Ok([address].into());
        }
        let resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => self.lookups.resolver()?,
        };
        let name = match &self.found {
            Some(found) => found.clone(),
            None => Name::from_utf8(&self.host).context("that is no name")?,
        };
        // A service with addresses of both families has each agent twice; one of them will do.
        let mut addresses = self.of(&resolver, &name, RecordType::A).await?;
        if addresses.is_empty() {
            addresses = self.of(&resolver, &name, RecordType::AAAA).await?;
        }
        if addresses.is_empty() {
            self.found = None;
        }
        self.resolver = Some(resolver);
        Ok(addresses)
    }

    /// Empty: it is certain that there are none.
    async fn of(
        &mut self,
        resolver: &TokioResolver,
        name: &Name,
        kind: RecordType,
    ) -> Result<BTreeSet<IpAddr>, NetError> {
        match resolver.lookup(name.clone(), kind).await {
            Ok(lookup) => {
                if let Some(query) = lookup.message().queries.first() {
                    let mut found = query.name.clone();
                    found.set_fqdn(true);
                    self.found = Some(found);
                }
                Ok(addresses(&lookup))
            }
            Err(error) if error.is_no_records_found() => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }
}

fn addresses(lookup: &Lookup) -> BTreeSet<IpAddr> {
    let of = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    lookup.answers().iter().filter_map(|record| of(&record.data)).collect()
}

fn peers(addresses: BTreeSet<IpAddr>, port: u16) -> Peers {
    let named = |address: IpAddr| {
        let address = SocketAddr::new(address, port).to_string();
        (Arc::from(&*address), PeerAddress { address, server_name: None })
    };
    addresses.into_iter().map(named).collect()
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
