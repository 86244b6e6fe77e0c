//! Whether a JSON text is, byte for byte, what would be written of what is read from it. Most lines are, since protobuf's writers made
//! them; of those nothing has to be built to pass them on, or to pass them over. It never errs to that side: what is unusual, or takes more
//! than a look, is none, and read and written in full by the caller. There is no word of what is wrong with it, either.

use super::field::{Field, Kind, head};
use super::number::push_float;
use super::read::Reader;
use super::when::timestamp;

/// Lists and objects within each other in a Struct. Those that netdrop writes have one.
const DEEPEST: u32 = 8;

/// What netdrop's extensions begin with.
const STRUCT: &[u8] = br#"{"@type":"type.googleapis.com/google.protobuf.Struct","value":"#;

impl<'a> Reader<'a> {
    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    fn next_are(&mut self, bytes: &[u8]) -> bool {
        let are = self.bytes()[self.at..].starts_with(bytes);
        self.at += if are { bytes.len() } else { 0 };
        are
    }

    /// The next field of these, which come in their order: its index.
    pub(super) fn next_field(&mut self, fields: &[Field], from: usize) -> Option<usize> {
        let next = &self.bytes()[self.at..];
        let head = head(next);
        let index = from + fields.get(from..)?.iter().position(|f| f.comes(head, next))?;
        self.at += fields[index].key.len();
        Some(index)
    }

    /// The members of a message, each once, in the order of their declaration, and of a oneof no more than one; `value` takes the value of
    /// a field by its index.
    pub(super) fn exact_fields(
        &mut self,
        fields: &[Field],
        mut value: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        if !self.next_is(b'{') {
            return None;
        }
        if self.next_is(b'}') {
            return Some(());
        }
        let (mut from, mut oneofs) = (0, 0);
        loop {
            let index = self.next_field(fields, from)?;
            let field = &fields[index];
            if oneofs & field.oneof != 0 {
                return None;
            }
            oneofs |= field.oneof;
            value(self, index)?;
            from = index + 1;
            if self.next_is(b'}') {
                return Some(());
            }
            if !self.next_is(b',') {
                return None;
            }
        }
    }

    /// A message of these fields.
    pub(super) fn exact_message(&mut self, fields: &[Field]) -> Option<()> {
        self.exact_fields(fields, |input, index| input.exact_field(&fields[index]))
    }

    /// The value of a field.
    pub(super) fn exact_field(&mut self, field: &Field) -> Option<()> {
        if !field.list {
            return self.exact_value(field.kind, field.always);
        }
        if !self.next_is(b'[') {
            return None;
        }
        loop {
            self.exact_value(field.kind, true)?;
            if self.next_is(b']') {
                return Some(());
            }
            if !self.next_is(b',') {
                return None;
            }
        }
    }

    fn exact_value(&mut self, kind: Kind, always: bool) -> Option<()> {
        let ok = match kind {
            Kind::Text => !self.exact_text()?.is_empty() || always,
            Kind::Bool => self.next_are(b"true") || (always && self.next_are(b"false")),
            Kind::Uint32 => {
                let number = self.exact_digits()?;
                u32::try_from(number).is_ok() && (number != 0 || always)
            }
            Kind::Int32 => {
                let negative = self.next_is(b'-');
                let number = self.exact_digits()?;
                i32::try_from(number).is_ok() && (number != 0 || always && !negative)
            }
            Kind::Uint64 => {
                let number = self.next_is(b'"').then(|| self.exact_digits())??;
                self.next_is(b'"') && (number != 0 || always)
            }
            Kind::Enum(names) => {
                let number = names.number(self.exact_text()?)?;
                number != 0 || always
            }
            Kind::Message(fields) => return self.exact_message(fields),
            Kind::Time => {
                let text = self.exact_text()?;
                is_exact_time(text, timestamp(text)?.nanos)
            }
            Kind::Any => self.next_are(STRUCT) && self.exact_struct(DEEPEST).is_some() && self.next_is(b'}'),
            Kind::Other => false,
        };
        ok.then_some(())
    }

