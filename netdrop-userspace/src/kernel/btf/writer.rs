//! BTF written by hand, for tests.

use super::Btf;

/// Writes small BTF by hand.
#[derive(Default)]
pub(in crate::kernel) struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    base_strings: u32,
}

impl Writer {
    pub(in crate::kernel) fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    pub(in crate::kernel) fn on(base: &Btf) -> Self {
        Self { base_strings: base.end_string(), ..Self::default() }
    }

    pub(in crate::kernel) fn name(&mut self, name: &str) -> u32 {
        let at = u32::try_from(self.strings.len()).unwrap() + self.base_strings;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        at
    }

    pub(in crate::kernel) fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }

    pub(in crate::kernel) fn head(&mut self, name: u32, kind: u32, flag: bool, vlen: u32, size: u32) {
        self.words(&[name, (kind << 24) | (u32::from(flag) << 31) | vlen, size]);
    }

    /// An enum of 32 bits.
    pub(in crate::kernel) fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) {
        let name = self.name(name);
        self.head(name, 6, false, u32::try_from(values.len()).unwrap(), 4);
        for (name, value) in values {
            let name = self.name(name);
            self.words(&[name, *value]);
        }
    }

    pub(in crate::kernel) fn finish(self) -> Vec<u8> {
        let (types, strings) =
            (u32::try_from(self.types.len()).unwrap(), u32::try_from(self.strings.len()).unwrap());
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, strings] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend(self.types);
        bytes.extend(self.strings);
        bytes
    }
}
