//! Why and where a packet died, in the kernel's words.

use std::fmt;
use std::sync::Arc;

/// A kernel drop reason. Displays as its name; an unknown one as `SUBSYS:NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DropReason {
    /// Raw `enum skb_drop_reason` value: subsystem in the upper 16 bits.
    pub code: u32,
    /// `CORE`, `MAC80211_MONITOR`, `OPENVSWITCH` ...; the number where the kernel's BTF does not name it.
    pub subsystem: Arc<str>,
    /// Name without `SKB_DROP_REASON_`; for an unknown one `SUBSYS:NUMBER`.
    pub name: Arc<str>,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The instruction that freed the packet. Displays as `symbol+0xoff [module]`, or as the bare address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DropSite {
    /// Instruction address; 0 for a site that another machine reported.
    pub address: u64,
    /// Function.
    pub symbol: Option<Arc<str>>,
    /// Offset in the function.
    pub offset: u64,
    /// Kernel module, if it is one.
    pub module: Option<Arc<str>>,
}

impl fmt::Display for DropSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Some(symbol) => write!(f, "{symbol}+{:#x}", self.offset)?,
            None => write!(f, "{:#x}", self.address)?,
        }
        self.module.as_ref().map_or(Ok(()), |m| write!(f, " [{m}]"))
    }
}
