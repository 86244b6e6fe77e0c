//! What an agent takes before capture begins: doors, feeds, metrics. All that is in the way of a start is told at once.

use std::path::Path;

use anyhow::Context as _;
use clap::ArgMatches;

use crate::agent::doors::{Doors, Listen};
use crate::agent::feed::Feeds;
use crate::agent::metrics::Metrics;
use crate::agent::problems::Problems;
use crate::agent::systemd::{Inherited, Notifier};
use crate::agent::take_folder;
use crate::cli::agent::AgentArgs;
use crate::config::{self, Loaded, Mistaken};
use crate::enrich::kube::KubeConfig;
use crate::enrich::{self, Names};

/// All of it.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) systemd: Notifier,
    pub(super) doors: Doors,
    pub(super) metrics: Metrics,
    pub(super) feeds: Feeds,
}

/// Settings in effect, of what was typed, set and written. If there is a mistake in them, what else would be in the way of a start is
/// told with it, unless nothing is to be started.
pub fn load(flags: &ArgMatches) -> anyhow::Result<Loaded> {
    match config::load(flags, &|name| std::env::var(name).ok()) {
        Ok(loaded) => Ok(loaded),
        Err(mistaken) if flags.get_flag("print_config") => Err(mistaken.into()),
        Err(mistaken) => super::run(async { Err(in_the_way(mistaken).await) }),
    }
}

/// Mistakes in settings, and what is wrong with what those that have none name.
async fn in_the_way(mistaken: Mistaken) -> anyhow::Error {
    let mut problems = Problems::default();
    if let Some(mut rest) = mistaken.rest.clone() {
        rest.feeds.retain(|feed| feed.compile().is_ok());
        let listen = sure_of(listen(&rest.args));
        prepare(&rest, &listen, in_cluster(&rest.args), &mut problems).await;
    }
    let Err(more) = problems.none() else { return mistaken.into() };
    let mut all = Problems::default();
    mistaken.problems.0.iter().for_each(|problem| all.add(problem));
    all.extend(more);
    all.into()
}

/// Without what makes sense with another setting only, as that may be what the mistake is in.
fn sure_of(mut listen: Listen) -> Listen {
    if listen.address.is_none() || listen.cert.is_none() || listen.key.is_none() {
        (listen.cert, listen.key, listen.client_ca) = (None, None, Vec::new());
    }
    listen.disable_tls = listen.cert.is_none();
    listen
}

pub(super) fn listen(args: &AgentArgs) -> Listen {
    Listen { metrics: args.metrics.metrics_address, ..args.listen.clone().into() }
}

/// Whether names come from the cluster that the agent is a pod of.
pub(super) fn in_cluster(args: &AgentArgs) -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && args.kubeconfig.is_none()
}

/// Takes what it can; `problems` has what it can't, each of them.
pub(super) async fn prepare(
    loaded: &Loaded,
    listen: &Listen,
    in_cluster: bool,
    problems: &mut Problems,
) -> Prepared {
    let args = &loaded.args;
    let systemd = problems.check(Notifier::from_env()).unwrap_or_default();
    let inherited = problems.check(Inherited::from_env()).unwrap_or_default();
    let doors = problems.merge(Doors::take(listen, inherited)).unwrap_or_default();
    if let Some(file) = &args.names {
        problems.check(Names::default().load_file(file));
    }
    if in_cluster || args.kubeconfig.is_some() {
        let config = KubeConfig { kubeconfig: args.kubeconfig.clone(), ..KubeConfig::default() };
        problems.check(enrich::kube::check(&config).await);
    }
    if let Some(folder) = &args.history_dir {
        problems.check(usable(folder));
    }
    let metrics = Metrics::new(&loaded.metrics, args.metrics.metrics_max_series).map_err(Into::into);
    let metrics = problems.check(metrics).unwrap_or_default();
    let feeds = problems.merge(Feeds::start(loaded.feeds.clone())).unwrap_or_default();
    Prepared { systemd, doors, metrics, feeds }
}

/// Whether history can be kept in a folder, which is made if it is not there, and nobody else keeps his there.
fn usable(folder: &Path) -> anyhow::Result<()> {
    let probe = folder.join(".netdrop-probe");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, []))
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("--history-dir {} can't be written; choose another folder, or give this user the right to write there", folder.display()))?;
    take_folder(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(flags: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        let typed: Vec<String> =
            ["agent"].iter().chain(flags).map(|flag| flag.replace("HERE", &here)).collect();
        let matches = config::command().try_get_matches_from(typed).unwrap();
        let mistaken = config::load(&matches, &|_| None).unwrap_err();
        in_the_way(mistaken).await.to_string().replace(&here, "HERE")
    }

    #[tokio::test]
    async fn mistakes_of_all_kinds_are_told_at_once() {
        let all = told(&[
            "--config=HERE/none.yaml",
            "--drop-history=1",
            "--ring-size=5",
            "--socket-path=HERE/s",
            "--names=HERE/names",
            "--kubeconfig=HERE/kube",
            "--history-dir=/dev/null/x",
            "--log-rate=0",
        ])
        .await;
        for one in
            ["HERE/none.yaml", "--drop-history", "memory: ", "HERE/names", "HERE/kube", "--history-dir"]
        {
            assert_eq!(all.lines().filter(|line| line.contains(one)).count(), 1, "{one}: {all}");
        }
        assert!(all.starts_with("6 things are in the way:\n"), "{all}");
    }

    #[test]
    fn a_folder_of_another_agent_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        usable(folder.path()).unwrap();
        let _other = take_folder(folder.path()).unwrap();
        assert!(usable(folder.path()).unwrap_err().to_string().starts_with("another netdrop agent"));
    }

    /// What is missing may be in the file that can't be read, or be what was mistyped.
    #[tokio::test]
    async fn what_may_follow_from_a_mistake_is_not_told() {
        let all = told(&[
            "--config=HERE/none.yaml",
            "--socket-path=HERE/s",
            "--listen-address=127.0.0.1:0",
            "--tls-cert-file=HERE/cert",
            "--log-rate=0",
        ])
        .await;
        assert!(all.starts_with("the configuration has a mistake: HERE/none.yaml: cannot be read"), "{all}");
        assert_eq!(all.lines().count(), 1, "{all}");
    }
}
