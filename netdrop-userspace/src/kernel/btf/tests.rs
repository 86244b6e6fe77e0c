use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;

use super::writer::Writer;
use super::*;

static KERNEL: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read("/sys/kernel/btf/vmlinux").unwrap());

/// 1 int, 2 union { int a; int b }, 3 struct { int first; union 2 anonymous; int flag:3 at bit 69 }, 4 const 3, 5 typedef 4.
fn small() -> Btf {
    let mut w = Writer::new();
    let names = ["int", "a", "b", "first", "flag", "outer", "outer_t"].map(|n| w.name(n));
    w.head(names[0], 1, false, 0, 4);
    w.words(&[32]);
    w.head(0, 5, false, 2, 4);
    w.words(&[names[1], 1, 0, names[2], 1, 0]);
    w.head(names[5], 4, true, 3, 12);
    w.words(&[names[3], 1, 0, 0, 2, 32, names[4], 1, (3 << 24) | 0x45]);
    w.head(0, 10, false, 0, 3);
    w.head(names[6], 8, false, 0, 4);
    Btf::parse(w.finish()).unwrap()
}

#[test]
fn anonymous_members_are_looked_through() {
    let btf = small();
    assert_eq!(btf.member("outer", "b").unwrap(), Member { bit_offset: 32, bitfield: None, type_id: 1 });
    assert_eq!(btf.member("outer_t", "b"), btf.member("outer", "b"));
    assert_eq!(btf.member("outer", "c"), None);
    assert_eq!(btf.member("outer", "b.x"), None);
    assert_eq!(btf.member("outer", ""), None);
}

#[test]
fn a_bitfield_has_a_width_and_may_start_inside_a_byte() {
    let flag = small().member("outer", "flag").unwrap();
    assert_eq!((flag.bit_offset, flag.bitfield, flag.byte_offset()), (69, Some(3), None));
}

#[test]
fn a_bitfield_of_old_compilers_takes_its_place_from_the_integer() {
    let mut w = Writer::new();
    let names = ["bits", "old", "x"].map(|n| w.name(n));
    w.head(names[0], 1, false, 0, 4);
    w.words(&[(5 << 16) | 2]);
    w.head(names[1], 4, false, 1, 4);
    w.words(&[names[2], 1, 8]);
    let member = Btf::parse(w.finish()).unwrap().member("old", "x").unwrap();
    assert_eq!((member.bit_offset, member.bitfield), (13, Some(2)));
}

#[test]
fn sizes_are_those_of_the_type_behind_the_names() {
    let btf = small();
    assert_eq!(btf.size_of(5), Some(12));
    assert_eq!(btf.size_of(0), None);
    assert_eq!(btf.size_of(99), None);
}

#[test]
fn split_btf_continues_ids_and_strings_of_its_base() {
    let base = Arc::new(small());
    let mut w = Writer::on(&base);
    let (name, member, one) = (w.name("in_module"), w.name("o"), w.name("M_ONE"));
    w.head(name, 4, false, 1, 12);
    w.words(&[member, 3, 0]);
    w.head(0, 6, false, 1, 4);
    w.words(&[one, 7]);
    let module = Btf::parse_split(w.finish(), Arc::clone(&base)).unwrap();
    assert_eq!(module.member("in_module", "o.a").unwrap().bit_offset, 32);
    assert_eq!(module.member("outer", "first").unwrap().bit_offset, 0);
    assert_eq!(module.enum_value("M_ONE"), Some(7));
    assert_eq!(base.enum_value("M_ONE"), None);
}

#[test]
fn enums_of_64_bits_and_signed_ones_keep_their_values() {
    let mut w = Writer::new();
    let (big, minus) = (w.name("BIG"), w.name("MINUS"));
    w.head(0, 19, false, 1, 8);
    w.words(&[big, 5, 1]);
    w.head(0, 6, true, 1, 4);
    w.words(&[minus, u32::MAX]);
    let btf = Btf::parse(w.finish()).unwrap();
    assert_eq!(btf.enum_value("BIG"), Some((1 << 32) + 5));
    assert_eq!(btf.enum_value("MINUS"), Some(-1));
}

