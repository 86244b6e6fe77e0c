//! `netdrop observe`: an agent's observations, or live capture in this process.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use prost_types::FieldMask;

use super::live::{Capture, Started, start};
use super::replay::{replay, replay_to};
use super::{say, servers_of};
use crate::agent::DEFAULT_SOCKET;
use crate::balance::Balance;
use crate::cli::observe::{DEFAULT_LAST, ObserveConfig};
use crate::cli::server_flags::{HERE, Servers};
use crate::connect::{Address, Target};
use crate::convert::{ask_for_benign, filter_to_wire, filters_to_extension, time_to_wire};
use crate::enrich::change::Listener;
use crate::enrich::{Names, NamesSource};
use crate::explain;
use crate::filter::Compiled;
use crate::observe::{self, Ending, Tally};
use crate::proto::observer::GetFlowsRequest;
use crate::sink::{Format, Pcapng, Printer, Sink};
use crate::source::live::LiveSource;
use crate::source::remote::Remote;
use crate::wire::run::{self, Converted, Run, WireSink};
use crate::wire::window::Window;
use crate::wire::{mask, print};

/// Runs the command until its end; `stop` is Ctrl-C or SIGTERM.
pub async fn observe(config: ObserveConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    if config.print_raw_filters {
        return print_raw_filters(&config);
    }
    // A file needs no server, whatever is said of one.
    let servers = if config.shown.input_file.is_none() { servers(&config)? } else { None };
    let elsewhere = config.shown.input_file.is_some() || servers.is_some();
    if config.output.format == Format::Pcapng && elsewhere {
        bail!("-o pcapng needs the packets themselves, which only live capture has: --server none");
    }
    if let Some(file) = &config.shown.input_file {
        let mut printer = wire_printer(&config)?;
        replay_to(&config, file, &mut printer, stop).await?;
        say_without_stacks(&printer);
        return Ok(());
    }
    match servers {
        Some(servers) => {
            let mut printer = wire_printer(&config)?;
            remote(&config, &servers, &mut printer, stop).await?;
            say_without_stacks(&printer);
            Ok(())
        }
        None => match config.output.format {
            Format::Pcapng => packets(&config, stop).await,
            // Only the wire message's printers know these.
            _ if config.output.format == Format::Wide
                || (config.capture.stack.0 > 0 && config.output.format != Format::Json)
                || config.shown.legacy_json
                || config.shown.own_mask =>
            {
                let wanted = if config.shown.own_mask { &config.shown.field_mask[..] } else { &[] };
                let mask = mask::FieldMask::parse(wanted)?;
                live(&config, &mut Converted(wire_printer(&config)?, mask), stop).await
            }
            _ => live(&config, &mut printer(&config)?, stop).await,
        },
    }
}

/// The same into anything that takes both what is captured here and what comes from elsewhere.
pub(super) async fn observe_into<K: Sink + WireSink>(
    config: &ObserveConfig,
    sink: &mut K,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    if let Some(file) = &config.shown.input_file {
        return replay(config, file, sink, stop).await;
    }
    match servers(config)? {
        Some(servers) => remote(config, &servers, sink, stop).await,
        None => live(config, sink, stop).await,
    }
}

/// Whom to ask: those named, else the local agent if it is there and nothing asks for what only capture here has.
fn servers(config: &ObserveConfig) -> anyhow::Result<Option<Servers>> {
    let named = config.server.named();
    let here = match &named[..] {
        _ if config.server.forward.port_forward => false,
        [none] if none == HERE => true,
        [] => config.names.is_some() || names_from(config).is_some() || !Path::new(DEFAULT_SOCKET).exists(),
        _ => false,
    };
    if here { Ok(None) } else { servers_of(&config.server).map(Some) }
}

/// The cluster that live capture has names from.
fn names_from(config: &ObserveConfig) -> Option<PathBuf> {
    config.server.forward.kubeconfig.clone().filter(|file| !file.as_os_str().is_empty())
}

