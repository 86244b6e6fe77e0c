//! Hook ids: which program wrote a record. Never renumbered, never reused.

/// `tp_btf/kfree_skb`: the kernel freed a packet that it did not deliver.
pub const KFREE_SKB: u8 = 1;
