//! Reads JSON as Go's protojson does: what that refuses is refused, what that takes is taken.

use std::borrow::Cow;
use std::str::FromStr;

use super::codec::{Message, Names, Tree};
use super::field::Field;
use super::{JsonError, Unknown, number};

/// Objects and lists within each other; protobuf's own readers stop there, too.
const DEEPEST: u32 = 100;

/// A text that is read, and how far.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// What of the message that comes next is looked at; `None`: all of it.
    pub(super) wanted: Option<&'a Tree>,
    unknown: Unknown,
    depth: u32,
    /// The most that `depth` has been.
    deepest: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, unknown: Unknown) -> Self {
        Self { text, at: 0, wanted: None, unknown, depth: 0, deepest: 0 }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// An error that names the place.
    pub(super) fn error(&self, what: impl Into<String>) -> JsonError {
        let column = self.text.get(..self.at).map_or(self.at, |t| t.chars().count()) + 1;
        JsonError { what: what.into(), column: Some(column) }
    }

    fn unexpected(&self) -> JsonError {
        match self.text[self.at..].chars().next() {
            Some(c) => self.error(format!("unexpected {c:?}")),
            None => self.error("the line ends too early"),
        }
    }

    /// The next byte that is no space, without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Nothing may come any more.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn word(&mut self, word: &str) -> bool {
        self.peek();
        let rest = &self.bytes()[self.at..];
        let found = rest.starts_with(word.as_bytes())
            && !rest.get(word.len()).copied().is_some_and(number::continues_word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes a `null`, if there is one.
    pub(super) fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null")
    }

    pub(super) fn boolean(&mut self) -> Result<bool, JsonError> {
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.unexpected())
        }
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let length = number::length(&self.bytes()[self.at..]);
        if length == 0 {
            return Err(self.unexpected());
        }
        let start = self.at;
        self.at += length;
        Ok(&self.text[start..self.at])
    }

    /// A whole number, also as a text.
    pub(super) fn whole<T: FromStr>(&mut self, kind: &str) -> Result<T, JsonError> {
        let start = self.at;
        let found = if self.peek() == Some(b'"') {
            let text = self.text()?;
            number::quoted(&text).and_then(number::whole)
        } else {
            number::whole(self.number()?)
        };
        found.ok_or_else(|| {
            self.at = start;
            self.error(format!("no {kind}"))
        })
    }

    /// A number of either precision, also as a text.
    pub(super) fn float<F: FromStr + PartialOrd + From<f32>>(&mut self) -> Result<F, JsonError> {
        let start = self.at;
        let text = if self.peek() == Some(b'"') { self.text()? } else { self.number()?.into() };
        let parsed = match &*text {
            "NaN" => Some(F::from(f32::NAN)),
            "Infinity" => Some(F::from(f32::INFINITY)),
            "-Infinity" => Some(F::from(f32::NEG_INFINITY)),
            text => number::quoted(text)
                .and_then(|t| t.parse().ok())
                .filter(|n: &F| *n > F::from(f32::NEG_INFINITY) && *n < F::from(f32::INFINITY)),
        };
        parsed.ok_or_else(|| {
            self.at = start;
            self.error("no number")
        })
    }

    /// The number of an enum's name, or a number; `None`: a name that is unknown and may be.
    pub(super) fn enumeration(&mut self, names: &Names) -> Result<Option<i32>, JsonError> {
        if self.peek() != Some(b'"') {
            return number::whole(self.number()?).map(Some).ok_or_else(|| self.error("no number of an enum"));
        }
        let name = self.text()?;
        match names.number(&name) {
            None if self.unknown == Unknown::Refuse => Err(self.error(format!("unknown name {name:?}"))),
            number => Ok(number),
        }
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.bytes();
        let at = start + plain(&bytes[start..]);
        self.at = at;
        if bytes.get(at) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..at]));
        }
        self.escaped(start).map(Cow::Owned)
    }

    /// A text from its first escape on; `start` is where it begins.
    fn escaped(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = self.text[start..self.at].to_owned();
        loop {
            let run = self.at;
            self.at += plain(&self.bytes()[run..]);
            out.push_str(&self.text[run..self.at]);
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.bytes().get(self.at).copied();
        let c = match byte {
            Some(b'"' | b'\\' | b'/') => byte.map_or('"', char::from),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.four_digits()?;
        let mut units = [first, 0];
        let mut pair = 1;
        if (0xd800..0xe000).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            units[1] = self.four_digits()?;
            pair = 2;
        }
        let mut decoded = char::decode_utf16(units[..pair].iter().copied());
        match (decoded.next(), decoded.next()) {
            (Some(Ok(c)), None) => Ok(c),
            _ => Err(self.error("half of a surrogate pair")),
        }
    }

    fn four_digits(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|d| u16::from_str_radix(d, 16).ok()).ok_or_else(|| self.unexpected())?;
        self.at += 4;
        Ok(number)
    }

    /// How many objects and lists were within each other so far, at most.
    pub(super) fn deepest(&self) -> u32 {
        self.deepest
    }

    fn deeper(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > DEEPEST {
            return Err(self.error(format!("more than {DEEPEST} objects within each other")));
        }
        Ok(())
    }

    /// The members of an object; `each` gets the name and reads the value.
    pub(super) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.deeper()?;
        let mut more = !self.take(b'}');
        while more {
            self.peek();
            let name = self.text()?;
            self.expect(b':')?;
            each(self, name)?;
            more = self.take(b',');
            if !more {
                self.expect(b'}')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The text under this name, if the object that comes next begins with it.
    pub(super) fn first_text(mut self, name: &str) -> Option<Cow<'a, str>> {
        let begins = self.take(b'{') && self.peek() == Some(b'"') && self.text().is_ok_and(|n| n == name);
        (begins && self.take(b':')).then(|| self.text().ok())?
    }

    /// Passes over the type of an Any, which is there once.
    pub(super) fn type_once(&mut self, typed: &mut bool) -> Result<(), JsonError> {
        if std::mem::replace(typed, true) {
            return Err(self.error("a second \"@type\""));
        }
        self.skip()
    }

    /// The values of a list.
    pub(super) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'[')?;
        self.deeper()?;
        let mut more = !self.take(b']');
        while more {
            each(self)?;
            more = self.take(b',');
            if !more {
                self.expect(b']')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over any value.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.object(|input, _| input.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.text().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') if self.null() => Ok(()),
            _ => self.number().map(drop),
        }
    }

    /// A member that nobody knows.
    pub(super) fn unknown(&mut self, name: &str) -> Result<(), JsonError> {
        match self.unknown {
            Unknown::Ignore => self.skip(),
            Unknown::Refuse => Err(self.error(format!("unknown field {name:?}"))),
        }
    }

    pub(super) fn ignores_unknown(&self) -> bool {
        self.unknown == Unknown::Ignore
    }

    /// Where a oneof has a field already.
    pub(super) fn second_of_oneof(&self) -> JsonError {
        self.error("a second one of fields of which only one can be set")
    }

    /// A message of generated fields.
    pub(super) fn message<M: Message>(&mut self) -> Result<M, JsonError> {
        if let Some(tree) = self.wanted {
            return self.some_fields(tree);
        }
        self.fields(false)
    }

    /// A message in an Any, beside the name of its type.
    pub(super) fn typed_message<M: Message>(&mut self) -> Result<M, JsonError> {
        self.fields(true)
    }

    fn fields<M: Message>(&mut self, typed: bool) -> Result<M, JsonError> {
        let fields = M::fields();
        let mut message = M::default();
        let mut seen = 0u64;
        let mut next = 0;
        let mut type_seen = false;
        self.object(|input, name| {
            if typed && name == "@type" {
                return input.type_once(&mut type_seen);
            }
            let Some(index) = find(fields, next, &name) else {
                return input.unknown(&name);
            };
            next = index + 1;
            let bit = 1 << index;
            if seen & bit != 0 {
                return Err(input.error(format!("field {name:?} for the second time")));
            }
            seen |= bit;
            if input.null() { Ok(()) } else { message.read_field(index, input) }
        })?;
        Ok(message)
    }
}

/// How many bytes a text begins with that stand for themselves: up to a quote, a backslash or a control character. Eight at a time, since
/// a flow is mostly texts.
pub(super) fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The lowest byte that is less than `n` has its high bit set; those above it may have it by mistake.
    let less = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let mut words = text.chunks_exact(8);
    for (i, word) in words.by_ref().enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let quote = less(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = less(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | less(word, 0x20);
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let rest = words.remainder();
    let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | ..0x20)).count();
    text.len() - rest.len() + plain
}

/// The index of a field. Fields come in the order of their declaration, mostly: the search begins after the last one.
fn find(fields: &[Field], next: usize, name: &str) -> Option<usize> {
    let is = |f: &Field| f.name == name || f.json == name;
    let (before, after) = fields.split_at(next.min(fields.len()));
    after.iter().position(is).map(|i| i + next).or_else(|| before.iter().position(is))
}
