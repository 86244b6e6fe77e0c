//! What clients of a unix socket call the server (`:authority`). Those of gRPC's C core, as in Python, Ruby and C++, say the socket's path
//! with escapes, those in Java the path as it is; neither is a host (RFC 9113, 8.3.1), and h2 refuses the call.
//!
//! So what can't be in a host is overwritten, in the bytes as they come. The length stays, as text and packed, and so do both sides'
//! tables of headers. Nobody asks what the name is. What is not understood is left alone: h2 judges it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Frames that carry headers, and their flags (RFC 9113, 6.2 and 6.10).
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Of `:authority` in the table that every connection has (RFC 7541, A).
const AUTHORITY: u64 = 1;
/// In place of what can't be in a host.
const INSTEAD: u8 = b'-';
/// Packed (RFC 7541, B), they are of one length.
const PERCENT: u16 = 0b01_0101;
const SLASH: u16 = 0b01_1000;
const DASH: u16 = 0b01_0110;

/// What a client says, with names that h2 takes.
pub(super) struct Named<R> {
    stream: R,
    frames: Option<Frames>,
}

impl<R> Named<R> {
    /// Behind the preface. Where not `by_path`, all stays as it is.
    pub(super) fn new(stream: R, by_path: bool) -> Self {
        Self { stream, frames: by_path.then(Frames::default) }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Named<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if let Some(frames) = &mut self.frames {
            frames.pass(&mut buf.filled_mut()[before..]);
        }
        Poll::Ready(read)
    }
}

/// How far a connection's frames are.
#[derive(Debug, Default)]
struct Frames {
    /// Of the head of a frame, and what of it has come.
    head: [u8; 9],
    come: usize,
    /// Bytes of the frame: before its headers, of these, and behind.
    lead: usize,
    padded: bool,
    fields: usize,
    rest: usize,
    block: Block,
}

impl Frames {
    fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let length = if self.come < self.head.len() {
                self.head[self.come] = bytes[0];
                self.come += 1;
                if self.come == self.head.len() {
                    self.begin();
                }
                1
            } else if self.lead > 0 {
                if std::mem::take(&mut self.padded) {
                    let padding = usize::from(bytes[0]).min(self.fields);
                    self.fields -= padding;
                    self.rest += padding;
                }
                self.lead -= 1;
                1
            } else if self.fields > 0 {
                let length = self.fields.min(bytes.len());
                let fields = &mut bytes[..length];
                (0..length).for_each(|i| self.block.pass(fields, i));
                self.fields -= length;
                length
            } else {
                let length = self.rest.min(bytes.len());
                self.rest -= length;
                length
            };
            bytes = &mut bytes[length..];
            if self.come == self.head.len() && self.lead + self.fields + self.rest == 0 {
                self.come = 0;
            }
        }
    }

    /// The head is whole.
    fn begin(&mut self) {
        let [high, mid, low, kind, flags, ..] = self.head;
        let length = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
        (self.lead, self.padded, self.fields, self.rest) = (0, false, 0, length);
        if kind == HEADERS {
            self.block = Block::default();
            self.padded = flags & PADDED != 0;
            self.lead = usize::from(self.padded) + if flags & PRIORITY == 0 { 0 } else { 5 };
            self.lead = self.lead.min(length);
        }
        if kind == HEADERS || kind == CONTINUATION {
            (self.fields, self.rest) = (length - self.lead, 0);
        }
    }
}

/// How far a block of header fields is (RFC 7541, 6).
#[derive(Debug, Default)]
struct Block {
    at: At,
    /// The field's name is that of the server.
    is_authority: bool,
    /// A name is still to come, as text.
    named: bool,
}

#[derive(Debug, Default)]
enum At {
    /// A field begins.
    #[default]
    Field,
    /// A number goes on: its value so far, and where its next bits go.
    Number { value: u64, shift: u32, of: Of },
    /// A text's length begins.
    Length,
    /// A text of so many more bytes.
    Text { left: u64, text: Text },
    /// It makes no sense.
    Lost,
}

/// What a number is.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// A field of the table, or the table's size: that is all of it.
    Whole,
    /// The name in the table, and a value follows.
    Name,
    /// The length of a text, and whether that is packed.
    Length(bool),
}

impl Block {
    /// The byte at `i`. Those before it are at hand, too.
    fn pass(&mut self, bytes: &mut [u8], i: usize) {
        let byte = bytes[i];
        match &mut self.at {
            At::Field => match byte {
                b @ 0x80.. => self.number(b, 0x7f, Of::Whole),
                b @ 0x40.. => self.number(b, 0x3f, Of::Name),
                b @ 0x20.. => self.number(b, 0x1f, Of::Whole),
                b => self.number(b, 0x0f, Of::Name),
            },
            At::Number { value, shift, of } => {
                let (more, of) = (byte & 0x80 != 0, *of);
                *value = value.saturating_add(u64::from(byte & 0x7f) << *shift);
                *shift += 7;
                if *shift > 28 {
                    self.at = At::Lost;
                } else if !more {
                    let value = *value;
                    self.read(value, of);
                }
            }
            At::Length => self.number(byte, 0x7f, Of::Length(byte & 0x80 != 0)),
            At::Text { left, text } => {
                if self.is_authority && !self.named {
                    text.mend(bytes, i);
                }
                *left -= 1;
                if *left == 0 {
                    self.text_ended();
                }
            }
            At::Lost => {}
        }
    }

