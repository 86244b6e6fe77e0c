//! `netdrop observe agent-events` and `debug-events`: what a server tells of itself.

use std::io::{self, IsTerminal as _, Write};
use std::pin::pin;

use futures::FutureExt as _;
use tonic::{Code, Status, Streaming};

use super::{say, servers_of};
use crate::cli::events::{EventKind, EventsConfig};
use crate::cli::observe::DEFAULT_LAST;
use crate::connect::{MAX_RESPONSE, words};
use crate::convert::time_to_wire;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetAgentEventsRequest, GetDebugEventsRequest};
use crate::source::remote::connect;
use crate::wire::print::{Event, EventPrinter, Options, PrintError};

/// Most events taken at once.
const TAKE: usize = 256;

/// Runs the command until its end; `stop` is a signal, or the reader's end.
pub async fn events(config: EventsConfig, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let terminal = io::stdout().is_terminal();
    let shown = events_into(&config, io::stdout(), terminal, stop).await?;
    if shown == 0 && !config.selection.follow {
        say(format_args!("netdrop: no such events"));
    }
    Ok(())
}

/// The same into anything; how many were shown.
async fn events_into(
    config: &EventsConfig,
    out: impl Write,
    terminal: bool,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<u64> {
    let mut stop = pin!(stop);
    let options = Options {
        print: config.output.print_options(false),
        legacy_json: config.legacy_json,
        terminal,
        ..Options::default()
    };
    let mut printer = EventPrinter::new(options, out);
    let asked = async {
        let servers = servers_of(&config.server)?;
        let client = ObserverClient::new(connect(&servers).await?);
        anyhow::Ok(client.max_decoding_message_size(MAX_RESPONSE))
    };
    let mut client = tokio::select! {
        client = asked => client?,
        () = &mut stop => return Ok(0),
    };
    match config.kind {
        EventKind::Agent => {
            let request = agent_request(config);
            tracing::debug!(?request, "asking for agent events");
            let stream = client.get_agent_events(request).await.map_err(|s| words(&s))?.into_inner();
            show(stream, &mut printer, stop).await
        }
        EventKind::Debug => {
            let GetAgentEventsRequest { number, first, follow, since, until } = agent_request(config);
            let request = GetDebugEventsRequest { number, first, follow, since, until };
            tracing::debug!(?request, "asking for debug events");
            let stream = client.get_debug_events(request).await.map_err(|s| words(&s))?.into_inner();
            show(stream, &mut printer, stop).await
        }
    }
}

/// As Hubble's client asks; but a `--first` counts.
fn agent_request(config: &EventsConfig) -> GetAgentEventsRequest {
    let s = &config.selection;
    let number = match (s.first, s.last) {
        (Some(n), _) | (None, Some(n)) => n,
        _ if s.since.is_some() || s.until.is_some() => 0,
        _ if s.all => u64::MAX,
        _ => DEFAULT_LAST,
    };
    GetAgentEventsRequest {
        number,
        first: s.first.is_some(),
        follow: s.follow,
        since: s.since.map(time_to_wire),
        until: s.until.map(time_to_wire),
    }
}

/// Prints all that comes, until the server ends or `stop`; how many.
async fn show<E: Event, W: Write>(
    mut stream: Streaming<E>,
    printer: &mut EventPrinter<W>,
    mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<u64> {
    let mut shown = 0;
    let outcome = loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            next = stream.message() => next,
        };
        if let Some(ended) = take(next, printer, &mut shown) {
            break ended;
        }
        // What has come already is written at once.
        let mut ended = None;
        for _ in 1..TAKE {
            let Some(next) = stream.message().now_or_never() else { break };
            ended = take(next, printer, &mut shown);
            if ended.is_some() {
                break;
            }
        }
        if let Some(ended) = ended {
            break ended;
        }
        if let Err(e) = printer.flush() {
            break print_error(e.into());
        }
    };
    // What came before an error is printed, too.
    let finished = printer.finish().or_else(|e| print_error(e.into()));
    outcome.and(finished).map(|()| shown)
}

/// Prints what came; the end, if that is what came.
fn take<E: Event, W: Write>(
    next: Result<Option<E>, Status>,
    printer: &mut EventPrinter<W>,
    shown: &mut u64,
) -> Option<anyhow::Result<()>> {
    match next {
        Ok(Some(event)) => match printer.write(&event) {
            Ok(()) => {
                *shown += 1;
                None
            }
            Err(e) => Some(print_error(e)),
        },
        Ok(None) => Some(Ok(())),
        Err(status) => Some(stream_error(&status)),
    }
}

fn stream_error(status: &Status) -> anyhow::Result<()> {
    if status.code() == Code::Cancelled { Ok(()) } else { Err(words(status)) }
}

/// A reader that has gone is an end, not an error.
fn print_error(e: PrintError) -> anyhow::Result<()> {
    match e {
        PrintError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        PrintError::Io(e) => Err(anyhow::Error::new(e).context("cannot write the output")),
        e => Err(e.into()),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
