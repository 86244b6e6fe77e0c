//! Bytes as a file of flows: each line is read, filtered, masked and printed.

use netdrop::filter::{Compiled, Filters, FlowFilter};
use netdrop::proto::observer::GetFlowsResponse;
use netdrop::proto::observer::get_flows_response::ResponseTypes;
use netdrop::sink::{Format, PrintOptions};
use netdrop::wire::json::{self, Unknown};
use netdrop::wire::mask::{DEFAULT, FieldMask};
use netdrop::wire::print::{Options, Printer};

/// Lines, as `observe --input-file` reads them. One that was read is printed in all formats; its JSON, read again, is the same. What is
/// said to be as it would be written is.
///
/// # Panics
/// Where that promise is broken: that is what the fuzzer looks for.
pub fn run(bytes: &[u8]) {
    let filter = filter();
    for line in bytes.split(|b| *b == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if let Ok(response) = json::read::<GetFlowsResponse>(line, Unknown::Refuse) {
            // What is refused nowhere is passed over nowhere.
            let again = json::read::<GetFlowsResponse>(line, Unknown::Ignore);
            assert_eq!(again.as_ref(), Ok(&response), "{line}");
            let mut written = String::new();
            let is_written = json::write(&response, &mut written).is_ok();
            assert!(!json::is_exact::<GetFlowsResponse>(line) || (is_written && written == line), "{line}");
            check(response, &filter);
        } else if let Ok(response) = json::read::<GetFlowsResponse>(line, Unknown::Ignore) {
            assert!(!json::is_exact::<GetFlowsResponse>(line), "{line}");
            check(response, &filter);
        }
    }
}

fn filter() -> Compiled {
    let allow: Vec<FlowFilter> =
        [r#"{"source_pod":["a/"]}"#, r#"{"source_label":["a=b"],"destination_ip":["10.0.0.0/8"]}"#]
            .iter()
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect();
    Filters { allow, deny: Vec::new() }.compile().unwrap_or_default()
}

fn check(mut response: GetFlowsResponse, filter: &Compiled) {
    netdrop::wire::matches(filter, &response);
    let mut line = String::new();
    if json::write(&response, &mut line).is_ok() {
        let again = json::read::<GetFlowsResponse>(&line, Unknown::Refuse);
        assert_eq!(again.as_ref(), Ok(&response), "{line}");
        assert!(!line.contains(['\n', '<', '>', '&', '\u{1b}']), "{line}");
    }
    for format in [Format::Compact, Format::Dict, Format::Table, Format::Json, Format::Wide] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let options = Options {
            print: PrintOptions { format, ..PrintOptions::default() },
            policy_names: true,
            terminal: true,
            ..Options::default()
        };
        let mut printer = Printer::new(options, &mut out, &mut err);
        let printed = printer.write(&response).is_ok() && printer.finish().is_ok();
        drop(printer);
        if printed && format != Format::Json {
            for text in [out, err] {
                let text = String::from_utf8_lossy(&text);
                assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            }
        }
    }
    if let (Some(ResponseTypes::Flow(flow)), Ok(mask)) =
        (&mut response.response_types, FieldMask::parse(&DEFAULT))
    {
        mask.apply(flow);
        let once = flow.clone();
        mask.apply(flow);
        assert_eq!(*flow, once, "a mask takes all it takes at once");
    }
}
