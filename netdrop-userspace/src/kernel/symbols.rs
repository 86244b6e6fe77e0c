//! Instruction addresses to symbols: the kernel's own text (`%pS`), or /proc/kallsyms.

use std::sync::Arc;

use crate::flow::DropSite;

const KALLSYMS: &str = "/proc/kallsyms";

/// What to do where addresses are hidden; said once.
pub const HOW_TO_SEE: &str = "kernel addresses are hidden (kernel.kptr_restrict), drop sites stay numbers; \
     run as root, with CAP_SYSLOG, or set kernel.kptr_restrict=0";

/// Kernel text symbols, read at the first look-up.
#[derive(Default)]
pub struct Symbols {
    table: Option<Table>,
}

#[derive(Default)]
struct Table {
    /// Address and where its name starts in `names`; sorted.
    entries: Vec<(u64, u32)>,
    /// `symbol` or `symbol\tmodule`, each ended by a newline.
    names: String,
}

impl Symbols {
    /// The site of an address; the bare address if no symbol covers it.
    pub fn resolve(&mut self, address: u64) -> DropSite {
        let table = self.table.get_or_insert_with(|| {
            std::fs::read_to_string(KALLSYMS).map(|text| Table::parse(&text)).unwrap_or_default()
        });
        table.resolve(address)
    }

    /// Whether /proc/kallsyms shows addresses to this process.
    pub fn visible() -> bool {
        std::fs::read_to_string(KALLSYMS).is_ok_and(|text| !Table::parse(&text).entries.is_empty())
    }
}

impl Table {
    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            // Text symbols only; hidden addresses are all zero.
            if address == 0 || !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let Ok(at) = u32::try_from(table.names.len()) else { break };
            table.entries.push((address, at));
            table.names.push_str(name);
            if let Some(module) = words.next() {
                table.names.push('\t');
                table.names.push_str(module.trim_matches(['[', ']']));
            }
            table.names.push('\n');
        }
        table.entries.sort_unstable();
        table
    }

    fn resolve(&self, address: u64) -> DropSite {
        let bare = DropSite { address, symbol: None, offset: 0, module: None };
        let Some(i) = self.entries.partition_point(|e| e.0 <= address).checked_sub(1) else {
            return bare;
        };
        let (start, at) = self.entries[i];
        let line = self.names[at as usize..].lines().next().unwrap_or_default();
        let (symbol, module) = line.split_once('\t').map_or((line, None), |(s, m)| (s, Some(m)));
        DropSite {
            address,
            symbol: Some(symbol.into()),
            offset: address - start,
            module: module.map(Into::into),
        }
    }
}

impl DropSite {
    /// From the kernel's `%pS` text, as `tcp_v4_rcv+0x1a3/0x1b0` or `nf_x+0x2/0x40 [nf_y]`; `None` for a bare number.
    pub fn from_kernel_text(address: u64, text: &str) -> Option<Self> {
        let (place, module) = text.split_once(' ').map_or((text, None), |(p, m)| (p, Some(m)));
        let (symbol, offset) = place.split_once('+')?;
        let offset = offset.split('/').next()?.strip_prefix("0x")?;
        if symbol.is_empty() || symbol.starts_with("0x") {
            return None;
        }
        Some(Self {
            address,
            symbol: Some(Arc::from(symbol)),
            offset: u64::from_str_radix(offset, 16).ok()?,
            module: module.map(|m| Arc::from(m.trim_matches(['[', ']']))),
        })
    }

    /// From text that [`DropSite`] displays as; a bare `0x` address keeps its number.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("0x") {
            let address = u64::from_str_radix(hex, 16).ok()?;
            return Some(Self { address, symbol: None, offset: 0, module: None });
        }
        Self::from_kernel_text(0, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_becomes_a_site() {
        let site = DropSite::from_kernel_text(7, "tcp_v4_rcv+0x1a3/0x1b0").unwrap();
        assert_eq!(site.to_string(), "tcp_v4_rcv+0x1a3");
        let site = DropSite::from_kernel_text(7, "nf_x+0x2/0x40 [nf_y]").unwrap();
        assert_eq!(site.to_string(), "nf_x+0x2 [nf_y]");
        assert_eq!(DropSite::from_text(&site.to_string()).unwrap().to_string(), site.to_string());
        assert_eq!(DropSite::from_kernel_text(7, "0xffffffff81000000"), None);
        assert_eq!(DropSite::from_kernel_text(7, "a+0xzz/0x1"), None);
    }

    #[test]
    fn kallsyms_resolves_by_the_symbol_below() {
        let t = Table::parse(
            "ffffffff81000100 T first\nffffffff81000200 t second\t[mod]\nffffffff81000150 D data\n0000000000000000 T hidden\n",
        );
        assert_eq!(t.resolve(0xffff_ffff_8100_0180).to_string(), "first+0x80");
        assert_eq!(t.resolve(0xffff_ffff_8100_0203).to_string(), "second+0x3 [mod]");
        assert_eq!(t.resolve(1).to_string(), "0x1");
    }

    #[test]
    fn hidden_addresses_leave_the_bare_number() {
        let t = Table::parse("0000000000000000 T a\n0000000000000000 T b\n");
        assert_eq!(t.resolve(0xffff_ffff_8100_0180).to_string(), "0xffffffff81000180");
    }
}
