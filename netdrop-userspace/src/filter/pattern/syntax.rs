//! Go's syntax of regular expressions (RE2 with Perl's additions), read as Go reads it and written for this language's crate.
//!
//! Groups capture nothing here: only whether a text matches is asked. What Go refuses is refused in its words.

use std::fmt::Write as _;

use super::escape::{escape, posix, shorthand};

/// Most times that one part may be repeated, also by brackets around it that are repeated.
const MOST_REPEATS: u32 = 1000;

/// The same expression in the other dialect, or what Go says is wrong with it.
pub(super) fn translated(text: &str) -> Result<String, String> {
    let mut parser = Parser {
        whole: text,
        rest: text,
        out: String::with_capacity(text.len() + 16),
        groups: Vec::new(),
        level: Level::default(),
    };
    parser.all()?;
    Ok(parser.out)
}

/// What was read between two brackets so far.
#[derive(Default)]
struct Level {
    /// How often the last part repeats something in it; `None`: there is nothing to repeat.
    last: Option<u32>,
    /// The most of all parts.
    most: u32,
}

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    /// Around the one at hand.
    groups: Vec<Level>,
    level: Level,
}

pub(super) fn wrong(why: &str, at: &str) -> String {
    format!("error parsing regexp: {why}: `{at}`")
}

/// The beginning of `all` that ends where `rest` begins.
pub(super) fn before<'a>(all: &'a str, rest: &str) -> &'a str {
    &all[..all.len() - rest.len()]
}

impl<'a> Parser<'a> {
    fn all(&mut self) -> Result<(), String> {
        // The last repetition's beginning, if it ended just here.
        let mut repeated: Option<&'a str> = None;
        while let Some(c) = self.rest.chars().next() {
            let start = self.rest;
            let after = &start[c.len_utf8()..];
            let last = repeated.take();
            match c {
                '(' => self.open(start)?,
                '|' => {
                    self.level.last = None;
                    self.take("|", after);
                }
                ')' => {
                    let inside = std::mem::take(&mut self.level);
                    self.level = self.groups.pop().ok_or_else(|| wrong("unexpected )", self.whole))?;
                    self.take(")", after);
                    self.part(inside.most);
                }
                '[' => self.class(start)?,
                '.' | '^' | '$' => {
                    self.out.push(c);
                    self.rest = after;
                    self.part(1);
                }
                '*' | '+' | '?' => {
                    self.repeat(start, after, last, None)?;
                    repeated = Some(last.unwrap_or(start));
                }
                '{' => match count(start) {
                    Some((least, most, after)) => {
                        let sizes = least.zip(most).filter(|(least, most)| {
                            *least <= MOST_REPEATS && most.is_none_or(|m| m <= MOST_REPEATS && *least <= m)
                        });
                        let Some((least, most)) = sizes else {
                            return Err(wrong("invalid repeat count", before(start, after)));
                        };
                        self.repeat(start, after, last, Some((least, most)))?;
                        repeated = Some(start);
                    }
                    None => self.literal(u32::from(c), after),
                },
                '\\' => self.backslash(start)?,
                c => self.literal(u32::from(c), after),
            }
        }
        if self.groups.is_empty() { Ok(()) } else { Err(wrong("missing closing )", self.whole)) }
    }

    fn take(&mut self, text: &str, after: &'a str) {
        self.out.push_str(text);
        self.rest = after;
    }

    /// A part that may be repeated.
    fn part(&mut self, repeats: u32) {
        let repeats = repeats.max(1);
        self.level.last = Some(repeats);
        self.level.most = self.level.most.max(repeats);
    }

    fn literal(&mut self, number: u32, after: &'a str) {
        match char::from_u32(number) {
            Some(c) => {
                let mut one = [0; 4];
                self.out.push_str(&regex::escape(c.encode_utf8(&mut one)));
            }
            // Half of a surrogate pair is in no text.
            None => self.out.push_str("[a&&b]"),
        }
        self.rest = after;
        self.part(1);
    }

