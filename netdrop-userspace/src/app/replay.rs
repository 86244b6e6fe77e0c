//! `netdrop observe --input-file`: the flows of a file.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::say;
use crate::cli::observe::ObserveConfig;
use crate::filter::Compiled;
use crate::observe::Ending;
use crate::source::file::{FileSource, Messages, Trouble, shown};
use crate::wire::json::Tree;
use crate::wire::lines::{LineMaker, Show};
use crate::wire::look;
use crate::wire::print::Printer;
use crate::wire::run::{Run, WireSink};
use crate::wire::window::Window;

/// So many bad lines are told one by one; all are counted.
const TOLD: u64 = 10;

/// Prints the part of a file that was asked for; `stop` is Ctrl-C or SIGTERM.
pub(super) async fn replay_to<W: io::Write, E: io::Write>(
    config: &ObserveConfig,
    file: &Path,
    printer: &mut Printer<W, E>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let filter = config.filters.compile()?;
    let Some(options) = printer.by_lines() else {
        let wanted = look::to_show(&filter, printer.options());
        return messages(config, file, &filter, wanted, printer, stop).await;
    };
    let (window, ending) = begin(config, file)?;
    let bad = Bad::of(file);
    let mut source = FileSource::of(file, LineMaker::new(&filter, &window, options), bad.report())?;
    let outcome = Show::new(printer, &window, config.count).until_end(&mut source, ending, stop).await;
    bad.say(source.has_any());
    outcome
}

/// The same into anything that takes messages.
pub(super) async fn replay(
    config: &ObserveConfig,
    file: &Path,
    sink: &mut impl WireSink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let filter = config.filters.compile()?;
    messages(config, file, &filter, None, sink, stop).await
}

/// `wanted`: what of a message is looked at.
async fn messages(
    config: &ObserveConfig,
    file: &Path,
    filter: &Compiled,
    wanted: Option<Tree>,
    sink: &mut impl WireSink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (window, ending) = begin(config, file)?;
    let bad = Bad::of(file);
    let mut source = FileSource::of(file, Messages { wanted }, bad.report())?;
    let outcome = Run::new(Some(filter), window, sink, ending).until_end(&mut source, stop, |_| {}).await;
    bad.say(source.has_any());
    outcome.map(drop)
}

/// Which part of a file, and when it ends. What is typed and does nothing, or can't be, is said.
fn begin(config: &ObserveConfig, file: &Path) -> anyhow::Result<(Window, Ending)> {
    let s = &config.selection;
    let until = s.until.filter(|_| !s.follow);
    let window = Window::new(s.first, s.last, s.since, until)?;
    if config.shown.own_mask {
        say(format_args!("netdrop: --field-mask is what a server is asked for; a file is shown as it is"));
    }
    let idle = &config.shown.idle;
    if !idle.is_empty() {
        say(format_args!("netdrop: without effect on what a file holds: {}", idle.join(", ")));
    }
    anyhow::ensure!(
        config.duration.is_none() || !is_whole(file),
        "--duration is for what is still being written, as a pipe, and {} is read at once: choose a part of it with --since and --until",
        shown(file)
    );
    Ok((window, Ending { count: config.count, duration: config.duration }))
}

/// Lines that can't be read.
struct Bad {
    file: String,
    count: Arc<AtomicU64>,
}

impl Bad {
    fn of(file: &Path) -> Self {
        Self { file: shown(file), count: Arc::default() }
    }

    /// Tells them one by one.
    fn report(&self) -> impl FnMut(Trouble) + Send + 'static {
        let (file, count) = (self.file.clone(), Arc::clone(&self.count));
        move |trouble| report(&trouble, &file, &count)
    }

    /// How many there were; `any`: others could be read.
    fn say(&self, any: bool) {
        let (bad, file) = (self.count.load(Ordering::Relaxed), &self.file);
        if bad > 0 && !any {
            say(format_args!(
                "netdrop: no line of {file} could be read ({bad} were left out); each has to be a whole object, as `jq -c . FILE` writes them, or `jq -c '.[]' FILE` of an array"
            ));
        } else if bad > 0 {
            say(format_args!("netdrop: {bad} of the lines of {file} could not be read and were left out"));
        }
    }
}

/// Whether all that there will be to read is there already.
fn is_whole(file: &Path) -> bool {
    let standard = || io::stdin().as_fd().try_clone_to_owned().map(File::from)?.metadata();
    let about = if file == Path::new("-") { standard() } else { std::fs::metadata(file) };
    about.is_ok_and(|about| about.is_file())
}

fn report(trouble: &Trouble, file: &str, bad: &AtomicU64) {
    match trouble {
        Trouble::Bad { line, why } => {
            let before = bad.fetch_add(1, Ordering::Relaxed);
            if before < TOLD {
                say(format_args!("netdrop: {file}: line {line} is left out: {}", crate::sink::escape(why)));
            } else if before == TOLD {
                say(format_args!("netdrop: {file}: more such lines are only counted"));
            }
        }
        Trouble::Unknown { line, why } => say(format_args!(
            "netdrop: {file}: line {line}: {}: unknown fields are left out here and in the lines after it; a newer netdrop may know them",
            crate::sink::escape(why)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_and_a_pipe_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flows.json");
        std::fs::write(&file, "").unwrap();
        assert!(is_whole(&file));
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(!is_whole(&pipe));
        assert!(!is_whole(&folder.path().join("none")), "that is told when it is opened");
    }
}
