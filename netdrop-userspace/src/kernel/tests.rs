use std::collections::BTreeMap;
use std::path::Path;

use netdrop_common::fields::{ABSENT, KERNEL_FIELDS};
use proptest::prelude::*;

use super::*;

fn info() -> KernelInfo {
    KernelInfo::load().unwrap()
}

#[test]
fn every_required_field_has_an_offset() {
    let info = info();
    assert_eq!(info.fields.len(), KERNEL_FIELDS.len());
    for (field, (global, offset)) in KERNEL_FIELDS.iter().zip(&info.fields) {
        assert_eq!(field.global, *global);
        assert!(!field.required || *offset != ABSENT, "{global}");
    }
}

#[test]
fn reasons_are_those_of_the_running_kernel() {
    let r = info().reasons;
    // Numbers 2 and on have moved between versions; these two never did (include/net/dropreason-core.h, since 5.17).
    assert_eq!(&*r.name(2).name, "NOT_SPECIFIED");
    assert_eq!(r.code("no_socket"), Some(3));
    assert_eq!(r.code("SKB_DROP_REASON_NO_SOCKET"), Some(3));
    assert_eq!(&*r.name(3).subsystem, "CORE");
    assert!(r.len() > 60, "{}", r.len());
}

#[test]
fn a_number_without_a_name_is_shown_as_a_number() {
    let r = info().reasons;
    assert_eq!(&*r.name(9999).name, "CORE:9999");
    assert_eq!(r.code("CORE:9999"), Some(9999));
    assert_eq!(&*r.name(0x7abc_0007).name, "31420:7");
    assert_eq!(r.code("31420:7"), Some(0x7abc_0007));
    assert_eq!(r.code("NO_SUCH_REASON"), None);
}

#[test]
fn patterns_find_reasons() {
    let r = info().reasons;
    assert!(r.codes("tcp_*").len() > 5);
    assert_eq!(r.codes("*SOCKET").len(), r.iter().filter(|x| x.name.ends_with("SOCKET")).count());
    assert!(glob("a*b*c", "aXbYc") && !glob("a*b*c", "aXcYb") && glob("abc", "abc") && !glob("abc", "abcd"));
}

/// tracefs prints the same enum by another way: the kernel's `__print_symbolic` table.
#[test]
fn reasons_agree_with_tracefs() {
    let Some(format) = tracefs_format() else {
        panic!("cannot read the format of skb:kfree_skb from tracefs; run as root");
    };
    let mut theirs = BTreeMap::new();
    for pair in format.split("{ ").skip(1) {
        let body = pair.split(" }").next().unwrap_or_default();
        if let Some((number, name)) = body.split_once(", ")
            && let Ok(number) = number.parse::<u32>()
        {
            theirs.insert(number, name.trim_matches('"').to_owned());
        }
    }
    assert!(theirs.len() > 60, "{format}");
    let ours = info().reasons;
    // The table ends with the enum's bound, which is no reason.
    for (number, name) in theirs.into_iter().filter(|(_, name)| name != "MAX") {
        assert_eq!(*ours.name(number).name, *name, "reason {number}");
    }
}

/// The event's format, from tracefs mounted where only this thread sees it.
fn tracefs_format() -> Option<String> {
    let script = "mount -t tracefs none /mnt && cat /mnt/events/skb/kfree_skb/format";
    let out = std::process::Command::new("unshare").args(["-m", "sh", "-c", script]).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn without_btf_the_error_names_the_file_and_the_way_out() {
    let e = KernelInfo::load_from(Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(e.contains("/nonexistent/vmlinux") && e.contains("CONFIG_DEBUG_INFO_BTF"), "{e}");
}

#[test]
fn missing_fields_are_listed_together() {
    let empty = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let btf = Btf::parse(&empty, None).unwrap();
    let e = fields::offsets(&btf).unwrap_err();
    assert!(e.0.contains(&"sk_buff.dev".to_owned()) && e.0.contains(&"net.ns.inum".to_owned()), "{e}");
}

#[test]
fn socket_states_come_from_btf() {
    let info = info();
    // include/net/tcp_states.h, part of the system call interface.
    assert_eq!((info.tcp_time_wait, info.tcp_new_syn_recv), (6, 12));
}

fn use_all(bytes: &[u8]) {
    if let Ok(btf) = Btf::parse(bytes, None) {
        drop(fields::offsets(&btf));
        drop(Reasons::from_btf([&btf]));
        btf.argument_count("btf_trace_kfree_skb");
        btf.struct_size("sk_buff");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        use_all(&bytes);
        bytes.splice(0..0, [0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);
        use_all(&bytes);
    }

    #[test]
    fn a_damaged_kernel_btf_ends_in_a_value_or_an_error(at in any::<prop::sample::Index>(), value in any::<u32>()) {
        let mut bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let at = at.index(bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        use_all(&bytes);
    }
}
