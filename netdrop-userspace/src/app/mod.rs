//! The commands: validated configs in, text and exit code out. Wires sources, filters and sinks together.

mod agent;
mod ending;
mod events;
mod list;
mod live;
mod log;
mod observe;
mod prepared;
mod record;
mod relay;
mod replay;
mod status;

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::cli::server_flags::{ServerFlags, Servers};

pub use agent::agent;
pub use ending::{end_of_output, end_signal, output_gone, stop_signal};
pub use events::events;
pub use list::{list, watch};
pub use log::{log_at, log_more, log_to_stderr, log_trouble};
pub use observe::observe;
pub use prepared::load;
pub use record::record;
pub use relay::relay;
pub use status::status;

/// Runs a command to its end on a runtime of its own. Two workers: one for the stream, one for names and clients.
pub fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(command);
    // A blocked write to a dead terminal must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// What is wrong with some of several servers.
fn say_all(troubles: &[String]) {
    for why in troubles {
        say(format_args!("netdrop: {}", crate::sink::escape(why)));
    }
}

/// The servers that were named; what there is to say of the way to them is said to the person.
fn servers_of(flags: &ServerFlags) -> anyhow::Result<Servers> {
    let mut servers = flags.servers()?;
    servers.dial.tell = say;
    Ok(servers)
}

/// What a command prints at once: a server's names and texts don't drive a terminal, where their format lets them through.
pub fn print(text: Vec<u8>) -> io::Result<()> {
    let mut out = io::stdout();
    let text = if io::IsTerminal::is_terminal(&out) { tame(text) } else { text };
    out.write_all(&text)
}

fn tame(text: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(text) {
        Ok(mut text) => {
            crate::sink::escape::tame_json(&mut text, 0);
            text.into_bytes()
        }
        Err(e) => e.into_bytes(),
    }
}

#[cfg(test)]
#[test]
fn what_a_server_is_called_drives_no_terminal() {
    let text = "[\n  \"a\u{9b}2J\"\n]\n".to_owned().into_bytes();
    assert_eq!(tame(text), b"[\n  \"a\\u009b2J\"\n]\n");
    assert_eq!(tame(vec![b'a', 0xff]), [b'a', 0xff]);
}

/// One line to the person. There is nobody to tell if stderr is gone.
pub fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
