//! Hearing a report to its end, but not for ever.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use netdrop_tests::expect::{Line, Lines};

use crate::shell::say;

/// Reads all lines, keeps them in a file with the seconds since the start, and says at once which tests fail.
pub(super) fn to<R: Read + AsFd>(
    mut lines: Lines<R>,
    who: &str,
    limit: Duration,
    keep: &Path,
) -> anyhow::Result<String> {
    let mut file = File::create(keep).with_context(|| format!("can't make {}", keep.display()))?;
    let start = Instant::now();
    let deadline = start + limit;
    let mut heard = String::new();
    loop {
        match lines.next(deadline)? {
            Line::Text(line) => {
                let line = line.trim_end_matches('\r');
                writeln!(file, "{:7.1} {line}", start.elapsed().as_secs_f64())?;
                if line.starts_with("test ") && line.ends_with("FAILED") {
                    say("!!", format_args!("{who}: {line}"));
                }
                heard.push_str(line);
                heard.push('\n');
            }
            Line::End => return Ok(heard),
            Line::Late => {
                let (minutes, keep) = (limit.as_secs() / 60, keep.display());
                bail!("not done after {minutes} minutes; {keep} tells how far it came");
            }
        }
    }
}
