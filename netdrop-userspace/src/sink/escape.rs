//! What a pod, a process or a peer named itself must not drive a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

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
    // Controls (C0, DEL, C1), line and paragraph separators, marks that reorder what stands around them, and those of no width, by which
    // two names differ that look alike: what Unicode 16 has as Default_Ignorable_Code_Point, and annotations.
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The same for JSON, from `start` on, without a change of what it means: JSON itself writes the controls below a blank so.
pub(crate) fn tame_json(out: &mut String, start: usize) {
    let drives = |c: char| c >= '\u{7f}' && is_unsafe(c);
    let Some(first) = out.get(start..).and_then(|text| text.find(drives)) else { return };
    let rest = out.split_off(start + first);
    for c in rest.chars() {
        match c {
            c if drives(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
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

    #[test]
    fn what_is_not_seen_is_written_out() {
        for mark in [
            '\u{61c}', '\u{200b}', '\u{200d}', '\u{200f}', '\u{2028}', '\u{202c}', '\u{2060}', '\u{2064}',
            '\u{2069}', '\u{feff}',
        ] {
            let name = format!("pay{mark}ments");
            let number = u32::from(mark);
            assert_eq!(escape(&name), format!("pay\\u{{{number:x}}}ments"));
            let mut json = serde_json::to_string(&name).unwrap();
            tame_json(&mut json, 0);
            assert_eq!(json, format!("\"pay\\u{number:04x}ments\""));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
        }
    }

    #[test]
    fn json_means_the_same() {
        let text = "\u{9b}2J\u{85}\u{202e}\u{7f}ü\u{2066}";
        let line = serde_json::to_string(text).unwrap();
        let mut tame = format!("\u{9b}{line}");
        tame_json(&mut tame, "\u{9b}".len());
        assert_eq!(tame, "\u{9b}\"\\u009b2J\\u0085\\u202e\\u007fü\\u2066\"");
        assert_eq!(serde_json::from_str::<String>(&tame["\u{9b}".len()..]).unwrap(), text);
        let mut plain = String::from("{\n  \"a\": \"b\"\n}");
        tame_json(&mut plain, 0);
        assert_eq!(plain, "{\n  \"a\": \"b\"\n}");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unsafe));
        }
    }
}