async fn remote(
    config: &ObserveConfig,
    servers: &Servers,
    sink: &mut impl WireSink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // What is wrong with Hubble's filters is the server's to say: it may know more than this build.
    let own = filters_to_extension(&config.filters).is_some();
    let filter = own.then(|| config.filters.compile()).transpose()?;
    say_unknown_reasons(config);
    let request = request(config);
    tracing::debug!(%servers, ?request, "asking for flows");
    // Whoever ends it before there is an answer gets an end, not a kill.
    let mut stop = pin!(stop);
    let opening = Remote::open(servers, request, |slow| say(format_args!("netdrop: {slow}")));
    let began = Instant::now();
    let mut source = tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        opened = opening => opened?,
        () = over(config.duration) => bail!("no answer from {servers} within --duration"),
    };
    let noun = match &servers.targets[..] {
        [Target { address: Address::Tunnel(_), .. }] => "",
        [_] => "the agent at ",
        _ => "the servers ",
    };
    if config.selection.follow {
        say(format_args!("netdrop: following {noun}{servers} (--server none captures here)"));
    } else {
        say(format_args!("netdrop: history of {noun}{servers}; -f goes on (--server none captures here)"));
    }
    let left = config.duration.map(|duration| duration.saturating_sub(began.elapsed()));
    let ending = Ending { count: config.count, duration: left };
    // The server has filtered, and may have left fields out; only what Hubble's filters can't say is left to do here.
    let run = Run::new(filter.as_ref(), Window::all(), sink, ending);
    let tally = run.until_end(&mut source, stop, silent_remote).await?;
    if config.selection.follow {
        say(format_args!(
            "netdrop: {} shown, {} aggregated, {} hidden by the filter here, {} lost",
            tally.shown, tally.aggregated, tally.hidden, tally.lost
        ));
    }
    Ok(())
}

/// When that time is over; `None`: never.
async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn silent_remote(tally: &run::Tally) {
    say(format_args!("netdrop: nothing to show for 10 s; {} shown so far", tally.shown + tally.aggregated));
}

/// The request for what was asked.
fn request(config: &ObserveConfig) -> GetFlowsRequest {
    let s = &config.selection;
    let filters = &config.filters;
    let nothing_asked =
        s.last.is_none() && s.first.is_none() && s.since.is_none() && s.until.is_none() && !s.follow;
    let number = match (s.first, s.last) {
        (Some(n), _) | (None, Some(n)) => n,
        _ if s.all => u64::MAX,
        _ if nothing_asked => DEFAULT_LAST,
        _ => 0,
    };
    // What is matched here must be there to be matched.
    let mask = config.shown.field_mask.clone();
    let mask =
        if filters_to_extension(filters).is_some() && !config.shown.own_mask { Vec::new() } else { mask };
    GetFlowsRequest {
        number,
        first: s.first.is_some(),
        follow: s.follow,
        since: s.since.map(time_to_wire),
        until: s.until.filter(|_| !s.follow).map(time_to_wire),
        // A deny filter with a field that the server does not see would hide too much there.
        whitelist: filters.allow.iter().map(filter_to_wire).collect(),
        blacklist: filters.deny.iter().filter(|f| !f.is_own()).map(filter_to_wire).collect(),
        extensions: ask_for_benign(filters_to_extension(filters), config.include_benign),
        field_mask: Some(FieldMask { paths: mask }).filter(|m| !m.paths.is_empty()),
        ..GetFlowsRequest::default()
    }
}

fn print_raw_filters(config: &ObserveConfig) -> anyhow::Result<()> {
    let text = config.raw_filters()?;
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write the output"),
        _ => Ok(()),
    }
}

/// Packets for Wireshark and its kin.
async fn packets(config: &ObserveConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        bail!("-o pcapng is not for a terminal: add > drops.pcapng, or | wireshark -k -i -");
    }
    let mut sink = Pcapng::new(stdout()?);
    live(config, &mut sink, stop).await?;
    if sink.without_packet() > 0 {
        say(format_args!("netdrop: {} observations had no packet to write", sink.without_packet()));
    }
    Ok(())
}

fn stdout() -> anyhow::Result<std::fs::File> {
    Ok(io::stdout().as_fd().try_clone_to_owned().context("stdout is closed")?.into())
}