    /// A group, flags for a group, or flags for what follows.
    fn open(&mut self, start: &'a str) -> Result<(), String> {
        let Some(mut rest) = start.strip_prefix("(?") else {
            self.group("(?:", &start[1..]);
            return Ok(());
        };
        let named = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            let (name, after) = named.split_once('>').ok_or_else(|| wrong("invalid named capture", start))?;
            if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                return Err(wrong("invalid named capture", before(start, after)));
            }
            self.group("(?:", after);
            return Ok(());
        }
        let (mut on, mut off, mut negative) = (String::new(), String::new(), false);
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                'i' | 'm' | 's' | 'U' => {
                    let flags = if negative { &mut off } else { &mut on };
                    if !flags.contains(c) {
                        flags.push(c);
                    }
                }
                '-' if !negative => negative = true,
                ':' | ')' if !negative || !off.is_empty() => {
                    // What is both on and off is off.
                    on.retain(|c| !off.contains(c));
                    let dash = if off.is_empty() { "" } else { "-" };
                    let flags = format!("(?{on}{dash}{off}");
                    match c {
                        ':' => self.group(&format!("{flags}:"), rest),
                        _ if on.is_empty() && off.is_empty() => self.rest = rest,
                        _ => self.take(&format!("{flags})"), rest),
                    }
                    return Ok(());
                }
                _ => return Err(wrong("invalid or unsupported Perl syntax", before(start, rest))),
            }
        }
        Err(wrong("missing closing )", self.whole))
    }

    fn group(&mut self, opening: &str, after: &'a str) {
        self.take(opening, after);
        self.groups.push(std::mem::take(&mut self.level));
    }

    /// An operator at `start`, behind which `after` follows; `counts` are those of braces.
    fn repeat(
        &mut self,
        start: &'a str,
        after: &'a str,
        last: Option<&str>,
        counts: Option<(u32, Option<u32>)>,
    ) -> Result<(), String> {
        let after = after.strip_prefix('?').unwrap_or(after);
        if let Some(last) = last {
            return Err(wrong("invalid nested repetition operator", before(last, after)));
        }
        let operator = before(start, after);
        let within = self.level.last;
        let within = within.ok_or_else(|| wrong("missing argument to repetition operator", operator))?;
        let times = counts.map_or(1, |(least, most)| most.unwrap_or(least)).max(1);
        let all = within.saturating_mul(times);
        if times > 1 && all > MOST_REPEATS {
            return Err(wrong("invalid repeat count", operator));
        }
        self.take(operator, after);
        self.part(all);
        Ok(())
    }

    fn backslash(&mut self, start: &'a str) -> Result<(), String> {
        let after = &start[1..];
        if let Some(quoted) = after.strip_prefix('Q') {
            let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            for c in quoted.chars() {
                self.literal(u32::from(c), after);
            }
            self.rest = after;
            return Ok(());
        }
        let known = match after.as_bytes().first() {
            Some(b'A') => Some(r"\A"),
            Some(b'b') => Some(r"(?-u:\b)"),
            Some(b'B') => Some(r"(?-u:\B)"),
            Some(b'z') => Some(r"\z"),
            Some(b'C') => return Err(wrong("invalid escape sequence", r"\C")),
            _ => None,
        };
        if let Some(known) = known {
            self.take(known, &after[1..]);
            self.part(1);
        } else if let Some(after) = shorthand(start, &mut self.out)? {
            self.rest = after;
            self.part(1);
        } else {
            let (number, after) = escape(start)?;
            self.literal(number, after);
        }
        Ok(())
    }

    /// `[...]`.
    fn class(&mut self, start: &'a str) -> Result<(), String> {
        let mut rest = &start[1..];
        self.out.push('[');
        if let Some(after) = rest.strip_prefix('^') {
            self.out.push('^');
            rest = after;
        }
        let mut first = true;
        while first || !rest.starts_with(']') {
            first = false;
            if let Some(after) = posix(rest)? {
                self.out.push_str(before(rest, after));
                rest = after;
                continue;
            }
            if let Some(after) = shorthand(rest, &mut self.out)? {
                rest = after;
                continue;
            }
            let range = rest;
            let low;
            (low, rest) = class_char(rest, start)?;
            let mut high = low;
            if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
                (high, rest) = class_char(&rest[1..], start)?;
                if high < low {
                    return Err(wrong("invalid character class range", before(range, rest)));
                }
            }
            push_range(low, high, &mut self.out);
        }
        self.take("]", &rest[1..]);
        self.part(1);
        Ok(())
    }
}

/// Surrogates are in no text.
fn push_range(low: u32, high: u32, out: &mut String) {
    let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
    let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
    if low <= high {
        // A string takes all that is written.
        let _ = write!(out, r"\x{{{low:x}}}-\x{{{high:x}}}");
    }
}

fn class_char<'a>(text: &'a str, class: &str) -> Result<(u32, &'a str), String> {
    match text.chars().next() {
        None => Err(wrong("missing closing ]", class)),
        Some('\\') => escape(text),
        Some(c) => Ok((u32::from(c), &text[c.len_utf8()..])),
    }
}

/// A least and a most, where numbers are not too long to be read.
type Counts<'a> = (Option<u32>, Option<Option<u32>>, &'a str);

/// `{2}`, `{2,}`, `{2,5}` at the beginning, and what follows; `None`: the brace is itself.
fn count(text: &str) -> Option<Counts<'_>> {
    let (least, rest) = whole(&text[1..])?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (Some(least), rest),
        Some(rest) if rest.starts_with('}') => (Some(None), rest),
        Some(rest) => {
            let (most, rest) = whole(rest)?;
            (most.map(Some), rest)
        }
    };
    let most = most.filter(|_| least.is_some());
    Some((least, most, rest.strip_prefix('}')?))
}

/// A number without leading zeros; `Some(None)`: a long one.
fn whole(text: &str) -> Option<(Option<u32>, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().ok().filter(|n| *n < 100_000_000), rest))
}
