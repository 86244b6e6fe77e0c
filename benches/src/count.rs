//! netdrop up to where a fan-out would begin: reads, decodes, names and counts every drop, and prints none.

use std::io;

use anyhow::Result;
use netdrop::app;
use netdrop::balance::Balance;
use netdrop::enrich::Names;
use netdrop::filter::Compiled;
use netdrop::flow::Observation;
use netdrop::kernel::KernelInfo;
use netdrop::observe::{Ending, Run};
use netdrop::probe::ProbeConfig;
use netdrop::sink::Sink;
use netdrop::source::live::{LiveConfig, LiveSource};

use crate::say;

/// Takes every observation, as the first step of a fan-out does, and keeps none.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        std::hint::black_box(observation);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs until a signal; says when it is attached and, at the end, what was counted.
pub fn run() -> Result<()> {
    app::run(count())
}

async fn count() -> Result<()> {
    let kernel = KernelInfo::load()?;
    let config = LiveConfig {
        keep_frames: false,
        // No limit of records.
        probe: ProbeConfig { events_per_flow: None, ..ProbeConfig::default() },
        names: Names::new(),
        node_name: None,
        scope: None,
        news: None,
    };
    let mut source = LiveSource::start(&kernel, config)?;
    say(format_args!("count: capturing"));
    let filter = Compiled::default();
    let mut sink = Nowhere;
    let run = Run::new(&filter, &mut sink, Ending::default());
    let tally = run.until_end(&mut source, app::stop_signal(), |_, _| {}).await?;
    say(format_args!("count: {}", Balance::new(&source.tally()?, &tally.flows)));
    Ok(())
}
