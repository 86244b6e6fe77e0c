//! Which of the lines are shown, by the rules of [`crate::wire::run::Run`].

use std::collections::VecDeque;
use std::io;
use std::pin::pin;

use super::{LineMaker, Lines};
use crate::observe::Ending;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::source::file::FileSource;
use crate::wire::print::Printer;
use crate::wire::run::{at, gone};
use crate::wire::window::Window;

/// One showing of a file.
pub(crate) struct Show<'a, W, E> {
    printer: &'a mut Printer<W, E>,
    /// How many may still come.
    first: Option<u64>,
    last: Option<Last>,
    /// How many flows are shown at most, and how many were.
    most: Option<u64>,
    flows: u64,
}

/// What is kept for the end.
struct Last {
    most: usize,
    kept: VecDeque<Lines>,
    /// How many are in them.
    count: usize,
}

enum Step {
    Go,
    Enough,
    ReaderGone,
}

impl<'a, W: io::Write, E: io::Write> Show<'a, W, E> {
    /// Nothing has been shown yet.
    pub(crate) fn new(printer: &'a mut Printer<W, E>, window: &Window, count: Option<u64>) -> Self {
        let (_, first, last) = window.parts();
        let last = last.map(|most| Last { most, kept: VecDeque::new(), count: 0 });
        Self { printer, first, last, most: count, flows: 0 }
    }

    /// Until the file ends, `stop` comes true, enough is shown, its time is over or nobody reads any more.
    pub(crate) async fn until_end(
        mut self,
        source: &mut FileSource<LineMaker>,
        ending: Ending,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut stop = pin!(stop);
        let end = ending.duration.map(|d| tokio::time::Instant::now() + d);
        let outcome = loop {
            tokio::select! {
                biased;
                () = &mut stop => break self.rest(),
                () = at(end) => break self.rest(),
                lines = source.piece() => {
                    let step = match lines {
                        Ok(Some(lines)) => self.take(lines),
                        Ok(None) => break self.rest(),
                        Err(e) => break self.rest().and(Err(e)),
                    };
                    match step {
                        Ok(Step::Go) => {}
                        Ok(Step::Enough) => break Ok(()),
                        Ok(Step::ReaderGone) => return Ok(()),
                        Err(e) => break Err(e),
                    }
                }
            }
        };
        // What was printed before an error is brought to its reader, too.
        let finished = gone(self.printer.finish().map_err(Into::into));
        outcome?;
        finished.map(drop)
    }

    fn enough(&self) -> bool {
        self.first == Some(0) || self.most.is_some_and(|most| self.flows >= most)
    }

    fn take(&mut self, lines: Lines) -> anyhow::Result<Step> {
        if lines.ends.is_empty() {
            return Ok(Step::Go);
        }
        if self.enough() {
            return Ok(Step::Enough);
        }
        if let Some(last) = &mut self.last {
            last.push(lines);
            return Ok(Step::Go);
        }
        if self.show(lines, 0)? || gone(self.printer.flush().map_err(Into::into))? {
            return Ok(Step::ReaderGone);
        }
        Ok(if self.enough() { Step::Enough } else { Step::Go })
    }

    /// What was kept for the end, whatever it was that ended.
    fn rest(&mut self) -> anyhow::Result<()> {
        let Some(last) = self.last.take() else { return Ok(()) };
        self.most = None;
        let mut passed_over = last.count.saturating_sub(last.most);
        for lines in last.kept {
            let from = passed_over.min(lines.ends.len());
            passed_over -= from;
            if self.show(lines, from)? {
                break;
            }
        }
        Ok(())
    }

    /// Shows lines from this one on, until it is enough; whether nobody reads any more.
    fn show(&mut self, lines: Lines, mut from: usize) -> anyhow::Result<bool> {
        let Lines { text, ends, others } = lines;
        let first = from;
        let mut others = others.into_iter().skip_while(|(place, _)| *place < first).peekable();
        while from < ends.len() && !self.enough() {
            if let Some((_, response)) = others.next_if(|(place, _)| *place == from) {
                self.flows += u64::from(matches!(response.response_types, Some(ResponseTypes::Flow(_))));
                self.first = self.first.map(|first| first.saturating_sub(1));
                if gone(self.printer.write(&response))? {
                    return Ok(true);
                }
                from += 1;
                continue;
            }
            let to = others.peek().map_or(ends.len(), |(place, _)| *place);
            let left = self.most.map(|most| most - self.flows);
            let some = [self.first, left].into_iter().flatten().fold((to - from) as u64, u64::min);
            self.flows += some;
            self.first = self.first.map(|first| first - some);
            // No more than the difference that it was.
            let to = from + usize::try_from(some).unwrap_or(to - from);
            let begin = from.checked_sub(1).map_or(0, |before| ends[before]);
            if gone(self.printer.lines(&text[begin..ends[to - 1]], some).map_err(Into::into))? {
                return Ok(true);
            }
            from = to;
        }
        Ok(false)
    }
}

#[cfg(test)]
impl<W, E> Show<'_, W, E> {
    pub(super) fn keep(&mut self, lines: Lines) {
        self.last.as_mut().unwrap().push(lines);
    }

    pub(super) fn kept(&self) -> usize {
        self.last.as_ref().unwrap().count
    }
}

impl Last {
    fn push(&mut self, mut lines: Lines) {
        lines.text.shrink_to_fit();
        self.count += lines.ends.len();
        self.kept.push_back(lines);
        // Pieces of which nothing will be shown.
        while let Some(oldest) = self.kept.front().map(|lines| lines.ends.len())
            && self.count - oldest >= self.most
        {
            self.kept.pop_front();
            self.count -= oldest;
        }
    }
}
