//! The loop between a stream of wire messages and a printer: which part, filter, count, end.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::mask::FieldMask;
use super::matches;
use super::print::{PrintError, Printer};
use super::window::Window;
use crate::convert::to_wire;
use crate::filter::Compiled;
use crate::flow::Observation;
use crate::observe::Ending;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::sink::Sink;
use crate::source::wire::WireSource;

/// Without a line for this long, a person wants to know that netdrop is alive.
const SILENCE: Duration = Duration::from_secs(10);

/// What takes the messages that are shown.
pub trait WireSink {
    /// Takes one.
    fn write(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError>;
    /// Brings what was written to its reader.
    fn flush(&mut self) -> Result<(), PrintError>;
    /// Writes what waits for the end.
    fn finish(&mut self) -> Result<(), PrintError> {
        self.flush()
    }
}

impl<W: io::Write, E: io::Write> WireSink for Printer<W, E> {
    fn write(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError> {
        Self::write(self, response)
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(Self::flush(self)?)
    }

    fn finish(&mut self) -> Result<(), PrintError> {
        Ok(Self::finish(self)?)
    }
}

/// A sink of wire messages for what is captured here, of which only some fields are wanted.
pub struct Converted<K>(pub K, pub FieldMask);

impl<K: WireSink> Sink for Converted<K> {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        let mut response = to_wire(observation);
        if let Some(ResponseTypes::Flow(flow)) = &mut response.response_types
            && !self.1.is_empty()
        {
            self.1.apply(flow);
            // As Hubble's server has it, these are the flow's.
            response.time = flow.time;
            response.node_name.clone_from(&flow.node_name);
        }
        self.0.write(&response).map_err(as_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(as_io)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish().map_err(as_io)
    }
}

fn as_io(e: PrintError) -> io::Error {
    match e {
        PrintError::Io(e) => e,
        e @ (PrintError::Json(..) | PrintError::NotAnEvent(_)) => io::Error::other(e),
    }
}

/// What became of the messages of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Flows of one packet, or that don't say of how many.
    pub shown: u64,
    /// Packets of flows that say of how many.
    pub aggregated: u64,
    /// Flows that the filter here turned away.
    pub hidden: u64,
    /// Reported as lost by the source.
    pub lost: u64,
}

/// One run.
pub struct Run<'a, K> {
    /// `None`: who sends has filtered.
    filter: Option<&'a Compiled>,
    window: Window,
    sink: &'a mut K,
    ending: Ending,
    tally: Tally,
    flows: u64,
}

enum Step {
    Go,
    Enough,
    ReaderGone,
}

impl<'a, K: WireSink> Run<'a, K> {
    /// Nothing has been shown yet.
    pub fn new(filter: Option<&'a Compiled>, window: Window, sink: &'a mut K, ending: Ending) -> Self {
        Self { filter, window, sink, ending, tally: Tally::default(), flows: 0 }
    }

    /// Until the source ends, `stop` comes true, the ending is reached or nobody reads any more. `on_silence` is called
    /// after ten seconds without a line.
    pub async fn until_end<S: WireSource>(
        mut self,
        source: &mut S,
        stop: impl Future<Output = ()>,
        mut on_silence: impl FnMut(&Tally),
    ) -> anyhow::Result<Tally> {
        let mut stop = pin!(stop);
        let mut batch = Vec::new();
        let end = self.ending.duration.map(|d| Instant::now() + d);
        let mut silent_at = Instant::now() + SILENCE;
        let outcome = loop {
            tokio::select! {
                biased;
                () = &mut stop => break self.rest(),
                () = at(end) => break self.rest(),
                () = sleep_until(silent_at) => {
                    on_silence(&self.tally);
                    silent_at = Instant::now() + SILENCE;
                }
                more = source.next(&mut batch) => {
                    match more {
                        Ok(true) => {}
                        Ok(false) => break self.rest(),
                        Err(e) => break self.rest().and(Err(e)),
                    }
                    let before = self.flows;
                    match self.take(&mut batch) {
                        Ok(Step::Go) => {}
                        Ok(Step::Enough) => break Ok(()),
                        Ok(Step::ReaderGone) => return Ok(self.tally),
                        Err(e) => break Err(e),
                    }
                    if self.flows != before {
                        silent_at = Instant::now() + SILENCE;
                    }
                }
            }
        };
        // What was printed before an error is brought to its reader, too.
        let finished = gone(self.sink.finish());
        outcome?;
        finished?;
        Ok(self.tally)
    }

