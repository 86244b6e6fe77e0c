//! The catalogue of reasons beside the running kernel: all its names are explained, and none is claimed that it lacks.

use std::collections::BTreeSet;
use std::process::Command;

use netdrop_tests::kernel as kernels;
use serde_json::Value;

use crate::harness::{binary, kernel};

/// The newest release that the catalogue was compared with.
const NEWEST: (u32, u32) = (6, 18);

/// `netdrop reasons --all -o json`.
fn catalogue() -> Vec<Value> {
    let listed = Command::new(binary()).args(["reasons", "--all", "-o", "json"]).output();
    let listed = listed.expect("netdrop runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    serde_json::from_slice(&listed.stdout).expect("JSON")
}

fn release(value: &Value) -> Option<(u32, u32)> {
    let (major, minor) = value.as_str()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether the catalogue claims a name for this kernel; `None`: it says that this depends on the stable update.
fn claimed(kernels: &Value) -> Option<bool> {
    let here = kernel().version();
    let updates = kernels["updates_of"].as_array().expect("a list");
    if updates.iter().any(|r| release(r) == Some(here)) {
        return None;
    }
    let first = release(&kernels["first"]).is_some_and(|first| here >= first);
    let last = release(&kernels["last"]).is_none_or(|last| here <= last);
    let gone = release(&kernels["gone_by"]).is_some_and(|gone| here >= gone);
    Some(first && last && !gone)
}

#[test]
fn the_catalogue_fits_this_kernel() {
    if kernel().version() > NEWEST {
        println!("SKIPPED the_catalogue_fits_this_kernel: it is newer than the catalogue");
        return;
    }
    // The tracepoint names the core's reasons; the two that are no drops it leaves out.
    let named = kernels::tracepoint_reasons().expect("the tracepoint prints reasons by name");
    let mut here: BTreeSet<String> = named.into_iter().map(|(_, name)| name).collect();
    let all = catalogue();
    let find = |name: &str| all.iter().find(|r| r["name"] == name);
    for name in &here {
        let row = find(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert!(row["meaning"].is_string() && row["class"].is_string(), "{name} is not explained");
        assert_ne!(claimed(&row["kernels"]), Some(false), "{name} is here: {row}");
    }
    here.extend(["NOT_DROPPED_YET", "CONSUMED"].map(str::to_owned));
    let of_modules = |name: &str| name.starts_with("RX_DROP_") || name.starts_with("OVS_DROP_");
    for row in &all {
        let name = row["name"].as_str().expect("a name");
        let known = here.contains(name) || of_modules(name);
        assert!(known || claimed(&row["kernels"]) != Some(true), "{name} is not here: {row}");
        if of_modules(name) && row["code"].is_number() {
            assert_ne!(claimed(&row["kernels"]), Some(false), "{name} is here: {row}");
        }
    }
}

/// What `explain` says has all that `reasons` lists, for a name of any kernel.
#[test]
fn every_name_has_a_page() {
    for name in ["PTYPE_ABSENT", "OVS_DROP_LAST_ACTION", "RX_DROP_U_REPLAY", "NOT_SPECIFIED"] {
        let page = Command::new(binary()).args(["explain", name]).output().expect("netdrop runs");
        let text = String::from_utf8_lossy(&page.stdout);
        assert!(page.status.success() && text.starts_with(&format!("{name}\n")), "{text}");
        assert!(text.contains("in Linux ") && text.contains("Run next"), "{text}");
    }
    let unknown = Command::new(binary()).args(["explain", "NETFILTERDROP"]).output().expect("netdrop runs");
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Did you mean NETFILTER_DROP?"));
}