#[test]
fn loops_end() {
    let mut w = Writer::new();
    let (a, s) = (w.name("a"), w.name("s"));
    w.head(a, 8, false, 0, 1);
    w.head(s, 4, false, 3, 4);
    w.words(&[0, 2, 0, 0, 2, 0, 0, 2, 0]);
    w.head(0, 3, false, 0, 0);
    w.words(&[3, 3, 2]);
    let btf = Btf::parse(w.finish()).unwrap();
    assert!(btf.strip(1).is_none());
    assert_eq!(btf.member("s", "x"), None);
    assert_eq!(btf.size_of(3), None);
}

/// What would never end takes longer than this.
const SOON: Duration = Duration::from_secs(5);

/// What this thread has had of a CPU: what others have had of it is not its fault.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap()
}

/// A struct whose anonymous members are itself has three to the power of the depth many members.
#[test]
fn a_struct_of_itself_ends_soon() {
    let mut w = Writer::new();
    let (s, x) = (w.name("s"), w.name("x"));
    for _ in 0..100 {
        w.head(s, 4, false, 3, 4);
        w.words(&[0, 1, 0, 0, 1, 0, x, 1, 0]);
    }
    let btf = Btf::parse(w.finish()).unwrap();
    let start = cpu_time();
    assert!((0..50).all(|_| btf.member("s", "y").is_none()));
    let took = cpu_time().saturating_sub(start);
    assert!(took < SOON, "50 look-ups took {took:?}");
    assert!(btf.member("s", "x").is_none_or(|m| m.type_id == 1));
}

/// Each type's name is the rest of one endless string: the cost of a name must not be that of the string.
#[test]
fn names_without_an_end_cost_little() {
    let mut w = Writer::new();
    let endless = w.name(&"n".repeat(1 << 22));
    for n in 0..20_000 {
        w.head(endless + n, 4, false, 0, 0);
    }
    let start = cpu_time();
    let btf = Btf::parse(w.finish()).unwrap();
    let took = cpu_time().saturating_sub(start);
    assert!(took < SOON, "20,000 names took {took:?}");
    assert!(btf.own_types().all(|t| btf.name(&t).is_empty()));
    let longest = Btf::parse({
        let mut w = Writer::new();
        let name = w.name(&"n".repeat(NAME_MAX - 1));
        w.head(name, 4, false, 0, 0);
        w.finish()
    });
    assert!(longest.unwrap().has_struct(&"n".repeat(NAME_MAX - 1)));
}

#[test]
fn what_is_not_btf_says_why() {
    let good = small().bytes;
    let bad = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Btf::parse(bytes).unwrap_err()
    };
    assert_eq!(Btf::parse(vec![]).unwrap_err(), BtfError::Truncated("the header", 0));
    assert_eq!(bad(&|b| b.swap(0, 1)), BtfError::BigEndian);
    assert_eq!(bad(&|b| b[0] = 0), BtfError::Magic(0xeb00));
    assert_eq!(bad(&|b| b[2] = 2), BtfError::Version(2));
    assert!(matches!(bad(&|b| b.truncate(30)), BtfError::Truncated(..)));
    assert!(matches!(bad(&|b| b[12] = 13), BtfError::Overrun { kind: 1, id: 1 }));
    let error = bad(&|b| b[24 + 7] = 77);
    assert_eq!(error, BtfError::UnknownKind { kind: 77, id: 1 });
    assert!(error.to_string().contains("type 1 has kind 77"));
}

#[test]
fn a_machine_without_btf_gets_the_way_out() {
    let root = tempfile::tempdir().unwrap();
    let text = Btf::vmlinux(root.path()).unwrap_err().to_string();
    assert!(
        text.contains("sys/kernel/btf/vmlinux is missing") && text.contains("CONFIG_DEBUG_INFO_BTF=y"),
        "{text}"
    );
}

