use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::kernel::btf::writer::Writer;

fn kernel() -> Reasons {
    Reasons::load(Path::new("/"), &Arc::new(Btf::vmlinux(Path::new("/")).unwrap()))
}

/// `{ 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" } ...`: the table that the kernel's own event prints by.
fn names_in_tracefs() -> Vec<(u32, String)> {
    let script = "mount -t tracefs netdrop-test /mnt && cat /mnt/events/skb/kfree_skb/format";
    let output = Command::new("unshare").args(["--mount", "sh", "-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("__print_symbolic"),
        "run as root with tracefs: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = text.split("__print_symbolic").nth(1).unwrap();
    let pair = regex_lite::Regex::new(r#"\{ (\d+), "(\w+)" \}"#).unwrap();
    pair.captures_iter(table).map(|c| (c[1].parse().unwrap(), c[2].to_owned())).collect()
}

#[test]
fn names_are_those_of_the_kernels_own_event() {
    let reasons = kernel();
    let expected: Vec<_> = names_in_tracefs().into_iter().filter(|(_, name)| name != "MAX").collect();
    assert!(expected.len() > 60, "{expected:?}");
    for (code, name) in &expected {
        assert_eq!(*reasons.name(*code).name, **name);
        assert_eq!(reasons.code(name), Some(*code));
    }
    let ours =
        reasons.iter().filter(|r| r.code >> 16 == 0 && !["NOT_DROPPED_YET", "CONSUMED"].contains(&&*r.name));
    assert_eq!(ours.count(), expected.len());
}

#[test]
fn every_known_name_leads_back_to_its_code() {
    let reasons = kernel();
    let codes: Vec<u32> = reasons.iter().map(|r| r.code).collect();
    assert!(codes.is_sorted());
    for reason in reasons.iter() {
        assert_eq!(reasons.code(&reason.name), Some(reason.code));
        assert_eq!(
            reasons.code(&format!("skb_drop_reason_{}", reason.name.to_lowercase())),
            Some(reason.code)
        );
        assert_eq!(&*reason.subsystem, "CORE");
    }
}

#[test]
fn an_unknown_code_is_a_subsystem_and_a_number_and_is_made_once() {
    let reasons = kernel();
    let unknown = reasons.name(9999);
    assert_eq!((&*unknown.name, &*unknown.subsystem), ("CORE:9999", "CORE"));
    assert!(Arc::ptr_eq(&unknown.name, &reasons.name(9999).name));
    assert_eq!(&*reasons.name(42 << 16 | 7).name, "42:7");
    assert_eq!(reasons.code("core:9999"), Some(9999));
    assert_eq!(reasons.code("42:7"), Some(42 << 16 | 7));
    assert_eq!(reasons.code("42:70000"), None);
    assert_eq!(reasons.code("SKB_CONSUMED"), reasons.code("consumed"));
    let openvswitch = reasons.code("OPENVSWITCH:3").unwrap();
    assert_eq!(&*reasons.name(openvswitch).name, "OPENVSWITCH:3");
}

#[test]
fn a_kernel_without_reasons_still_names_codes() {
    let none = Reasons::default();
    assert!(none.is_empty());
    assert_eq!(&*none.name(5).name, "CORE:5");
    assert_eq!(none.closest("NO_SOCKET"), None);
}

#[test]
fn a_mistyped_name_finds_its_neighbour() {
    let reasons = kernel();
    assert_eq!(reasons.closest("NETFILTERDROP"), Some("NETFILTER_DROP"));
    assert_eq!(reasons.closest("skb_drop_reason_no_sokcet"), Some("NO_SOCKET"));
    assert_eq!(reasons.closest("xyzzy"), None);
    assert_eq!(reasons.closest(""), None);
}

/// Enums by hand: a kernel with subsystems and, in its module's BTF, the twin enums of mac80211.
#[test]
fn enums_of_subsystems_are_found_wherever_they_are() {
    let kernel = Arc::new(written(
        None,
        &[
            (
                "skb_drop_reason",
                &[("SKB_NOT_DROPPED_YET", 0), ("SKB_CONSUMED", 1), ("SKB_DROP_REASON_NO_SOCKET", 3)],
            ),
            (
                "skb_drop_reason_subsys",
                &[
                    ("SKB_DROP_REASON_SUBSYS_CORE", 0),
                    ("SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE", 1),
                    ("SKB_DROP_REASON_SUBSYS_QDISC", 3),
                    ("SKB_DROP_REASON_SUBSYS_NUM", 4),
                ],
            ),
            (
                "qdisc_drop_reason",
                &[
                    ("__QDISC_DROP_REASON", 0x30000),
                    ("QDISC_DROP_OVERLIMIT", 0x30001),
                    ("QDISC_DROP_MAX", 0x30002),
                ],
            ),
            ("unrelated", &[("UNRELATED", 0x30007)]),
        ],
    ));
    let module = written(
        Some(&kernel),
        &[
            (
                "___mac80211_drop_reason",
                &[
                    ("___RX_CONTINUE", 1),
                    ("___RX_DROP_U_REPLAY", 0x10002),
                    ("___RX_DROP_U_ONLY_HERE", 0x10003),
                ],
            ),
            (
                "mac80211_drop_reason",
                &[("RX_CONTINUE", 1), ("RX_DROP_U_REPLAY", 0x10002), ("RX_OTHER_SUBSYS", 0x90002)],
            ),
        ],
    );
    let reasons = Reasons::from_btf(&kernel, &[module]);
    let all: Vec<_> = reasons.iter().map(|r| (r.code, &*r.subsystem, &*r.name)).collect();
    assert_eq!(
        all,
        [
            (0, "CORE", "NOT_DROPPED_YET"),
            (1, "CORE", "CONSUMED"),
            (3, "CORE", "NO_SOCKET"),
            (0x10002, "MAC80211_UNUSABLE", "RX_DROP_U_REPLAY"),
            (0x10003, "MAC80211_UNUSABLE", "RX_DROP_U_ONLY_HERE"),
            (0x30001, "QDISC", "QDISC_DROP_OVERLIMIT"),
        ]
    );
    assert_eq!(&*reasons.name(0x1_0009).name, "MAC80211_UNUSABLE:9");
}

/// BTF that holds these enums and nothing else.
fn written(base: Option<&Arc<Btf>>, enums: &[(&str, &[(&str, u32)])]) -> Btf {
    let mut writer = base.map_or_else(Writer::new, |base| Writer::on(base));
    for (name, values) in enums {
        writer.enumeration(name, values);
    }
    let bytes = writer.finish();
    match base {
        Some(base) => Btf::parse_split(bytes, Arc::clone(base)).unwrap(),
        None => Btf::parse(bytes).unwrap(),
    }
}

#[test]
fn a_name_in_small_letters_is_found() {
    let reasons =
        Reasons::from_btf(&written(None, &[("skb_drop_reason", &[("SKB_DROP_REASON_Odd_one", 9)])]), &[]);
    assert_eq!(
        (&*reasons.name(9).name, reasons.code("Odd_one"), reasons.code("odd_ONE")),
        ("Odd_one", Some(9), Some(9))
    );
}

#[test]
fn a_kernel_of_too_many_reasons_keeps_the_first() {
    let names: Vec<String> = (0..10_000).map(|n| format!("SKB_DROP_REASON_R{n}")).collect();
    let values: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(0..).collect();
    let reasons = Reasons::from_btf(&written(None, &[("skb_drop_reason", &values)]), &[]);
    assert_eq!((reasons.len(), reasons.code("R7"), reasons.code("R9999")), (KNOWN_MAX, Some(7), None));
    assert_eq!(&*reasons.name(9999).name, "CORE:9999");
}

proptest! {
    #[test]
    fn any_code_has_a_name_that_leads_back(code: u32) {
        let reasons = Reasons::default();
        let name = reasons.name(code).name;
        prop_assert_eq!(reasons.code(&name), Some(code));
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,100}") {
        let reasons = Reasons::default();
        let _ = (reasons.code(&text), closest(&text, ["NO_SOCKET", "TCP_FLAGS"].into_iter()));
    }
}
