//! What `netdrop status --local` says of the kernel, against what the kernel says of itself elsewhere.

use netdrop_tests::command;
use netdrop_tests::kernel;
use serde_json::Value;

use crate::harness::{binary, kernel as running};

fn feature<'a>(status: &'a Value, name: &str) -> (&'a str, &'a str) {
    let features = status["features"].as_array().expect("features");
    let found = features.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name}: {status}"));
    (found["state"].as_str().expect("a state"), found["detail"].as_str().expect("a detail"))
}

#[test]
fn the_kernel_is_known() {
    let netdrop = binary();
    let path = netdrop.to_str().expect("a path of UTF-8");
    let printed = command::run(path, &["status", "--local", "--output", "json"]).expect("netdrop status");
    let status: Value = serde_json::from_str(&printed).expect("JSON");
    for name in ["BTF", "tp_btf", "kernel fields", "drop reasons", "packet owner", "ring buffer"] {
        assert_eq!(feature(&status, name).0, "ok", "{name}: {status}");
    }

    let format = kernel::tracepoint("skb", "kfree_skb").expect("the tracepoint has a format");
    let yes = |field: &str| if format.contains(&format!("{field};")) { "yes" } else { "no" };
    let (reason, socket) = (yes("enum skb_drop_reason reason"), yes("void * rx_sk"));
    let arguments = feature(&status, "kfree_skb arguments").1;
    assert!(arguments.ends_with(&format!("; reason: {reason}, rx_sk: {socket}")), "{arguments}\n{format}");

    let tcx = if running().is_since(6, 6) { "ok" } else { "missing" };
    assert_eq!((feature(&status, "TCX").0, feature(&status, "clsact").0), (tcx, "ok"));
}
