//! `cargo xtask demo`: real drops on two nodes with two pods each, as netdrop shows them.

mod build;
mod cases;
mod cleanup;
mod provoke;
mod screen;
mod stage;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use netdrop_tests::conntrack;
use netdrop_tests::observer::{self, Observer};

use cases::Case;
use cleanup::Cleanup;
use screen::{Row, Screen};
use stage::Stage;

/// How long a drop may take to show up.
const LIMIT: Duration = Duration::from_secs(10);

/// Arguments of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Use this netdrop instead of building one
    #[arg(long, value_name = "PATH")]
    netdrop: Option<PathBuf>,
}

/// Runs the demo; an error if netdrop saw other than what the kernel dropped.
pub fn run(args: DemoArgs) -> Result<()> {
    let mut screen = Screen::new();
    let netdrop = match args.netdrop {
        Some(path) => path,
        None => build::netdrop()?,
    };
    let removed = cleanup::remove_leftovers()?;
    if removed > 0 {
        screen.note(&format!("removed {removed} namespaces of a demo that was killed"))?;
    }
    let cleanup = Cleanup::new()?;
    let stage = Stage::build(&cleanup)?;
    screen.network(&stage)?;
    let filling = conntrack::fill(stage.worker_1())?;
    let mut observers = Observers::start(&netdrop, &stage, &cleanup)?;
    screen.command(&stage.observe_line())?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for (n, case) in (1..).zip(cases::all()) {
        rows.push(show(n, &case, &stage, &mut observers, &mut screen)?);
    }
    let (n, case) = (rows.len() + 1, cases::conntrack());
    match filling.join() {
        Ok(()) => rows.push(show(n, &case, &stage, &mut observers, &mut screen)?),
        Err(why) => screen.skipped(n, &case, &why)?,
    }
    for port in observers.end()? {
        rows.iter_mut().filter(|row| row.port == port).for_each(|row| row.seen += 1);
    }
    screen.table(&rows, started.elapsed())?;
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    if wrong > 0 {
        bail!("netdrop saw other than what the kernel dropped in {wrong} of {} cases", rows.len());
    }
    Ok(())
}

fn show(n: usize, case: &Case, stage: &Stage, observers: &mut Observers, screen: &mut Screen) -> Result<Row> {
    screen.title(n, case)?;
    let truth = (case.provoke)(stage, case)?;
    let (seen, reason) = observers.count(case.port, truth.expected)?;
    let counted = (truth.counted)()?;
    screen.outcome(&observers.first_line(case.port)?, case)?;
    Ok(Row { title: case.title, port: case.port, sent: case.sent, counted, seen, reason })
}

/// Two readers of the same drops: one for the eye, one to count.
struct Observers {
    compact: Observer,
    json: Observer,
}

impl Observers {
    fn start(netdrop: &Path, stage: &Stage, cleanup: &Cleanup) -> Result<Self> {
        let start = |format: &str| -> Result<Observer> {
            let mut args = stage.observe_args();
            args.extend(["-o".to_owned(), format.to_owned()]);
            let observer = Observer::start(netdrop, &args)?;
            cleanup.child(observer.id());
            Ok(observer)
        };
        Ok(Self { compact: start("compact")?, json: start("json")? })
    }

    /// Counts the drops towards `port` until there are `expected`, and the reason of the last.
    fn count(&mut self, port: u16, expected: u64) -> Result<(u64, String)> {
        let deadline = Instant::now() + LIMIT;
        let (mut seen, mut reason) = (0, String::from("-"));
        while seen < expected {
            let Some(flow) = self.json.flow(deadline)? else { break };
            if stage::destination_port(&flow) == Some(port) {
                seen += 1;
                flow["extensions"]["value"]["kernel_reason"].as_str().unwrap_or("-").clone_into(&mut reason);
            }
        }
        Ok((seen, reason))
    }

    fn first_line(&mut self, port: u16) -> Result<String> {
        let deadline = Instant::now() + LIMIT;
        let mark = format!(":{port} ");
        while let Some(line) = self.compact.line(deadline)? {
            if line.contains(&mark) {
                return Ok(line);
            }
        }
        Ok("(netdrop showed no line)".to_owned())
    }

    /// Ends both; gives the destination ports of drops that nobody had waited for.
    fn end(self) -> Result<Vec<u16>> {
        let mut ports = Vec::new();
        for observer in [self.compact, self.json] {
            let ended = observer.interrupt()?;
            if !ended.status.success() {
                bail!("netdrop ended with {} when interrupted:\n{}", ended.status, ended.talk);
            }
            let flows = ended.rest.iter().filter_map(|line| observer::flow(line).ok());
            ports.extend(flows.filter_map(|flow| stage::destination_port(&flow)));
        }
        Ok(ports)
    }
}