/// Unbuffered: the printer hands whole batches of lines on.
fn printer(config: &ObserveConfig) -> anyhow::Result<Printer<std::fs::File, io::Stderr>> {
    let terminal = io::stdout().is_terminal();
    let color = config.output.color.resolve(terminal);
    Ok(Printer::new(config.output.print_options(color), stdout()?, io::stderr()).on_terminal(terminal))
}

/// Who asked for call stacks and gets none is told where they would come from.
fn say_without_stacks<W: io::Write, E: io::Write>(printer: &print::Printer<W, E>) {
    if printer.lacks_stacks() {
        say(format_args!(
            "netdrop: no call stacks: they are read where drops are captured, by netdrop agent, observe or record with --stack"
        ));
    }
}

/// A server's kernel may be another one, so a reason that nobody knows here is no error; but it is more likely a slip of the hand.
fn say_unknown_reasons(config: &ObserveConfig) {
    let filters = config.filters.allow.iter().chain(&config.filters.deny);
    for reason in filters.flat_map(|f| &f.reason) {
        let name = reason.to_ascii_uppercase();
        let name = name.strip_prefix("SKB_DROP_REASON_").unwrap_or(&name);
        if !name.contains(['*', ':']) && explain::find(name).is_none() {
            say(format_args!(
                "netdrop: no kernel up to 6.18 has the drop reason {reason:?}; `netdrop reasons --all` lists those that there are"
            ));
        }
    }
}

/// For what a server or a file holds.
fn wire_printer(config: &ObserveConfig) -> anyhow::Result<print::Printer<std::fs::File, io::Stderr>> {
    let terminal = io::stdout().is_terminal();
    let options = print::Options {
        print: config.output.print_options(config.output.color.resolve(terminal)),
        policy_names: config.shown.policy_names,
        stack: config.capture.stack.0 > 0,
        legacy_json: config.shown.legacy_json,
        silent: config.shown.silent,
        terminal,
    };
    Ok(print::Printer::new(options, stdout()?, io::stderr()))
}

async fn live(
    config: &ObserveConfig,
    sink: &mut impl Sink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    config.check_live()?;
    let hide_benign = !config.include_benign && !explain::is_asked_for(&config.filters);
    let capture = Capture {
        filters: &config.filters,
        names_file: config.names.clone(),
        kubeconfig: names_from(config),
        in_cluster: false,
        node_name: config.node_name.clone(),
        listener: Listener::default(),
        memory: config.capture.memory(),
        events_per_flow: config.capture.events_per_flow(),
        keep_frames: config.output.format == Format::Pcapng,
        stack_depth: config.capture.stack.0,
        own_node_only: false,
        include_benign: config.include_benign,
        hide_benign,
    };
    let Started { mut source, filter, kernel, names, kube: _watchers } = start(capture).await?;
    // From here on an interrupt ends with a sum, not at once.
    let mut stop = pin!(stop);
    if futures::poll!(stop.as_mut()).is_ready() {
        return Ok(());
    }
    say(format_args!(
        "netdrop: capturing at tp_btf/kfree_skb, kernel {}; names: {}; filter: {}",
        kernel.release,
        describe_names(&names),
        describe(&filter)
    ));
    let ending = Ending { count: config.count.or(config.selection.first), duration: config.duration };
    let run = observe::Run::new(&filter, sink, ending).hide_benign(hide_benign);
    let tally = run.until_end(&mut source, stop, silent).await?;
    if source.without_stack() > 0 {
        say(format_args!(
            "netdrop: {} without a call stack: the kernel had none, or more flows were added up than --memory-budget has room for",
            source.without_stack()
        ));
    }
    let balance = Balance::new(&source.tally().context("cannot read the counters")?, &tally.flows);
    if let Some(table) = balance.by_reason() {
        say(format_args!("{}", table.trim_end()));
    }
    say(format_args!("netdrop: {balance}"));
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
        let hidden = live.filtered() + tally.flows.total().hidden;
        let told = match live.benign() + tally.flows.total().benign {
            0 => String::new(),
            n => format!(" ({n} benign: --include-benign shows them)"),
        };
        say(format_args!(
            "netdrop: nothing to show for 10 s; {seen} drops seen, {hidden} hidden by the filter{told}"
        ));
    }
}
