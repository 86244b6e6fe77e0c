//! Instruction addresses to `symbol+0xoff`, from /proc/kallsyms or from text that a BPF program printed with `%pS`.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::DropSite;

/// Most sites kept; a kernel drops packets at a few hundred places.
const SITES_MAX: usize = 8192;
/// How long after a read an address without a name is reason to read again (a module may have been loaded since).
const REREAD: Duration = Duration::from_secs(30);
/// No function is longer: an address farther behind the last symbol of a region belongs to none.
const FUNCTION_MAX: u64 = 1 << 20;
/// Symbols that end a region of code: what lies behind them is no function.
const ENDS: [&str; 2] = ["_etext", "_einittext"];

/// What to do when the kernel hides addresses.
pub const HIDDEN_ADVICE: &str = "the kernel hides its addresses (/proc/kallsyms shows only zeros), so places in the kernel may be \
     shown as bare addresses; to see names run as root, grant CAP_SYSLOG, or set sysctl kernel.kptr_restrict=0";

/// Text symbols sorted by address. About 30 bytes each: an address, a place in one long string, a module's number.
#[derive(Debug, Default)]
pub struct SymbolTable {
    addresses: Vec<u64>,
    /// End of each name in `text`; the start is the end of the one before.
    ends: Vec<u32>,
    modules: Vec<u16>,
    text: String,
    /// Number 0 is the kernel itself.
    module_names: Vec<Arc<str>>,
    hidden: bool,
}

