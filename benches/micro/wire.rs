//! What a line of a file costs on its way to the screen.

use std::hint::black_box;
use std::io;

use divan::Bencher;
use divan::counter::BytesCount;
use netdrop::flow::Observation;
use netdrop::proto::observer::GetFlowsResponse;
use netdrop::sink::{Format, PrintOptions};
use netdrop::wire::json::{self, Unknown};
use netdrop::wire::mask::{DEFAULT, FieldMask};
use netdrop::wire::print::{Options, Printer};

use super::{BATCH, packets};

fn response() -> GetFlowsResponse {
    netdrop::convert::to_wire(&Observation::Flow(packets::flow("tcp")))
}

fn line() -> String {
    let mut line = String::new();
    json::write(&response(), &mut line).expect("a flow has a JSON");
    line
}

/// From a line to the message.
#[divan::bench]
fn wire_read(bencher: Bencher<'_, '_>) {
    let line = line();
    bencher
        .counter(BytesCount::of_str(&line))
        .bench(|| json::read::<GetFlowsResponse>(black_box(&line), Unknown::Refuse));
}

/// Whether a line is as it would be written.
#[divan::bench]
fn wire_exact(bencher: Bencher<'_, '_>) {
    let line = line();
    bencher.counter(BytesCount::of_str(&line)).bench(|| json::is_exact::<GetFlowsResponse>(black_box(&line)));
}

/// From the message to a line, or what else is shown of it; bytes are those of the JSON line.
#[divan::bench(args = ["compact", "dict", "tab", "json"])]
fn wire_print(bencher: Bencher<'_, '_>, name: &str) {
    let format = Format::from_name(name).expect("a format");
    let options = Options { print: PrintOptions { format, ..PrintOptions::default() }, ..Options::default() };
    let (response, bytes) = (response(), line().len() * BATCH);
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let mut printer = Printer::new(options, io::sink(), io::sink());
        for _ in 0..BATCH {
            drop(black_box(printer.write(black_box(&response))));
        }
        printer.finish()
    });
}

/// What a server does for a client that asks for the text formats' fields only.
#[divan::bench]
fn wire_mask(bencher: Bencher<'_, '_>) {
    let mask = FieldMask::parse(&DEFAULT).expect("paths that flows have");
    let mut flow = packets::flow("tcp");
    flow.time = jiff::Timestamp::UNIX_EPOCH;
    let Some(netdrop::proto::observer::get_flows_response::ResponseTypes::Flow(wire)) =
        netdrop::convert::to_wire(&Observation::Flow(flow)).response_types
    else {
        return;
    };
    bencher.with_inputs(|| wire.clone()).bench_values(|mut wire| {
        mask.apply(&mut wire);
        wire
    });
}
