//! Numbers and texts in as few bytes as they need. Reading is total: bytes that are not what they should be give `None`.

/// Bytes that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bytes<'a>(pub(in super::super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next so many.
    pub(in super::super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(in super::super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(in super::super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(in super::super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in super::super) fn fixed32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in super::super) fn fixed64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Seven bits a byte, the lowest first.
    pub(in super::super) fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit of the number.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(in super::super) fn number32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub(in super::super) fn len(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    /// A signed number: small ones of either sign are short.
    pub(in super::super) fn signed(&mut self) -> Option<i64> {
        self.number().map(unfolded)
    }

    pub(in super::super) fn signed32(&mut self) -> Option<i32> {
        self.signed()?.try_into().ok()
    }

    /// A difference of times in ns. What 64 bits do not hold has its own form.
    pub(in super::super) fn span(&mut self) -> Option<i128> {
        match self.signed()? {
            i64::MIN => self.array().map(i128::from_le_bytes),
            short => Some(i128::from(short)),
        }
    }

    pub(in super::super) fn text(&mut self) -> Option<&'a str> {
        let len = self.len()?;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

/// 0, -1, 1, -2 ... as 0, 1, 2, 3 ...
fn folded(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

fn unfolded(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

pub(in super::super) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let [low, ..] = n.to_le_bytes();
        n >>= 7;
        if n == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

pub(in super::super) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put_number(out, folded(n));
}

pub(in super::super) fn put_span(out: &mut Vec<u8>, ns: i128) {
    match i64::try_from(ns) {
        Ok(short) if short != i64::MIN => put_signed(out, short),
        _ => {
            put_signed(out, i64::MIN);
            out.extend_from_slice(&ns.to_le_bytes());
        }
    }
}

pub(in super::super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(n: u64, s: i64, wide: i128, text: String) {
            let mut out = Vec::new();
            put_number(&mut out, n);
            put_signed(&mut out, s);
            put_span(&mut out, wide);
            put_span(&mut out, i128::from(s));
            put_text(&mut out, &text);
            let mut bytes = Bytes(&out);
            prop_assert_eq!(bytes.number(), Some(n));
            prop_assert_eq!(bytes.signed(), Some(s));
            prop_assert_eq!(bytes.span(), Some(wide));
            prop_assert_eq!(bytes.span(), Some(i128::from(s)));
            prop_assert_eq!(bytes.text(), Some(&*text));
            prop_assert!(bytes.0.is_empty());
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes: Vec<u8>) {
            let mut left = Bytes(&bytes);
            while left.span().is_some() {}
            let mut left = Bytes(&bytes);
            while left.text().is_some() {}
        }
    }

    #[test]
    fn edges() {
        for n in [0, 0x7f, 0x80, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, n);
            assert_eq!(Bytes(&out).number(), Some(n));
        }
        for n in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(unfolded(folded(n)), n);
        }
        assert_eq!(Bytes(&[0xff; 10]).number(), None, "more than 64 bits");
    }
}
