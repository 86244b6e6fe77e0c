//! The commands: validated configs in, text and exit code out. Wires sources, filters and sinks together.

mod live;
mod observe;

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use observe::observe;

/// Runs a command to its end on a runtime of its own. Two workers: one for the stream, one for names and clients.
pub fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(command);
    // A blocked write to a dead terminal must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Comes true at Ctrl-C or SIGTERM; both are caught from the first poll on.
pub async fn stop_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// One line to the person. There is nobody to tell if stderr is gone.
pub fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
