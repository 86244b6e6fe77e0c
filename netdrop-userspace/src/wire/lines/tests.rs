use std::fs;

use netdrop_tests::flowgen::FlowGen;

use super::*;
use crate::observe::Ending;
use crate::sink::PrintOptions;
use crate::source::file::{FileSource, Messages};
use crate::wire::json::{Unknown, read, write};
use crate::wire::print::Printer;
use crate::wire::run::Run;

/// Standard output and error of both ways: lines that are printed where they are read, and messages that are printed one by one.
async fn both(
    file: &std::path::Path,
    options: Options,
    window: impl Fn() -> Window,
    count: Option<u64>,
) -> [(String, String); 2] {
    let filter = Compiled::default();
    let mut outputs = [(); 2].map(|()| (Vec::new(), Vec::new()));
    let [(out, err), (old_out, old_err)] = &mut outputs;
    let ending = || Ending { count, duration: None };

    let mut printer = Printer::new(options, out, err);
    let maker = LineMaker::new(&filter, &window(), printer.by_lines().unwrap());
    let mut source = FileSource::of(file, maker, |_| {}).unwrap();
    let show = Show::new(&mut printer, &window(), count);
    show.until_end(&mut source, ending(), std::future::pending()).await.unwrap();

    let mut printer = Printer::new(options, old_out, old_err);
    let mut source = FileSource::of(file, Messages::default(), |_| {}).unwrap();
    let run = Run::new(Some(&filter), window(), &mut printer, ending());
    run.until_end(&mut source, std::future::pending(), |_| {}).await.unwrap();
    drop(printer);

    outputs.map(|(out, err)| (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()))
}

/// A file of several pieces; some of what is in it is no flow.
fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.json");
    let all = FlowGen::new(5).unwrap().file(700, |_| {});
    let written = all.split_inclusive('\n').enumerate().map(|(i, line)| {
        let mut out = String::new();
        let read = read::<GetFlowsResponse>(line, Unknown::Refuse);
        let wrote = i % 8 > 0 && read.is_ok_and(|response| write(&response, &mut out).is_ok());
        if wrote { out + "\n" } else { line.to_owned() }
    });
    fs::write(&path, written.collect::<String>()).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 600_000);
    (folder, path)
}

#[tokio::test]
async fn whatever_part_is_asked_for_it_is_the_same() {
    let (_folder, path) = file();
    let time = |text: &str| text.parse().unwrap();
    let mut some = 0;
    for format in [Format::Json, Format::Compact, Format::Dict, Format::Wide] {
        let options =
            Options { print: PrintOptions { format, ..PrintOptions::default() }, ..Options::default() };
        for (first, last, since, count) in [
            (None, None, None, None),
            (Some(1), None, None, None),
            (Some(333), None, None, None),
            (Some(333), None, None, Some(100)),
            (None, None, None, Some(512)),
            (None, None, Some(time("2025-06-01T00:00:00Z")), None),
            (None, Some(1), None, None),
            (None, Some(250), None, None),
            (None, Some(20), Some(time("2025-06-01T00:00:00Z")), Some(5)),
            (None, Some(5000), None, None),
        ] {
            let window = || Window::new(first, last, since, None).unwrap();
            let [new, old] = both(&path, options, window, count).await;
            assert_eq!(new, old, "{format:?} {first:?} {last:?} {since:?} {count:?}");
            some += usize::from(!new.0.is_empty() && new.1.len() > 1);
        }
    }
    assert!(some > 20, "nodes were told of, too: {some}");
}

/// Of messages that are printed one by one no more is read than what is shown.
#[tokio::test]
async fn what_is_shown_of_messages_is_read() {
    let (_folder, path) = file();
    let filter = Compiled::default();
    for (format, stack) in
        [(Format::Table, false), (Format::Table, true), (Format::Compact, true), (Format::Json, true)]
    {
        let print = PrintOptions { format, ..PrintOptions::default() };
        let options = Options { print, stack, ..Options::default() };
        let mut shown = Vec::new();
        for wanted in [None, look::to_show(&filter, &options)] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut printer = Printer::new(options, &mut out, &mut err);
            assert!(printer.by_lines().is_none());
            let mut source = FileSource::of(&path, Messages { wanted }, |_| {}).unwrap();
            let run = Run::new(Some(&filter), Window::all(), &mut printer, Ending::default());
            run.until_end(&mut source, std::future::pending(), |_| {}).await.unwrap();
            drop(printer);
            shown.push((String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()));
        }
        assert!(shown[0].0.len() > 10_000);
        assert_eq!(shown[0], shown[1], "{format:?}");
    }
}

#[test]
fn no_more_is_kept_than_the_last_ones_need() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(Options::default(), &mut out, &mut err);
    let window = Window::new(None, Some(10), None, None).unwrap();
    let mut show = Show::new(&mut printer, &window, None);
    for _ in 0..1000 {
        let mut lines = Lines::default();
        (0..7).for_each(|_| lines.copy("x"));
        show.keep(lines);
    }
    assert_eq!(show.kept(), 14);
}
