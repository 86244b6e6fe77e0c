//! Log feeds: those of the flags, and the flowLogs of the file.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf, absolute};

use super::list::{Fields, Place, Problems, filters_of_json, path};
use super::yaml::{Node, Value};
use crate::agent::feed::{FeedSpec, FileSpec, MEGABYTE, Target};
use crate::cli::agent::{AgentArgs, ExportArgs};
use crate::cli::time;
use crate::filter::{Filters, FlowFilter};

/// Names of the feeds of the flags.
const STDOUT: &str = "stdout";
const EXPORT: &str = "export";

/// The feeds of the flags: one to stdout, one to a file.
pub(super) fn of_flags(args: &ExportArgs, problems: &mut Problems) -> Vec<FeedSpec> {
    let to_file = args.export_file_path.as_deref().filter(|p| !p.as_os_str().is_empty());
    let to_stdout = to_file.is_some_and(|p| p == Path::new(STDOUT));
    let mut feeds = Vec::new();
    if args.log_rate > 0 || to_stdout {
        let mut stdout = FeedSpec::new(STDOUT, Target::Stdout);
        stdout.rate = NonZeroU32::new(args.log_rate);
        feeds.push(stdout);
    }
    let configured = FeedSpec {
        filters: Filters {
            allow: filters("export-allowlist", &args.export_allowlist, problems),
            deny: filters("export-denylist", &args.export_denylist, problems),
        },
        field_mask: args.export_fieldmask.clone(),
        field_aggregate: args.export_fieldaggregate.clone(),
        interval: args.export_aggregation_interval,
        ..FeedSpec::new(EXPORT, Target::Stdout)
    };
    let problem = match to_file {
        None if configured != FeedSpec::new(EXPORT, Target::Stdout) => Some(
            "without --export-file-path there is no feed for the other --export- flags; name a file, or stdout".to_owned(),
        ),
        None => None,
        Some(_) if to_stdout => {
            let rate = feeds.first().and_then(|f| f.rate);
            feeds = vec![FeedSpec { name: STDOUT.to_owned(), rate, ..configured }];
            None
        }
        Some(file) => {
            let file = FileSpec {
                max_bytes: args.export_file_max_size_mb.saturating_mul(MEGABYTE),
                max_backups: args.export_file_max_backups,
                compress: args.export_file_compress,
                ..FileSpec::new(file)
            };
            feeds.push(FeedSpec { target: Target::File(file), ..configured });
            None
        }
    };
    if let Some(problem) = problem {
        problems.0.push(problem);
    }
    for feed in &feeds {
        if let Err(e) = feed.compile() {
            problems.add(format_args!("feed {:?}", feed.name), e);
        }
        check_interval(feed, |what| problems.add(format_args!("feed {:?}", feed.name), what));
    }
    feeds
}

/// What the agent keeps at all.
pub(super) fn kept(args: &AgentArgs, problems: &mut Problems) -> Filters {
    let all = Filters {
        allow: filters("allowlist", &args.allowlist, problems),
        deny: filters("denylist", &args.denylist, problems),
    };
    if let Err(e) = all.compile() {
        problems.add("allowlist, denylist", e);
    }
    all
}

/// Filters of a flag, which may have several in one value, as Hubble's.
fn filters(flag: &str, list: &[String], problems: &mut Problems) -> Vec<FlowFilter> {
    let mut filters: Vec<FlowFilter> = Vec::new();
    for json in list {
        match filters_of_json(json) {
            Ok(more) => filters.extend(more),
            Err(why) => problems.add(flag, format_args!("{json:?}: {why}")),
        }
    }
    filters
}

/// Half of what putting together takes is not what was meant.
fn check_interval(feed: &FeedSpec, mut problem: impl FnMut(&str)) {
    match (feed.field_aggregate.is_empty(), feed.interval.is_zero()) {
        (false, true) => problem(
            "flows that are alike are put together only with an aggregation interval; set one, as 30s, or leave the fields out",
        ),
        (true, false) => problem(
            "an aggregation interval does nothing without the fields to aggregate by; name them, or leave it out",
        ),
        _ => {}
    }
}

