//! What a backslash or `[:` begins in Go's regular expressions.

use regex::Regex;

use super::syntax::{before, wrong};

/// Names between `[:` and `:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// `[:alpha:]` at the beginning: what follows it.
pub(super) fn posix(text: &str) -> Result<Option<&str>, String> {
    let Some((name, after)) = text.strip_prefix("[:").and_then(|t| t.split_once(":]")) else {
        return Ok(None);
    };
    if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some(after));
    }
    Err(wrong("invalid character class range", before(text, after)))
}

/// A class of one escape at the beginning, as `\d` or `\p{Greek}`: it is written, and what follows is given back.
pub(super) fn shorthand<'a>(text: &'a str, out: &mut String) -> Result<Option<&'a str>, String> {
    let mut chars = text.chars();
    if chars.next() != Some('\\') {
        return Ok(None);
    }
    let Some(letter) = chars.next() else { return Ok(None) };
    let ascii = match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'p' | 'P' => return unicode(text, letter == 'P', out).map(Some),
        _ => return Ok(None),
    };
    out.push_str(ascii);
    Ok(Some(chars.as_str()))
}

/// `\pL`, `\p{Greek}`, `\P{^Lu}`.
fn unicode<'a>(text: &'a str, negative: bool, out: &mut String) -> Result<&'a str, String> {
    let inside = &text[2..];
    let unknown = |at: &str| wrong("invalid character class range", at);
    let (name, after) = match inside.strip_prefix('{') {
        Some(inside) => inside.split_once('}').ok_or_else(|| unknown(text))?,
        None => inside.split_at(inside.chars().next().map_or(0, char::len_utf8)),
    };
    let (negative, name) = name.strip_prefix('^').map_or((negative, name), |name| (!negative, name));
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let letter = if negative { 'P' } else { 'p' };
    // Categories and scripts; other properties are not known to Go.
    for kind in ["gc", "sc"] {
        let class = format!(r"\{letter}{{{kind}={name}}}");
        if plain && Regex::new(&class).is_ok() {
            out.push_str(&class);
            return Ok(after);
        }
    }
    Err(unknown(before(text, after)))
}

/// A character's number from an escape at the beginning, and what follows.
pub(super) fn escape(text: &str) -> Result<(u32, &str), String> {
    let mut rest = text[1..].chars();
    let Some(c) = rest.next() else {
        return Err(wrong("trailing backslash at end of expression", ""));
    };
    let octal = |rest: &std::str::Chars<'_>| rest.as_str().chars().next().and_then(|c| c.to_digit(8));
    let number = match c {
        // One digit alone would be a back reference.
        '1'..='7' if octal(&rest).is_none() => None,
        '0'..='7' => {
            let mut number = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = octal(&rest) else { break };
                number = number * 8 + digit;
                rest.next();
            }
            Some(number)
        }
        'x' => hexadecimal(&mut rest),
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    match number {
        Some(number) => Ok((number, rest.as_str())),
        None => Err(wrong("invalid escape sequence", before(text, rest.as_str()))),
    }
}

/// Behind `\x`: two digits, or any number of them in braces.
fn hexadecimal(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = rest.next()?;
    if first != '{' {
        let second = rest.next()?;
        return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
    }
    let mut number: Option<u32> = None;
    loop {
        match rest.next()? {
            '}' => return number,
            c => {
                let next = number.unwrap_or_default() * 16 + c.to_digit(16)?;
                number = Some(next).filter(|n| *n <= u32::from(char::MAX));
                number?;
            }
        }
    }
}
