//! What commands say on stderr by `tracing`; stdout is data.

use std::fmt;
use std::io;
use std::path::Path;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::SetLevel;

/// Diagnostics go to stderr. `RUST_LOG` chooses how much.
pub fn log_to_stderr() {
    drop(log_at("info"));
}

/// The same, for `--debug`; told is also which config file is read.
pub fn log_more(config: Option<&Path>) {
    drop(log_at("netdrop=debug,info"));
    if let Some(path) = config {
        tracing::debug!(path = %path.display(), "flags that were not typed are read from the config file");
    }
}

/// For a command whose words are for a person: what is wrong, as its other words are said. Libraries say nothing: what they fail at is
/// told by who asked them.
pub fn log_trouble() {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(log_filter("netdrop=warn"))
        .with_writer(io::stderr)
        .with_ansi(false)
        .event_format(Plain);
    // A second call finds the first one's, which is as good.
    drop(subscriber.try_init());
}

/// Diagnostics go to stderr, as much as `level` says, or `RUST_LOG`, which comes first. What is given changes it later.
pub fn log_at(level: &str) -> SetLevel {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(log_filter(level))
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // A second call finds the first one's, which is as good.
    drop(subscriber.try_init());
    Box::new(move |level| handle.reload(log_filter(level)).map_err(|e| e.to_string()))
}

/// A bare level is netdrop's own; libraries speak only of trouble.
fn log_filter(level: &str) -> EnvFilter {
    let bare = level.parse::<tracing::Level>().is_ok();
    let asked = if bare { format!("netdrop={level},warn") } else { level.to_owned() };
    EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(asked))
        .unwrap_or_else(|_| EnvFilter::new("netdrop=info,warn"))
}

/// `netdrop: what is wrong field=value`
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::from("netdrop: ");
        context.format_fields(Writer::new(&mut text), event)?;
        // What came from elsewhere makes no second line.
        writeln!(writer, "{}", crate::sink::escape(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn trouble_is_a_line_as_others_are() {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("netdrop=warn"))
            .with_writer(move || to.clone())
            .with_ansi(false)
            .event_format(Plain)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = "no\nsuch\u{1b}[2J", "certificates are of no use");
            tracing::info!("not for a person");
            tracing::warn!(target: "h2", "nor is this");
            tracing::error!("it is over");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("netdrop: certificates are of no use error=\"no"), "{text}");
        assert!(!lines[0].contains('\u{1b}'), "{text}");
        assert_eq!(lines[1], "netdrop: it is over");
    }
}