impl SymbolTable {
    /// Reads the format of /proc/kallsyms: `ADDRESS TYPE NAME [MODULE]`. A line that is not of this form is left out.
    pub fn read(input: impl BufRead) -> io::Result<Self> {
        let mut rows = Vec::new();
        let mut names = String::new();
        let mut modules = vec![Arc::from("")];
        let mut zeros = 0_usize;
        for line in input.lines() {
            let line = line?;
            let Some((address, name, module)) = text_symbol(&line) else { continue };
            if address == 0 {
                zeros += 1;
                continue;
            }
            let module = module_number(&mut modules, module);
            let start = names.len();
            names.push_str(name);
            rows.push((address, rows.len(), start..names.len(), module));
        }
        // By address, then in the kernel's own order: of aliases it names the first.
        rows.sort_unstable_by_key(|(address, order, ..)| (*address, *order));
        rows.dedup_by_key(|(address, ..)| *address);
        let mut table =
            Self { hidden: rows.is_empty() && zeros > 0, module_names: modules, ..Self::default() };
        table.text.reserve_exact(names.len());
        for (address, _, name, module) in rows {
            table.text.push_str(&names[name]);
            table.addresses.push(address);
            table.ends.push(u32::try_from(table.text.len()).unwrap_or(u32::MAX));
            table.modules.push(module);
        }
        Ok(table)
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Whether the kernel showed symbols, but every address as zero.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Symbol, offset and module of an address; `None` where no function is near.
    pub fn find(&self, address: u64) -> Option<(&str, u64, Option<&Arc<str>>)> {
        let at = self.addresses.partition_point(|a| *a <= address).checked_sub(1)?;
        let offset = address - self.addresses[at];
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let name = self.text.get(start..self.ends[at] as usize)?;
        if offset > FUNCTION_MAX || ENDS.contains(&name) {
            return None;
        }
        let module = self.modules[at];
        Some((name, offset, self.module_names.get(usize::from(module)).filter(|_| module != 0)))
    }
}

/// Address, name and module of a text symbol.
fn text_symbol(line: &str) -> Option<(u64, &str, &str)> {
    let mut parts = line.split_ascii_whitespace();
    let (address, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    let module = parts.next().and_then(in_brackets).unwrap_or_default();
    Some((u64::from_str_radix(address, 16).ok()?, name, module))
}

fn module_number(modules: &mut Vec<Arc<str>>, name: &str) -> u16 {
    // The kernel lists a module's symbols together, so the newest is nearly always the one.
    let known = modules.iter().rposition(|m| **m == *name);
    let number = known.unwrap_or_else(|| {
        modules.push(Arc::from(name));
        modules.len() - 1
    });
    u16::try_from(number).unwrap_or(0)
}

fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// A site from what the kernel prints for `%pS`: `tcp_v4_rcv+0x1a3/0x1b0 [module]`, or `0xffff...` where it knows no name.
///
/// With an `address` of 0 (the site of another machine) a text without a name is itself the address.
pub fn site_from_text(address: u64, text: &str) -> DropSite {
    parse_site(address, text).unwrap_or_else(|| {
        let bare = || u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok();
        let address = if address == 0 { bare().unwrap_or(0) } else { address };
        DropSite { address, symbol: None, offset: 0, module: None }
    })
}

fn parse_site(address: u64, text: &str) -> Option<DropSite> {
    let mut parts = text.split_ascii_whitespace();
    let place = parts.next()?;
    let module = parts.next().and_then(|m| m.strip_prefix('[')).map(|m| m.trim_end_matches(']'));
    let (symbol, rest) = place.rsplit_once("+0x")?;
    let offset = rest.split_once('/').map_or(rest, |(offset, _)| offset);
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let named = !symbol.is_empty() && !symbol.starts_with("0x");
    named.then(|| DropSite {
        address,
        symbol: Some(Arc::from(symbol)),
        offset,
        module: module.filter(|m| !m.is_empty()).map(Arc::from),
    })
}

/// The sites seen so far, each named once. Reads /proc/kallsyms only when an address is asked for that nobody named yet.
#[derive(Debug)]
pub struct Sites {
    path: PathBuf,
    known: HashMap<u64, DropSite>,
    table: Option<(Instant, SymbolTable)>,
    advice_due: bool,
}

impl Default for Sites {
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

impl Sites {
    /// Sites of the kernel whose /proc lies below `root`; reads nothing yet.
    pub fn at(root: &Path) -> Self {
        Self { path: root.join("proc/kallsyms"), known: HashMap::new(), table: None, advice_due: false }
    }

    /// Whether this address was named before; if not, a `%pS` text for [`Sites::learn`] is worth having.
    pub fn knows(&self, address: u64) -> bool {
        self.known.get(&address).is_some_and(|site| site.symbol.is_some())
    }

    /// Takes a name that the kernel itself printed with `%pS`.
    pub fn learn(&mut self, address: u64, text: &str) {
        self.keep(site_from_text(address, text));
    }

    /// The site of an address; a bare address where nothing is known. Does not allocate for one seen before.
    pub fn name(&mut self, address: u64) -> DropSite {
        if let Some(site) = self.known.get(&address).filter(|s| s.symbol.is_some() || !self.is_stale()) {
            return site.clone();
        }
        if self.is_stale() {
            self.reread();
        }
        let found = self.table.as_ref().and_then(|(_, table)| table.find(address));
        let site = match found {
            Some((name, offset, module)) => {
                DropSite { address, symbol: Some(Arc::from(name)), offset, module: module.cloned() }
            }
            None => DropSite { address, symbol: None, offset: 0, module: None },
        };
        self.keep(site.clone());
        site
    }

    /// What to tell the user when an address could not be named because the kernel hides them; once, then `None`.
    pub fn take_advice(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.advice_due).then_some(HIDDEN_ADVICE)
    }

    fn is_stale(&self) -> bool {
        self.table.as_ref().is_none_or(|(read, _)| read.elapsed() > REREAD)
    }

    fn reread(&mut self) {
        let first = self.table.is_none();
        let table = std::fs::File::open(&self.path)
            .and_then(|f| SymbolTable::read(BufReader::with_capacity(1 << 16, f)));
        // Unreadable is as good as hidden: no names, and the same way out.
        let table = table.unwrap_or(SymbolTable { hidden: true, ..SymbolTable::default() });
        self.advice_due |= first && table.is_hidden();
        self.table = Some((Instant::now(), table));
    }

    fn keep(&mut self, site: DropSite) {
        if self.known.len() < SITES_MAX || self.known.contains_key(&site.address) {
            self.known.insert(site.address, site);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KALLSYMS: &str = "\
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000100 t first
ffffffff81000200 D some_data
ffffffff81000300 W second
ffffffff81000400 T _etext
garbage
zzzz T not_hex
ffffffffc0001000 t nft_do_chain\t[nf_tables]
ffffffffc0001800 t nft_other\t[nf_tables]
ffffffffc0009000 t bpf_prog_abc\t[bpf]
";

    fn table() -> SymbolTable {
        SymbolTable::read(KALLSYMS.as_bytes()).unwrap()
    }

    fn found(address: u64) -> Option<String> {
        let table = table();
        let (symbol, offset, module) = table.find(address)?;
        let site = DropSite { address, symbol: Some(Arc::from(symbol)), offset, module: module.cloned() };
        Some(site.to_string())
    }

    #[test]
    fn addresses_fall_into_the_function_before() {
        assert_eq!(found(0xffff_ffff_8100_0150).as_deref(), Some("first+0x50"));
        assert_eq!(found(0xffff_ffff_8100_0300).as_deref(), Some("second+0x0"));
        assert_eq!(found(0xffff_ffff_c000_1010).as_deref(), Some("nft_do_chain+0x10 [nf_tables]"));
        assert_eq!(found(0xffff_ffff_c000_9004).as_deref(), Some("bpf_prog_abc+0x4 [bpf]"));
    }

    #[test]
    fn of_aliases_the_first_is_named_and_what_is_outside_is_not() {
        assert_eq!(found(0xffff_ffff_8100_0001).as_deref(), Some("_text+0x1"));
        assert_eq!(found(0xffff_ffff_8100_0000 - 1), None);
        assert_eq!(found(0xffff_ffff_8100_0400), None, "behind _etext");
        assert_eq!(found(u64::MAX), None, "far behind the last");
    }

    #[test]
    fn hidden_addresses_are_noticed_and_told_once() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(
            root.path().join("proc/kallsyms"),
            "0000000000000000 T _text\n0000000000000000 t x\t[m]\n",
        )
        .unwrap();
        let mut sites = Sites::at(root.path());
        assert_eq!(sites.take_advice(), None, "nothing was asked yet");
        assert_eq!(sites.name(0xffff_ffff_8100_0150).to_string(), "0xffffffff81000150");
        assert_eq!(sites.take_advice(), Some(HIDDEN_ADVICE));
        let _ = sites.name(0xffff_ffff_8100_0151);
        assert_eq!(sites.take_advice(), None);
        assert!(!sites.knows(0xffff_ffff_8100_0150));
        sites.learn(0xffff_ffff_8100_0150, "ip_rcv+0x50/0x60");
        assert!(sites.knows(0xffff_ffff_8100_0150));
        assert_eq!(sites.name(0xffff_ffff_8100_0150).to_string(), "ip_rcv+0x50");
    }

    #[test]
    fn what_the_kernel_prints_for_an_address_is_understood() {
        let text = |t| site_from_text(7, t).to_string();
        assert_eq!(text("tcp_v4_rcv+0x1a3/0x1b0"), "tcp_v4_rcv+0x1a3");
        assert_eq!(text("nf_hook_slow+0x93/0x100 [nf_tables]"), "nf_hook_slow+0x93 [nf_tables]");
        assert_eq!(text("a.cold+0x0/0x10 [m 0123abcd]"), "a.cold+0x0 [m]");
        assert_eq!(text("ip_rcv+0x5"), "ip_rcv+0x5");
        for unknown in ["", "0xffffffff81000000", "(____ptrval____)", "x+0xzz/0x1", "+0x1/0x2"] {
            assert_eq!(text(unknown), "0x7", "{unknown}");
        }
    }

    #[test]
    fn a_bare_address_of_another_machine_stays_what_it_is() {
        assert_eq!(site_from_text(0, "0xffffffff81000000").to_string(), "0xffffffff81000000");
        assert_eq!(site_from_text(0, "0xnonsense").to_string(), "0x0");
    }

    #[test]
    fn the_running_kernel_names_its_own_functions() {
        let kallsyms = std::fs::read_to_string("/proc/kallsyms").unwrap();
        let line = kallsyms
            .lines()
            .find(|l| l.ends_with(" T kfree_skb_list_reason"))
            .or_else(|| kallsyms.lines().find(|l| l.ends_with(" T consume_skb")));
        let (address, name, _) = text_symbol(line.unwrap()).unwrap();
        assert_ne!(address, 0, "run as root: addresses are hidden");
        let mut sites = Sites::default();
        assert_eq!(sites.name(address + 4).to_string(), format!("{name}+0x4"));
        assert_eq!(sites.take_advice(), None);
    }

    proptest! {
        #[test]
        fn any_text_and_address_is_survived(text in "\\PC{0,200}", lines in "([0-9a-f]{0,17} [tTwD] [a-z_]{0,5}( \\[m\\])?\n){0,8}", address: u64) {
            let _ = site_from_text(address, &text);
            let _ = SymbolTable::read(text.as_bytes()).unwrap().find(address);
            let _ = SymbolTable::read(lines.as_bytes()).unwrap().find(address);
        }
    }
}
