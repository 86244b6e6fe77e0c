//! Features of the capture: types, the hook, reasons, the ways out of the kernel.

use std::path::Path;
use std::sync::Arc;

use super::{Attempts, Feature};
use crate::kernel::info::passes_reason;
use crate::kernel::{Btf, Reasons, fields};

const NO_CAPTURE: &str = "no capture on this machine; --server can still show what another agent sees";

pub(super) fn features(
    root: &Path,
    btf: Result<&Arc<Btf>, &anyhow::Error>,
    attempts: &Attempts,
) -> Vec<Feature> {
    let mut features = vec![types(btf), hook(btf.ok(), attempts)];
    if let Ok(btf) = btf {
        features.extend([fields(btf), reasons(root, btf), arguments(btf), owner(btf)]);
    }
    features.extend([
        by_attempt(
            "ring buffer",
            attempts.ring_buffer.as_ref(),
            btf.ok().is_some_and(|b| b.enum_value("BPF_MAP_TYPE_RINGBUF").is_some()),
            "no capture: records have no way out of the kernel (needs Linux 5.8)",
        ),
        by_attempt(
            "TCX",
            attempts.tcx.as_ref(),
            btf.ok().is_some_and(|b| b.enum_value("BPF_TCX_INGRESS").is_some()),
            "tc programs attach by clsact, where another tool can remove them (TCX needs Linux 6.6)",
        ),
        clsact(root, btf.ok()),
    ]);
    features
}

fn types(btf: Result<&Arc<Btf>, &anyhow::Error>) -> Feature {
    match btf {
        Ok(btf) => Feature::ok("BTF", format!("{} types", btf.len()), NO_CAPTURE),
        Err(error) => Feature::missing("BTF", format!("{error:#}"), NO_CAPTURE),
    }
}

fn hook(btf: Option<&Arc<Btf>>, attempts: &Attempts) -> Feature {
    let known = btf.is_some_and(|b| b.tracepoint_arguments("kfree_skb").is_some());
    match &attempts.tp_btf {
        Some(Ok(())) => Feature::ok("tp_btf", "kfree_skb loads and attaches", NO_CAPTURE),
        Some(Err(error)) => Feature::missing("tp_btf", format!("kfree_skb: {error}"), NO_CAPTURE),
        None if known => Feature::ok("tp_btf", "kfree_skb is in BTF; loading was not tried", NO_CAPTURE),
        None => Feature::missing("tp_btf", "kfree_skb is not in BTF (needs CONFIG_BPF_EVENTS=y)", NO_CAPTURE),
    }
}

fn fields(btf: &Btf) -> Feature {
    const NAME: &str = "kernel fields";
    const WITHOUT: &str =
        "no capture, or fields that a record leaves out; a newer netdrop may know this kernel";
    match fields::resolve(btf) {
        Ok(found) => {
            let absent = found.iter().filter(|(_, offset)| *offset == netdrop_common::fields::ABSENT);
            let names: Vec<_> = absent.map(|(name, _)| *name).collect();
            if names.is_empty() {
                Feature::ok(NAME, format!("all {}", found.len()), WITHOUT)
            } else {
                Feature::degraded(
                    NAME,
                    format!("{} of {} absent: {}", names.len(), found.len(), names.join(", ")),
                    WITHOUT,
                )
            }
        }
        Err(error) => Feature::missing(NAME, error.to_string(), WITHOUT),
    }
}

fn reasons(root: &Path, btf: &Arc<Btf>) -> Feature {
    const NAME: &str = "drop reasons";
    const WITHOUT: &str =
        "drops are seen, but not why: only the place in the kernel (reasons need Linux 5.17)";
    let reasons = Reasons::load(root, btf);
    if reasons.is_empty() {
        return Feature::degraded(NAME, "this kernel has none", WITHOUT);
    }
    let mut of_subsystems: Vec<(String, usize)> = Vec::new();
    for reason in reasons.iter() {
        match of_subsystems.last_mut().filter(|(name, _)| **name == *reason.subsystem) {
            Some((_, count)) => *count += 1,
            None => of_subsystems.push((reason.subsystem.to_string(), 1)),
        }
    }
    let parts: Vec<_> = of_subsystems.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let unnamed = reasons.subsystems().filter(|(_, s)| !of_subsystems.iter().any(|(name, _)| name == s));
    let unnamed: Vec<_> = unnamed.map(|(_, s)| s).collect();
    let rest =
        if unnamed.is_empty() { String::new() } else { format!("; not loaded: {}", unnamed.join(", ")) };
    Feature::ok(NAME, format!("{}{rest}", parts.join(", ")), WITHOUT)
}

fn arguments(btf: &Btf) -> Feature {
    const NAME: &str = "kfree_skb arguments";
    const WITHOUT: &str = "without reason: not why; without rx_sk (Linux 6.11): no receiving socket of a packet that has none itself";
    let Some(arguments) = btf.tracepoint_arguments("kfree_skb") else {
        return Feature::missing(NAME, "the tracepoint is not in BTF", NO_CAPTURE);
    };
    let reason = passes_reason(btf, &arguments);
    let socket = arguments.get(3).is_some_and(|id| btf.target_name(*id) == "sock");
    let has = |yes| if yes { "yes" } else { "no" };
    let detail = format!("{}; reason: {}, rx_sk: {}", arguments.len(), has(reason), has(socket));
    if reason && socket {
        Feature::ok(NAME, detail, WITHOUT)
    } else {
        Feature::degraded(NAME, detail, WITHOUT)
    }
}

fn owner(btf: &Btf) -> Feature {
    const NAME: &str = "packet owner";
    const WITHOUT: &str = "the running process is shown as a bystander, never as the owner of the packet";
    if btf.member("task_struct", "stack").is_some() && btf.member("task_struct", "flags").is_some() {
        Feature::ok(NAME, "told by the task's own stack", WITHOUT)
    } else {
        Feature::degraded(NAME, "BTF lacks task_struct.stack or .flags", WITHOUT)
    }
}

/// What was tried counts; where nothing could be tried, what BTF says.
fn by_attempt(
    name: &'static str,
    tried: Option<&Result<(), String>>,
    in_btf: bool,
    without: &'static str,
) -> Feature {
    match tried {
        Some(Ok(())) => Feature::ok(name, "tried", without),
        Some(Err(error)) => Feature::missing(name, error.as_str(), without),
        None if in_btf => Feature::ok(name, "in BTF; could not be tried", without),
        None => Feature::missing(name, "not in BTF; could not be tried", without),
    }
}

fn clsact(root: &Path, btf: Option<&Arc<Btf>>) -> Feature {
    const NAME: &str = "clsact";
    const WITHOUT: &str = "no tc programs on a kernel without TCX";
    let release = crate::kernel::release(root).unwrap_or_default();
    let listed = || {
        let modules = root.join("lib/modules").join(&release).join("modules.dep");
        std::fs::read_to_string(modules).is_ok_and(|text| text.contains("/sch_ingress.ko"))
    };
    if btf.is_some_and(|b| b.has_struct("clsact_sched_data")) {
        Feature::ok(NAME, "built in", WITHOUT)
    } else if root.join("sys/module/sch_ingress").exists() {
        Feature::ok(NAME, "module sch_ingress is loaded", WITHOUT)
    } else if listed() {
        Feature::ok(NAME, "module sch_ingress, loaded when needed", WITHOUT)
    } else {
        Feature::missing(NAME, "no sch_ingress, built in or as a module", WITHOUT)
    }
}
