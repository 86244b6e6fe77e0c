//! BTF for the fuzzer to start from: parts of the running kernel's, and what is wrong in small.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::writer::Writer;
use super::*;
use raw::word;

/// Where in the kernel's BTF a copy begins: each as small as it goes and asked for by netdrop.
const ROOTS: [(&str, &[&str]); 4] = [
    ("sk_buff", &["sk_buff"]),
    ("sock_common", &["sock_common"]),
    ("tracepoint", &["btf_trace_kfree_skb"]),
    ("reasons", &["skb_drop_reason", "skb_drop_reason_subsys"]),
];

/// Copies types with all that they are made of; behind a pointer only the name is left.
struct Copy<'a> {
    from: &'a Btf,
    to: Writer,
    /// Old id to new.
    ids: BTreeMap<u32, u32>,
    order: Vec<u32>,
    strings: BTreeMap<u32, u32>,
}

impl Copy<'_> {
    fn of(from: &Btf, roots: &[&str]) -> Vec<u8> {
        let mut copy = Copy {
            from,
            to: Writer::new(),
            ids: BTreeMap::new(),
            order: Vec::new(),
            strings: BTreeMap::new(),
        };
        for root in roots {
            let root = from.named(root).find(|t| t.kind != Kind::Fwd).unwrap();
            copy.collect(root.id);
        }
        for id in copy.order.clone() {
            copy.write(from.get(id).unwrap());
        }
        copy.to.finish()
    }

    fn collect(&mut self, id: u32) {
        let Some(t) = self.from.get(id).filter(|t| !self.ids.contains_key(&t.id)) else { return };
        self.order.push(id);
        self.ids.insert(id, u32::try_from(self.order.len()).unwrap());
        match t.kind {
            Kind::Struct | Kind::Union => t.members().for_each(|(_, id, _)| self.collect(id)),
            Kind::Array => [0, 4].iter().for_each(|at| self.collect(word(t.body, *at))),
            Kind::FuncProto => t.parameters().for_each(|id| self.collect(id)),
            Kind::Ptr if self.is_prototype(t.operand) => self.collect(t.operand),
            Kind::Typedef | Kind::Qualifier | Kind::TypeTag => self.collect(t.operand),
            _ => {}
        }
    }

    fn is_prototype(&self, id: u32) -> bool {
        self.from.strip(id).is_some_and(|t| t.kind == Kind::FuncProto)
    }

    fn name(&mut self, offset: u32) -> u32 {
        if offset == 0 {
            return 0;
        }
        let (from, to) = (self.from, &mut self.to);
        *self.strings.entry(offset).or_insert_with(|| to.name(from.string(offset)))
    }

    /// Void, where the type was left out.
    fn id(&self, old: u32) -> u32 {
        self.ids.get(&old).copied().unwrap_or(0)
    }

    fn write(&mut self, t: Type<'_>) {
        let operand = match t.kind {
            Kind::Ptr | Kind::Typedef | Kind::Qualifier | Kind::TypeTag | Kind::FuncProto => {
                self.id(t.operand)
            }
            _ => t.operand,
        };
        let name = self.name(t.name_off);
        let position = self.from.positions[(t.id - self.from.first_id) as usize] as usize;
        let info = word(&self.from.bytes, position + 4);
        self.to.words(&[name, info, operand]);
        let words: Vec<u32> = t.body.chunks_exact(4).map(|c| word(c, 0)).collect();
        let words: Vec<u32> = match t.kind {
            Kind::Struct | Kind::Union => {
                words.chunks(3).flat_map(|m| [self.name(m[0]), self.id(m[1]), m[2]]).collect()
            }
            Kind::Enum => words.chunks(2).flat_map(|e| [self.name(e[0]), e[1]]).collect(),
            Kind::Enum64 => words.chunks(3).flat_map(|e| [self.name(e[0]), e[1], e[2]]).collect(),
            Kind::FuncProto => words.chunks(2).flat_map(|p| [self.name(p[0]), self.id(p[1])]).collect(),
            Kind::Array => vec![self.id(words[0]), self.id(words[1]), words[2]],
            _ => words,
        };
        self.to.words(&words);
    }
}