#[test]
fn offsets_of_abi_structs_are_those_of_their_headers() {
    // Layouts that are ABI or on the wire, so known from elsewhere, and that the kernel's BTF holds too.
    let btf = Btf::vmlinux(Path::new("/")).unwrap();
    let at = |s: &str, m: &str| btf.member(s, m).unwrap().byte_offset().unwrap() as usize;
    assert_eq!(at("sockaddr_in", "sin_addr"), std::mem::offset_of!(libc::sockaddr_in, sin_addr));
    assert_eq!(at("tcphdr", "check"), 16);
    assert_eq!(at("iphdr", "daddr"), 16);
    assert_eq!(at("tcphdr", "window"), 14);
    let size = |s: &str| btf.named(s).find_map(|t| btf.size_of(t.id)).unwrap() as usize;
    assert_eq!(size("sockaddr_in"), size_of::<libc::sockaddr_in>());
}

#[test]
fn offsets_agree_with_bpftool() {
    let output = std::process::Command::new("bpftool")
        .args(["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"])
        .output()
        .expect("this test compares with bpftool: apt-get install bpftool");
    assert!(output.status.success(), "bpftool failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let btf = Btf::vmlinux(Path::new("/")).unwrap();
    let mut checked = 0;
    for name in ["sk_buff", "net_device", "sock", "net", "task_struct", "skb_shared_info"] {
        let body = text.split(&format!("STRUCT '{name}' size=")).nth(1).unwrap();
        for line in body.lines().skip(1).take_while(|l| l.starts_with('\t')) {
            let mut parts = line.trim().split(' ');
            let member = parts.next().unwrap().trim_matches('\'');
            let bits = parts.find_map(|p| p.strip_prefix("bits_offset=")).unwrap();
            if member == "(anon)" {
                continue;
            }
            assert_eq!(btf.member(name, member).unwrap().bit_offset.to_string(), bits, "{name}.{member}");
            checked += 1;
        }
    }
    assert!(checked > 300, "only {checked} members compared");
}

#[test]
fn the_tracepoint_hands_over_a_packet_first() {
    let btf = Btf::vmlinux(Path::new("/")).unwrap();
    let arguments = btf.tracepoint_arguments("kfree_skb").unwrap();
    assert_eq!(btf.target_name(arguments[0]), "sk_buff");
    assert_eq!(btf.tracepoint_arguments("no_such_tracepoint"), None);
}

/// Everything a caller can ask, on whatever was parsed.
fn ask(btf: &Btf) {
    for t in btf.own_types().take(2000) {
        let _ = (btf.name(&t), btf.size_of(t.id), btf.target_name(t.id), btf.enumerators(t).count());
    }
    let _ = (btf.member("sk_buff", "dev"), btf.member("outer", "b"), btf.member("net_device", "nd_net.net"));
    let _ = (btf.enum_value("TCP_TIME_WAIT"), btf.tracepoint_arguments("kfree_skb"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mutated_kernel_btf_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        // The head of the type section, so that one case stays fast; strings are cut off with it.
        let mut bytes = KERNEL[..200_000].to_vec();
        let types = 150_000_u32;
        bytes[12..16].copy_from_slice(&types.to_le_bytes());
        bytes[16..20].copy_from_slice(&types.to_le_bytes());
        bytes[20..24].copy_from_slice(&(200_000 - 24 - types).to_le_bytes());
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(btf) = Btf::parse(bytes) {
            ask(&btf);
        }
    }
}

proptest! {
    #[test]
    fn mutated_small_btf_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let base = Arc::new(small());
        let mut bytes = small().bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(btf) = Btf::parse(bytes.clone()) {
            ask(&btf);
        }
        if let Ok(btf) = Btf::parse_split(bytes, base) {
            ask(&btf);
        }
    }

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300), headed: bool) {
        let mut bytes = if headed { vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0] } else { Vec::new() };
        bytes.extend(tail);
        if let Ok(btf) = Btf::parse(bytes) {
            ask(&btf);
        }
    }
}