/// `flowLogs` of a file, as Hubble's dynamic exporters have them, beside the feeds there are.
pub(super) fn of_file(file: &Path, node: &Node, feeds: &mut Vec<FeedSpec>, problems: &mut Problems) {
    let Value::List(list) = &node.value else {
        if node.value != Value::Null {
            let what = format_args!("flowLogs: want a list of feeds, found {}", node.kind());
            problems.add(Place { file, line: node.line }, what);
        }
        return;
    };
    for (at, node) in list.iter().enumerate() {
        let Some(mut fields) = Fields::new(file, format!("flowLogs[{at}]"), node, problems) else { continue };
        // An interval that can't be read is no lack of one.
        let before = problems.0.len();
        let feed = one(&mut fields, problems);
        let interval_is_read = problems.0.len() == before;
        if let Some(feed) = feed {
            if let Some(other) = feeds.iter().find(|f| f.name == feed.name) {
                fields.problem(
                    format_args!("the name {:?} is taken by another feed; choose one for each", other.name),
                    problems,
                );
            } else if let Some(other) = feeds.iter().find(|f| same_place(&f.target, &feed.target)) {
                let what =
                    format_args!("the feed {:?} writes to the same place; choose one for each", other.name);
                fields.problem(what, problems);
            }
            if let Err(e) = feed.compile() {
                fields.problem(e, problems);
            }
            if interval_is_read {
                check_interval(&feed, |what| fields.problem(what, problems));
            }
            feeds.push(feed);
        }
        fields.finish(problems);
    }
}

fn same_place(a: &Target, b: &Target) -> bool {
    match (a, b) {
        (Target::Stdout, Target::Stdout) => true,
        (Target::File(a), Target::File(b)) => place(&a.path) == place(&b.path),
        _ => false,
    }
}

/// A file that is there in its own name, one that is not in that of its folder: links lead to one file by several paths.
fn place(path: &Path) -> PathBuf {
    let folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize()
        .ok()
        .or_else(folder)
        .or_else(|| absolute(path).ok())
        .unwrap_or_else(|| path.to_owned())
}

fn one(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<FeedSpec> {
    let name = fields.required("name", problems);
    let to = fields.required("filePath", problems);
    let field_mask = fields.texts("fieldMask", problems);
    let field_aggregate = fields.texts("fieldAggregate", problems);
    let interval = fields.scalar("aggregationInterval", "a time, as 30s or 5m", time::duration, problems);
    let allow = fields.filters("includeFilters", problems);
    let deny = fields.filters("excludeFilters", problems);
    // Hubble takes 0 for the default.
    let size = fields
        .scalar("fileMaxSizeMb", "a number of megabytes", |t| t.parse::<u64>().ok(), problems)
        .filter(|n| *n > 0);
    let backups = fields
        .scalar("fileMaxBackups", "a number of files", |t| t.parse::<usize>().ok(), problems)
        .filter(|n| *n > 0);
    let compress = fields.scalar("fileCompress", "true or false", |t| t.parse().ok(), problems);
    let end = fields.scalar("end", "a time, as 2026-01-02T15:04:05Z", |t| t.parse().ok(), problems);
    let rate = fields.scalar("rateLimit", "lines a second", |t| t.parse::<u32>().ok(), problems);
    let (name, to) = (name?, path(&to?)?);
    let target = if to == Path::new(STDOUT) {
        Target::Stdout
    } else {
        let file = FileSpec::new(to);
        Target::File(FileSpec {
            max_bytes: size.map_or(file.max_bytes, |mb| mb.saturating_mul(MEGABYTE)),
            max_backups: backups.unwrap_or(file.max_backups),
            compress: compress.unwrap_or(false),
            path: file.path,
        })
    };
    Some(FeedSpec {
        filters: Filters { allow, deny },
        field_mask,
        field_aggregate,
        interval: interval.unwrap_or_default(),
        end,
        rate: rate.and_then(NonZeroU32::new),
        ..FeedSpec::new(name, target)
    })
}