/// What no compiler writes.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![("only-a-magic", vec![0x9f, 0xeb])];
    let mut add = |name, write: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        write(&mut w);
        all.push((name, w.finish()));
    };
    add("empty", &|_| {});
    add("typedef-of-itself", &|w| {
        let name = w.name("btf_trace_kfree_skb");
        w.head(name, 8, false, 0, 1);
    });
    add("struct-of-itself", &|w| {
        let (s, x) = (w.name("sk_buff"), w.name("x"));
        w.head(s, 4, false, 4, 4);
        w.words(&[0, 1, 0, 0, 1, 0, 0, 1, 0, x, 1, 0]);
    });
    add("array-of-itself", &|w| {
        let name = w.name("net");
        w.head(0, 3, false, 0, 0);
        w.words(&[1, 1, u32::MAX]);
        w.head(name, 8, false, 0, 1);
    });
    add("every-kind", &|w| {
        for kind in 1..=19 {
            let name = w.name("a");
            w.head(name, kind, kind % 2 == 0, 1, 1);
            let words = match kind {
                1 | 14 | 17 => 1,
                6 | 13 => 2,
                3 | 4 | 5 | 15 | 19 => 3,
                _ => 0,
            };
            w.words(&vec![1; words]);
        }
    });
    add("a-kind-of-the-future", &|w| w.head(0, 20, false, 0, 0));
    add("more-members-than-bytes", &|w| w.head(0, 4, false, 0x00ff_ffff, 0));
    add("names-outside", &|w| {
        w.head(u32::MAX, 6, false, 1, 4);
        w.words(&[u32::MAX - 1, 0]);
    });
    add("a-bitfield-at-the-end-of-all-offsets", &|w| {
        let (s, x) = (w.name("sk_buff"), w.name("dev"));
        w.head(s, 4, true, 1, u32::MAX);
        w.words(&[x, 1, u32::MAX]);
    });
    add("an-enum-of-reasons-and-markers", &|w| {
        w.enumeration("skb_drop_reason", &[("SKB_DROP_REASON_A", 0), ("SKB_B", u32::MAX), ("X_MAX", 7)]);
        w.enumeration(
            "skb_drop_reason_subsys",
            &[("SKB_DROP_REASON_SUBSYS_CORE", 0), ("SKB_DROP_REASON_SUBSYS_M", 1)],
        );
        w.enumeration("m_drop_reason", &[("__M_DROP_REASON", 1 << 16), ("__M_A", 65_537), ("M_A", 65_537)]);
    });
    all
}

/// `NETDROP_BLESS=1` writes them. Those of the kernel are of the one they were made on: they only have to be there.
#[test]
fn the_corpus_holds_parts_of_a_kernel_and_what_is_broken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/btf");
    let bless = std::env::var_os("NETDROP_BLESS").is_some();
    let kernel = Btf::vmlinux(Path::new("/")).unwrap();
    for (name, roots) in ROOTS {
        let part = Copy::of(&kernel, roots);
        let btf = Btf::parse(part.clone()).unwrap();
        assert!(roots.iter().all(|root| btf.named(root).next().is_some()), "{name}");
        let path = folder.join(name);
        if bless {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &part).unwrap();
        }
        let kept = Btf::parse(fs::read(&path).unwrap()).unwrap();
        assert!(roots.iter().all(|root| kept.named(root).next().is_some()), "{name}");
    }
    for (name, bytes) in broken() {
        let path = folder.join(name);
        if bless {
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).is_ok_and(|b| b == bytes), "corpus/btf/{name}: NETDROP_BLESS=1 writes it");
    }
}
