//! What a pod, a process or a peer named itself must not drive a terminal.

use std::borrow::Cow;

/// Text that can't. Hubble's client writes ESC as `^[` and CR as `\r`; every other control character and what turns the
/// direction of text is written as an escape too.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    push(text, &mut out);
    Cow::Owned(out)
}

/// Appends [`escape`]d text.
pub(crate) fn push(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\u{1b}' => out.push_str("^["),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
}

fn is_unsafe(c: char) -> bool {
    // Controls (C0, DEL, C1), line and paragraph separators, and marks that reorder what stands around them.
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_become_harmless() {
        assert_eq!(escape("\u{1b}[2Jx\r\ny"), "^[[2Jx\\r\\ny");
        assert_eq!(escape("a\u{202e}b\u{9b}c\u{7}"), "a\\u{202e}b\\u{9b}c\\u{7}");
        assert!(matches!(escape("checkout-api-ü"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unsafe));
        }
    }
}
