//! `netdrop observe`: an agent's observations, or live capture in this process.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::live::{Capture, Started, start};
use super::say;
use crate::cli::observe::ObserveConfig;
use crate::enrich::{Names, NamesSource};
use crate::filter::Compiled;
use crate::observe::{Ending, Run, Tally};
use crate::sink::Printer;
use crate::source::live::LiveSource;

/// Runs the command until its end; `stop` is Ctrl-C or SIGTERM.
pub async fn observe(config: ObserveConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    if config.print_raw_filters {
        return print_raw_filters(&config);
    }
    live(&config, stop).await
}

fn print_raw_filters(config: &ObserveConfig) -> anyhow::Result<()> {
    let text = config.raw_filters()?;
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write the output"),
        _ => Ok(()),
    }
}

fn printer(config: &ObserveConfig) -> Printer<io::BufWriter<io::Stdout>, io::Stderr> {
    let out = io::stdout();
    let color = config.output.color.resolve(out.is_terminal());
    Printer::new(
        config.output.print_options(color),
        io::BufWriter::with_capacity(64 * 1024, out),
        io::stderr(),
    )
}

async fn live(config: &ObserveConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    config.check_live()?;
    let filter = config.filters.compile()?;
    let capture = Capture {
        filter: &filter,
        names_file: config.names.clone(),
        kubeconfig: config.kubeconfig.clone(),
        in_cluster: false,
        node_name: config.node_name.clone(),
        ring_size: config.ring_size,
        own_node_only: false,
    };
    let Started { mut source, kernel, names, .. } = start(capture).await?;
    say(format_args!(
        "netdrop: capturing at tp_btf/kfree_skb, kernel {}; names: {}; filter: {}",
        kernel.release,
        describe_names(&names),
        describe(&filter)
    ));
    let mut sink = printer(config);
    let ending = Ending { count: config.count.or(config.selection.first), duration: config.duration };
    let run = Run::new(&filter, &mut sink, ending);
    let tally = run.until_end(&mut source, stop, |source, tally| silent(source, tally)).await?;
    say(format_args!("{}", closing(&source, &tally).context("cannot read the counters")?));
    Ok(())
}

fn describe_names(names: &Names) -> String {
    let status = names.status();
    match status.source {
        NamesSource::None => "none (--names FILE or --kubeconfig FILE)".to_owned(),
        NamesSource::File => format!("{} from the file", status.pods),
        NamesSource::Kubernetes => "from Kubernetes".to_owned(),
    }
}

fn describe(filter: &Compiled) -> &'static str {
    if filter.is_empty() { "none" } else { "as asked" }
}

fn silent(source: &LiveSource, tally: &Tally) {
    if let Ok(live) = source.tally() {
        let seen = live.dropped();
        let hidden = seen.saturating_sub(tally.shown + live.lost());
        say(format_args!(
            "netdrop: nothing to show for 10 s; {seen} drops seen, {hidden} hidden by the filter"
        ));
    }
}

/// The identity: shown + hidden + lost = all drops while capturing.
fn closing(source: &LiveSource, tally: &Tally) -> anyhow::Result<String> {
    let live = source.tally()?;
    let (dropped, lost) = (live.dropped(), live.lost());
    let hidden = dropped.saturating_sub(tally.shown + lost);
    Ok(format!("netdrop: {dropped} drops: {} shown, {hidden} hidden by the filter, {lost} lost", tally.shown))
}