    /// A number without a sign, of up to 19 digits.
    fn exact_digits(&mut self) -> Option<u64> {
        let next = &self.bytes()[self.at..];
        let length = next.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 || length > 19 || (length > 1 && next[0] == b'0') {
            return None;
        }
        self.at += length;
        Some(next[..length].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    /// A text as it stands there, with its escapes.
    fn exact_text(&mut self) -> Option<&'a str> {
        if !self.next_is(b'"') {
            return None;
        }
        let (start, bytes) = (self.at, self.bytes());
        loop {
            self.at += unescaped(&bytes[self.at..]);
            match bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(start..self.at - 1);
                }
                b'\\' => self.at += exact_escape(&bytes[self.at + 1..])? + 1,
                // Of what begins so, two characters are escaped.
                0xe2 if !matches!(bytes.get(self.at + 1..self.at + 3)?, [0x80, 0xa8 | 0xa9]) => self.at += 3,
                _ => return None,
            }
        }
    }

    /// A text without escapes, which would stand in another order than what they mean.
    fn exact_key(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let length = self.next_is(b'"').then(|| unescaped(&self.bytes()[start..]))?;
        self.at = start + length;
        self.next_is(b'"').then(|| self.text.get(start..start + length))?
    }

    /// An object of any values, its keys in ascending order.
    fn exact_struct(&mut self, depth: u32) -> Option<()> {
        if !self.next_is(b'{') {
            return None;
        }
        if self.next_is(b'}') {
            return Some(());
        }
        let mut last = "";
        loop {
            let key = self.exact_key()?;
            if !(comes_before(last, key) && self.next_is(b':')) {
                return None;
            }
            last = key;
            self.exact_any_value(depth)?;
            if self.next_is(b'}') {
                return Some(());
            }
            if !self.next_is(b',') {
                return None;
            }
        }
    }

    fn exact_any_value(&mut self, depth: u32) -> Option<()> {
        match self.bytes().get(self.at)? {
            b'"' => self.exact_text().map(drop),
            b'{' => self.exact_struct(depth.checked_sub(1)?),
            b'[' => self.exact_list(depth.checked_sub(1)?),
            b't' => self.next_are(b"true").then_some(()),
            b'f' => self.next_are(b"false").then_some(()),
            b'n' => self.next_are(b"null").then_some(()),
            _ => self.exact_number(),
        }
    }

    fn exact_list(&mut self, depth: u32) -> Option<()> {
        self.at += 1;
        if self.next_is(b']') {
            return Some(());
        }
        loop {
            self.exact_any_value(depth)?;
            if self.next_is(b']') {
                return Some(());
            }
            if !self.next_is(b',') {
                return None;
            }
        }
    }

    /// A number of double precision.
    fn exact_number(&mut self) -> Option<()> {
        let next = &self.bytes()[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']');
        let digits = next.iter().take_while(|b| b.is_ascii_digit()).count();
        // So many digits survive any way through a double.
        if (1..=15).contains(&digits)
            && (digits == 1 || next[0] != b'0')
            && next.get(digits).is_some_and(is_end)
        {
            self.at += digits;
            return Some(());
        }
        let length = next.iter().position(is_end)?;
        let text = self.text.get(self.at..self.at + length)?;
        let number: f64 = text.parse().ok().filter(|n: &f64| n.is_finite())?;
        let mut written = String::new();
        push_float(number, &mut written);
        self.at += length;
        (written == text).then_some(())
    }
}

/// Whether a key is less than the next; told from their beginnings, mostly.
fn comes_before(key: &str, next: &str) -> bool {
    let [a, b] = [key, next].map(|key| head(key.as_bytes()).swap_bytes());
    a < b || (a == b && key < next)
}

/// Whether this is how a time is written, whose fraction of a second is `nanos`.
fn is_exact_time(text: &str, nanos: i32) -> bool {
    const WHOLE: usize = "2006-01-02T15:04:05Z".len();
    let digits = match nanos {
        0 => 0,
        _ if nanos % 1_000_000 == 0 => 4,
        _ if nanos % 1_000 == 0 => 7,
        _ => 10,
    };
    let bytes = text.as_bytes();
    bytes.len() == WHOLE + digits && bytes[WHOLE - 1 + digits] == b'Z' && bytes[WHOLE - 1] != b','
}

/// How many bytes an escape has after its backslash, if it is one that is written so.
fn exact_escape(next: &[u8]) -> Option<usize> {
    match next {
        [b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f', ..] => Some(1),
        [b'u', digits @ ..] => {
            let digits = digits.first_chunk::<4>()?;
            let is = match digits {
                b"003c" | b"003e" | b"0026" | b"2028" | b"2029" => true,
                b"0008" | b"0009" | b"000a" | b"000c" | b"000d" => false,
                [b'0', b'0', b'0' | b'1', last] => matches!(last, b'0'..=b'9' | b'a'..=b'f'),
                _ => false,
            };
            is.then_some(5)
        }
        _ => None,
    }
}

/// How many bytes come before one that ends a text, or that a writer escapes, or that a character it escapes begins with. Eight at a time.
fn unescaped(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The lowest such byte has its high bit set; those above it may have it by mistake.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut words = text.chunks_exact(8);
    for (i, word) in words.by_ref().enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // A quote differs from an ampersand, and `<` from `>`, in one bit.
        let quote = zero((word | (ONES * 0x04)) ^ (ONES * u64::from(b'&')));
        let angle = zero((word | (ONES * 0x02)) ^ (ONES * u64::from(b'>')));
        let other = zero(word ^ (ONES * u64::from(b'\\'))) | zero(word ^ (ONES * 0xe2));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | angle | other | control) & HIGH;
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let rest = words.remainder();
    let is = |b: &&u8| matches!(b, b'"' | b'&' | b'<' | b'>' | b'\\' | 0xe2 | ..0x20);
    text.len() - rest.len() + rest.iter().take_while(|b| !is(b)).count()
}

#[cfg(test)]
mod tests;