    /// What was kept for the end of the stream, whatever ended it.
    fn rest(&mut self) -> anyhow::Result<()> {
        let rest = self.window.rest();
        for response in rest {
            if gone(self.show(&response))? {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<Step> {
        for response in batch.drain(..) {
            if self.enough() {
                return Ok(Step::Enough);
            }
            if !self.window.covers(&response) {
                continue;
            }
            if self.filter.is_some_and(|f| !matches(f, &response)) {
                self.tally.hidden += 1;
                continue;
            }
            if let Some(response) = self.window.pass(response)
                && gone(self.show(&response))?
            {
                return Ok(Step::ReaderGone);
            }
        }
        if gone(self.sink.flush())? {
            return Ok(Step::ReaderGone);
        }
        Ok(if self.enough() { Step::Enough } else { Step::Go })
    }

    fn enough(&self) -> bool {
        self.window.is_over() || self.ending.count.is_some_and(|most| self.flows >= most)
    }

    fn show(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError> {
        match &response.response_types {
            Some(ResponseTypes::Flow(flow)) => {
                self.flows += 1;
                match &flow.aggregate {
                    Some(a) => {
                        let counts =
                            [a.ingress_flow_count, a.egress_flow_count, a.unknown_direction_flow_count];
                        self.tally.aggregated += counts.map(u64::from).iter().sum::<u64>();
                    }
                    None => self.tally.shown += 1,
                }
            }
            Some(ResponseTypes::LostEvents(lost)) => {
                self.tally.lost = self.tally.lost.saturating_add(lost.num_events_lost);
            }
            _ => {}
        }
        self.sink.write(response)
    }
}

pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether the reader of our output has gone: that is an end, not an error.
pub(super) fn gone(result: Result<(), PrintError>) -> anyhow::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(PrintError::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(PrintError::Io(e)) => Err(anyhow::Error::new(e).context("cannot write the output")),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;
    use crate::proto::flow::Flow;

    /// Three flows, and then an error, or nothing more, which is told.
    struct Three<'a> {
        told: bool,
        then: Option<&'static str>,
        silent: &'a Notify,
    }

    impl WireSource for Three<'_> {
        async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
            if std::mem::replace(&mut self.told, true) {
                if let Some(why) = self.then {
                    return Err(anyhow::anyhow!(why));
                }
                self.silent.notify_one();
                return std::future::pending().await;
            }
            batch.extend(["a", "b", "c"].map(|summary| {
                let flow = Flow { summary: summary.to_owned(), ..Flow::default() };
                let response_types = Some(ResponseTypes::Flow(flow));
                GetFlowsResponse { response_types, ..GetFlowsResponse::default() }
            }));
            Ok(true)
        }
    }

    #[derive(Default)]
    struct Shown(Vec<String>);

    impl WireSink for Shown {
        fn write(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError> {
            if let Some(ResponseTypes::Flow(flow)) = &response.response_types {
                self.0.push(flow.summary.clone());
            }
            Ok(())
        }

        fn flush(&mut self) -> Result<(), PrintError> {
            Ok(())
        }
    }

    /// What is shown of the last two, and how it ended.
    async fn last_two(then: Option<&'static str>) -> (Vec<String>, anyhow::Result<Tally>) {
        let silent = Notify::new();
        let (mut shown, mut source) = (Shown::default(), Three { told: false, then, silent: &silent });
        let window = Window::new(None, Some(2), None, None).unwrap();
        let run = Run::new(None, window, &mut shown, Ending::default());
        let outcome = run.until_end(&mut source, silent.notified(), |_| {}).await;
        (shown.0, outcome)
    }

    #[tokio::test]
    async fn what_was_kept_is_shown_whatever_ends_it() {
        let (shown, outcome) = last_two(Some("torn")).await;
        assert_eq!((shown, outcome.unwrap_err().to_string()), (vec!["b".into(), "c".into()], "torn".into()));
        let (shown, outcome) = last_two(None).await;
        assert_eq!((shown, outcome.unwrap().shown), (vec!["b".into(), "c".into()], 2), "interrupted");
    }
}
