//! Strings that come again and again are kept once.

use std::collections::HashSet;
use std::sync::Arc;

/// Most strings kept; beyond, the set starts anew (old flows keep theirs).
const MOST: usize = 16_384;

/// A bounded set of shared strings.
#[derive(Default)]
pub(super) struct Interner(HashSet<Arc<str>>);

impl Interner {
    /// The shared copy of `text`.
    pub(super) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let shared: Arc<str> = text.into();
        self.0.insert(Arc::clone(&shared));
        shared
    }
}

/// The last answer: in a storm the next question is the same.
#[derive(Debug)]
pub(super) struct Memo<K, V>(Option<(K, V)>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: PartialEq, V: Clone> Memo<K, V> {
    /// The value of `key`, made if it is not the last one's.
    pub(super) fn get(&mut self, key: K, make: impl FnOnce() -> V) -> V {
        match &self.0 {
            Some((last, value)) if *last == key => value.clone(),
            _ => self.0.insert((key, make())).1.clone(),
        }
    }
}

/// A NUL-padded name of the kernel as text; bytes that are not UTF-8 are replaced.
pub(super) fn kernel_name(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_is_shared_and_the_set_is_bounded() {
        let mut i = Interner::default();
        assert!(Arc::ptr_eq(&i.get("eth0"), &i.get("eth0")));
        for n in 0..=MOST {
            i.get(&n.to_string());
        }
        assert!(i.0.len() <= MOST);
    }

    #[test]
    fn kernel_names_end_at_nul() {
        assert_eq!(kernel_name(b"eth0\0\0junk"), "eth0");
        assert_eq!(kernel_name(b"sixteen-bytes-xx"), "sixteen-bytes-xx");
    }
}
