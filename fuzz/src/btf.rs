//! Bytes as type information: parsed, walked, and asked all that netdrop asks of a kernel's.

use std::sync::{Arc, LazyLock};

use netdrop::kernel::btf::Btf;
use netdrop::kernel::{Reasons, fields};

/// BTF for modules' to stand on: one int, nothing else.
static BASE: LazyLock<Option<Arc<Btf>>> = LazyLock::new(|| {
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    let words: [u32; 9] = [24, 0, 16, 16, 5, 1, 1 << 24, 4, 32];
    bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    bytes.extend(b"\0int\0");
    Btf::parse(bytes).ok().map(Arc::new)
});

/// Any bytes are BTF or an error, of a kernel or of a module.
pub fn run(bytes: &[u8]) {
    if let Ok(btf) = Btf::parse(bytes.to_vec()) {
        ask(&btf);
    }
    if let Some(base) = &*BASE
        && let Ok(module) = Btf::parse_split(bytes.to_vec(), Arc::clone(base))
    {
        ask(&module);
        ask_reasons(&Reasons::from_btf(base, &[module]));
    }
}

fn ask(btf: &Btf) {
    for t in btf.own_types() {
        let _ = (btf.name(&t), btf.size_of(t.id), btf.target_name(t.id), btf.strip(t.id));
        assert_eq!(btf.get(t.id).map(|t| t.id), Some(t.id));
        let _ = btf.enumerators(t).map(|e| e.code()).max();
    }
    for (container, path) in [("sk_buff", "dev"), ("net", "ns.inum"), ("a", "b"), ("", ""), ("a", "b.c.d.e")]
    {
        let member = btf.member(container, path);
        assert!(member.is_none_or(|m| btf.get(m.type_id).is_some() || btf.size_of(m.type_id).is_none()));
        let _ = (btf.has_struct(container), btf.named(container).count());
    }
    let _ = (fields::resolve(btf).map_err(|e| e.to_string()), btf.enum_value("TCP_TIME_WAIT"));
    for argument in btf.tracepoint_arguments("kfree_skb").unwrap_or_default() {
        let _ = btf.target_name(argument);
    }
    ask_reasons(&Reasons::from_btf(btf, &[]));
}

fn ask_reasons(reasons: &Reasons) {
    for reason in reasons.iter().take(1000) {
        assert_eq!(reasons.name(reason.code).name, reason.name);
        assert!(reasons.code(&reason.name).is_some(), "{reason:?}");
    }
    let _ = (reasons.closest("NO_SOKET"), reasons.code("1:2"), reasons.name(u32::MAX));
}