    /// A number begins, in the last bits of a byte.
    fn number(&mut self, byte: u8, mask: u8, of: Of) {
        if byte & mask == mask {
            self.at = At::Number { value: u64::from(mask), shift: 0, of };
        } else {
            self.read(u64::from(byte & mask), of);
        }
    }

    fn read(&mut self, number: u64, of: Of) {
        self.at = match of {
            Of::Whole => At::Field,
            Of::Name => {
                (self.is_authority, self.named) = (number == AUTHORITY, number == 0);
                At::Length
            }
            Of::Length(_) if number == 0 => return self.text_ended(),
            Of::Length(packed) => At::Text { left: number, text: Text { packed, ..Text::default() } },
        };
    }

    /// Behind a name is its value, and behind that the next field.
    fn text_ended(&mut self) {
        self.at = if std::mem::take(&mut self.named) { At::Length } else { At::Field };
    }
}

/// How far a text is that can't be in a host from its first `/` or `%` on.
#[derive(Debug, Default)]
struct Text {
    packed: bool,
    is_path: bool,
    /// Of a packed one: the bits of a character that have come, and how many.
    bits: u16,
    come: u8,
    lost: bool,
}

impl Text {
    fn mend(&mut self, bytes: &mut [u8], i: usize) {
        if self.packed {
            return self.mend_packed(bytes, i);
        }
        let byte = &mut bytes[i];
        self.is_path |= matches!(*byte, b'/' | b'%');
        if self.is_path && !byte.is_ascii_alphanumeric() && *byte != b'.' {
            *byte = INSTEAD;
        }
    }

    /// Characters are of 5 bits and more (RFC 7541, B). Those of more than 8 are none of a path that clients are known to say.
    fn mend_packed(&mut self, bytes: &mut [u8], i: usize) {
        for bit in (0..8).rev() {
            if self.lost {
                return;
            }
            self.bits = self.bits << 1 | u16::from(bytes[i] >> bit & 1);
            self.come += 1;
            match (self.come, self.bits) {
                (6, PERCENT | SLASH) => {
                    let [before, here] = ((self.bits ^ DASH) << bit).to_be_bytes();
                    // Where a piece ends within a character, the rest is gone: h2 says no, as it would have.
                    if let Some(earlier) = i.checked_sub(1) {
                        bytes[earlier] ^= before;
                    }
                    bytes[i] ^= here;
                }
                (5, 0..=9) | (6, 0x14..=0x2d) | (7, 0x5c..=0x7b) | (8, 0xf8..=0xfd) => {}
                (8.., _) => self.lost = true,
                _ => continue,
            }
            (self.bits, self.come) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of headers around these fields.
    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// What becomes of it, in pieces of this size.
    fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut frames, mut bytes) = (Frames::default(), bytes.to_vec());
        bytes.chunks_mut(piece).for_each(|piece| frames.pass(piece));
        bytes
    }

    fn text(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    #[test]
    fn a_path_becomes_a_name_of_the_same_length() {
        // POST; the server's name, kept in the table; the path of the call; a header with a name of its own.
        let fields = |authority: &str| {
            let own = [&[0x00][..], &text("x-%"), &text("/as/it/is")].concat();
            [&[0x83, 0x41][..], &text(authority), &[0x04], &text("/a.B/C"), &own, &[0xbe]].concat()
        };
        for (said, heard) in [
            ("%2Frun%2Fnetdrop.sock", "-2Frun-2Fnetdrop.sock"),
            ("/run/net drop:1", "-run-net-drop-1"),
            ("localhost", "localhost"),
            ("[::1]:4245", "[::1]:4245"),
            ("user@host:1", "user@host:1"),
        ] {
            let (said, heard) = (fields(said), fields(heard));
            let (first, last) = said.split_at(7);
            // Behind other frames, with a priority and padding; in one frame and in two.
            let padded = |fields: &[u8]| [&[2, 0, 0, 0, 0, 7][..], fields, b"%/"].concat();
            let data = frame(0, 0, &said);
            for (sent, comes) in [
                (
                    [data.clone(), frame(1, 0x2c, &padded(&said))].concat(),
                    [data.clone(), frame(1, 0x2c, &padded(&heard))].concat(),
                ),
                (
                    [frame(1, 0, first), frame(9, 4, last), data.clone()].concat(),
                    [frame(1, 0, &heard[..7]), frame(9, 4, &heard[7..]), data.clone()].concat(),
                ),
            ] {
                for piece in [1, 2, 3, 7, 1000] {
                    assert_eq!(passed(&sent, piece), comes, "in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn packed_texts_are_mended_too() {
        // `/a`, `%2`, `2/` and `0000000%`, with the ones that fill the last byte.
        let texts: [(&[u8], &[u8]); 4] = [
            (&[0x60, 0x7f], &[0x58, 0x7f]),
            (&[0x54, 0x5f], &[0x58, 0x5f]),
            (&[0x13, 0x1f], &[0x12, 0xdf]),
            (&[0, 0, 0, 0, 0x0a, 0xff], &[0, 0, 0, 0, 0x0b, 0x7f]),
        ];
        for (said, heard) in texts {
            let length = 0x80 | u8::try_from(said.len()).unwrap();
            let fields = |value: &[u8]| [&[0x41, length], value, &[0x83]].concat();
            let (said, heard) = (frame(1, 4, &fields(said)), frame(1, 4, &fields(heard)));
            assert_eq!(passed(&said, 1000), heard);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
            prop_assert_eq!(passed(&bytes, piece).len(), bytes.len());
            prop_assert_eq!(passed(&frame(1, bytes.len().to_le_bytes()[0], &bytes), piece).len(), bytes.len() + 9);
        }
    }
}
