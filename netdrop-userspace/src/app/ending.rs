//! What ends a command from outside: signals, and a reader of its output that has gone.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::say;

/// After a signal, a reader of the output that takes nothing is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Signals so soon after the first are the same wish: `timeout`, `sudo` and others send a Ctrl-C on to a process that has had it.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Comes true at Ctrl-C or SIGTERM; both are caught from the first poll on. What is written last may find a reader that has stopped
/// reading: a later signal ends the process at once, and so does time.
pub async fn stop_signal() {
    any_of(&[SignalKind::interrupt(), SignalKind::terminate()]).await;
}

/// The same, and when the terminal has gone (SIGHUP), for what has no other use for that signal.
pub async fn end_signal() {
    let hangup = [SignalKind::hangup()];
    // Who was started by nohup stays.
    let hangup = if ignores_hangup() { &[][..] } else { &hangup };
    any_of(&[&[SignalKind::interrupt(), SignalKind::terminate()], hangup].concat()).await;
}

/// The same, and when nobody reads standard output any more.
pub async fn end_of_output() {
    tokio::select! {
        () = end_signal() => {}
        () = output_gone() => {}
    }
}

/// When nobody reads standard output any more. Signals are not caught: they end the process by themselves, as its parent may see.
pub async fn output_gone() {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(output) => reader_gone(output).await,
        Err(_) => std::future::pending().await,
    }
}

/// Comes true when the other end of a pipe or socket is closed, without a line that would tell. A file has no reader that could go.
async fn reader_gone(output: OwnedFd) {
    let (tell, told) = oneshot::channel();
    // A thread of its own: it does nothing but wait in the kernel, and ends with the process.
    let watch = move || {
        // Errors and hang-ups are told in any case.
        let mut wanted = [PollFd::new(&output, PollFlags::empty())];
        loop {
            match poll(&mut wanted, None) {
                Ok(_) if wanted[0].revents().is_empty() => {}
                Ok(_) => break tell.send(()),
                Err(Errno::INTR) => {}
                Err(_) => break Err(()),
            }
        }
    };
    let watching = std::thread::Builder::new().name("reader".to_owned()).spawn(watch).is_ok();
    if !watching || told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    // The lowest bit is signal 1.
    ignored & 1 != 0
}

#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "the thread that would end it by itself is the one that cannot go on"
)]
async fn any_of(kinds: &[SignalKind]) {
    let Ok(mut signals) = kinds.iter().map(|kind| signal(*kind)).collect::<io::Result<Vec<_>>>() else {
        return std::future::pending().await;
    };
    let (stop, stopped) = oneshot::channel();
    // A task of its own: the one that waits here may be the one that is stuck.
    tokio::spawn(async move {
        next(&mut signals).await;
        // Nobody waits any more: the command has ended.
        let _ = stop.send(());
        let mut late = pin!(tokio::time::sleep(PATIENCE));
        tokio::time::sleep(ONE_WISH).await;
        // What came meanwhile, however late this task runs again: on a busy machine it has to wait for its turn.
        came(&mut signals).await;
        let why = tokio::select! {
            () = next(&mut signals) => "it was interrupted again",
            () = &mut late => "the reader of the output takes no more",
        };
        say(format_args!("netdrop: ended before all was written: {why}"));
        std::process::exit(1);
    });
    drop(stopped.await);
}

async fn next(signals: &mut [Signal]) {
    poll_fn(|cx| if any_came(signals, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Whether one has come by now; it has then been taken.
async fn came(signals: &mut [Signal]) -> bool {
    poll_fn(|cx| Poll::Ready(any_came(signals, cx))).await
}

/// Takes what has come of each kind; several of one kind are one. A kind of which none has come wakes the task when one does.
fn any_came(signals: &mut [Signal], cx: &mut Context<'_>) -> bool {
    signals.iter_mut().map(|signal| signal.poll_recv(cx)).filter(Poll::is_ready).count() > 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_closed_pipe_is_noticed_without_a_write() {
        let (reader, writer) = io::pipe().unwrap();
        let gone = tokio::spawn(reader_gone(writer.into()));
        // Not before the reader goes.
        tokio::task::yield_now().await;
        assert!(!gone.is_finished());
        drop(reader);
        timeout(Duration::from_secs(30), gone).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_file_has_no_reader_that_could_go() {
        let file = tempfile::tempfile().unwrap();
        assert!(timeout(Duration::from_millis(20), reader_gone(file.into())).await.is_err());
    }
}
