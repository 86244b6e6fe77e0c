//! `netdrop record`: what `observe` would show, into files.

use anyhow::Context as _;

use super::observe::observe_into;
use super::say;
use crate::cli::observe::ObserveConfig;
use crate::record::{RecordConfig, Recorder};

/// Records until the end of the stream, or until `stop`.
pub async fn record(
    config: ObserveConfig,
    record: RecordConfig,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    if config.print_raw_filters {
        return super::observe(config, stop).await;
    }
    let file = record.file.display().to_string();
    let mut recorder = Recorder::start(record, |news| say(format_args!("netdrop: {news}")))
        .with_context(|| format!("cannot record to {file}"))?;
    let outcome = observe_into(&config, &mut recorder, stop).await;
    // Whatever ended the stream, what came before is in the file.
    let written = recorder.close().with_context(|| format!("cannot record to {file}"))?;
    say(format_args!("netdrop: {written}; the last is {file}"));
    outcome?;
    if written.lost > 0 {
        let (lost, why) = (written.lost, written.why.as_deref().unwrap_or("it could not be written"));
        anyhow::bail!("{lost} more lines are in no file: {why}");
    }
    Ok(())
}
