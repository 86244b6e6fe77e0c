//! Appending numbers, addresses and JSON texts to a line, without the detour over `fmt`: there are a dozen in every flow.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::flow::DropSite;

/// Appends a decimal number.
pub(crate) fn push_number(number: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends `digits` decimal digits of a number, zeroes in front.
pub(crate) fn push_padded(number: u32, digits: usize, out: &mut String) {
    let mut text = [b'0'; 10];
    let mut left = number;
    for place in text.iter_mut().rev() {
        *place = b'0' + (left % 10) as u8;
        left /= 10;
    }
    // Digits are ASCII.
    out.push_str(str::from_utf8(&text[10 - digits.min(10)..]).unwrap_or_default());
}

/// Appends an address.
pub(crate) fn push_ip(address: IpAddr, out: &mut String) {
    let IpAddr::V4(v4) = address else {
        // Writing to a String does not fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (i, octet) in v4.octets().into_iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        push_number(octet, out);
    }
}

/// Appends a site, as it displays.
pub(super) fn push_site(site: &DropSite, out: &mut String) {
    if let Some(symbol) = &site.symbol {
        out.push_str(symbol);
        out.push_str("+0x");
        push_hex(site.offset, out);
    } else {
        out.push_str("0x");
        push_hex(site.address, out);
    }
    if let Some(module) = &site.module {
        out.extend([" [", module, "]"]);
    }
}

fn push_hex(number: u64, out: &mut String) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        // Four bits are always a digit.
        let digit = (number >> (4 * place)) & 0xf;
        out.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

/// Appends a JSON text with its quotes.
pub(crate) fn push_json(text: &str, out: &mut String) {
    out.push('"');
    if has_special(text) {
        push_escaped(text, out);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// Closes a JSON text that was appended from `start` on; the quote in front stands there already.
pub(crate) fn close_json(start: usize, out: &mut String) {
    if has_special(&out[start..]) {
        let text = out.split_off(start);
        push_escaped(&text, out);
    }
    out.push('"');
}

/// Looks at every byte without an early end, which the compiler turns into a few wide instructions.
fn has_special(text: &str) -> bool {
    text.bytes().fold(false, |any, byte| any | is_special(byte))
}

/// Bytes that Go's encoder escapes, or that a character it escapes begins with.
fn is_special(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn push_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_texts_come_back(text in any::<String>()) {
            let mut out = String::new();
            push_json(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.clone());
            let mut other = String::from("\"");
            other.push_str(&text);
            close_json(1, &mut other);
            prop_assert_eq!(other, out);
        }

        #[test]
        fn sites_as_they_display(address in any::<u64>(), offset in any::<u64>(), named: bool, module: bool) {
            let name = |it: bool, text: &str| it.then(|| text.into());
            let site = DropSite { address, symbol: name(named, "ip_rcv"), offset, module: name(module, "nf") };
            let mut out = String::new();
            push_site(&site, &mut out);
            prop_assert_eq!(out, site.to_string());
        }

        #[test]
        fn numbers_and_addresses_as_fmt_writes_them(n in any::<u32>(), a in any::<IpAddr>()) {
            let mut out = String::new();
            push_number(n, &mut out);
            push_ip(a, &mut out);
            push_padded(n % 1000, 9, &mut out);
            prop_assert_eq!(out, format!("{n}{a}{:09}", n % 1000));
        }
    }
}
