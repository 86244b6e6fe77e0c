//! Files that hold no lines of text: told at once as what they are, and not as a trouble with each of their lines.

use std::io::{self, Read};

/// A tar file says what it is at byte 257; a line is decided upon long before.
const LOOKED_AT: usize = 512;

/// Bytes that turn out to be text, or an error that says what they are instead and the way out. It ends `cannot read FILE: `.
pub(super) struct Text<R> {
    input: R,
    /// The first bytes, until they are handed on.
    head: Option<io::Cursor<Vec<u8>>>,
    decided: bool,
}

impl<R: Read> Text<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, head: Some(io::Cursor::new(Vec::new())), decided: false }
    }

    /// Reads as much as it takes to know. A pipe is never waited on for more than its first line, without which nothing can be shown.
    fn decide(&mut self) -> io::Result<()> {
        let Some(head) = self.head.as_mut().map(io::Cursor::get_mut) else { return Ok(()) };
        let mut ended = false;
        while !ended && !is_enough(head) {
            let known = head.len();
            head.resize(LOOKED_AT, 0);
            let read = self.input.read(&mut head[known..]);
            head.truncate(known + read.as_ref().map_or(0, |read| *read));
            ended = read? == 0;
        }
        self.decided = true;
        what_else(head).map_or(Ok(()), |what| Err(io::Error::new(io::ErrorKind::InvalidData, what)))
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.decided {
            self.decide()?;
        }
        if let Some(head) = &mut self.head {
            let read = head.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.head = None;
        }
        self.input.read(buffer)
    }
}

/// Where the first line with something in it begins. A log that was cut back under its writer begins with NULs; its lines are good.
fn beginning(head: &[u8]) -> Option<usize> {
    head.iter().position(|b| !b.is_ascii_whitespace() && *b != 0)
}

fn is_enough(head: &[u8]) -> bool {
    let Some(at) = beginning(head) else { return head.len() >= LOOKED_AT };
    let line = &head[at..];
    head.len() >= LOOKED_AT || line.contains(&b'\n') || (line[0] == b'{' && line.len() > 1)
}

/// What a file is whose first bytes these are, if it can't be one of lines. What begins as a line of JSON does is one, however it goes
/// on.
fn what_else(head: &[u8]) -> Option<String> {
    let at = beginning(head)?;
    let utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    if utf16 || head[at..].starts_with(b"{\0") || head.starts_with(b"\0{\0") {
        return Some(
            "it is text in UTF-16: turn it into UTF-8, as `iconv -f UTF-16 -t UTF-8` does".to_owned(),
        );
    }
    let is_at = |from: usize, magic: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((.., by, unpack)) = PACKED.iter().find(|(from, magic, ..)| is_at(*from, magic)) {
        return Some(format!(
            "it is packed by {by}: unpack it first, as `{unpack}` does, and give that by --input-file -"
        ));
    }
    let known = OTHERS.iter().find(|(from, magic, _)| is_at(*from, magic));
    let what = known.map(|(.., what)| *what).or_else(|| is_binary(&head[at..]).then_some("binary data"))?;
    Some(format!(
        "it is {what}, and not flows as JSON, a line each: `netdrop record` and `observe -o json` write such files"
    ))
}

/// A first line that no text has, broken or of another encoding. A character may be cut at the end of what was looked at.
fn is_binary(line: &[u8]) -> bool {
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let no_utf8 = std::str::from_utf8(line).is_err_and(|e| e.error_len().is_some());
    let control = |b: &u8| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | 0x0c | 0x1b);
    line[0] != b'{' && (line.contains(&0) || no_utf8 && line.iter().any(control))
}

/// Where magic bytes lie, what they are, who packs so, and what unpacks it.
const PACKED: [(usize, &[u8], &str, &str); 7] = [
    // Once more, in what was unpacked.
    (0, b"\x1f\x8b", "gzip", "gzip -dc FILE"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard", "zstd -dc FILE"),
    (0, b"\xfd7zXZ\0", "xz", "xz -dc FILE"),
    (4, b"1AY&SY", "bzip2", "bzip2 -dc FILE"),
    (0, b"\x04\x22\x4d\x18", "LZ4", "lz4 -dc FILE"),
    (0, b"PK\x03\x04", "zip", "unzip -p FILE"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x -so FILE"),
];

/// Where magic bytes lie, what they are, and what such a file is.
const OTHERS: [(usize, &[u8], &str); 7] = [
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"\x0a\x0d\x0d\x0a", "captured packets (pcapng, for Wireshark or tshark)"),
    (0, b"\xd4\xc3\xb2\xa1", "captured packets (pcap, for Wireshark or tshark)"),
    (0, b"\xa1\xb2\xc3\xd4", "captured packets (pcap, for Wireshark or tshark)"),
    (0, b"\x4d\x3c\xb2\xa1", "captured packets (pcap, for Wireshark or tshark)"),
    (0, b"\xa1\xb2\x3c\x4d", "captured packets (pcap, for Wireshark or tshark)"),
    (257, b"ustar", "an archive (tar: unpack it first)"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its bytes come one by one, as from a slow pipe.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let some = buffer.len().min(1);
            self.0.read(&mut buffer[..some])
        }
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut at_once = Vec::new();
        let whole = Text::of(bytes).read_to_end(&mut at_once).map(|_| at_once).map_err(|e| e.to_string());
        let mut slowly = Vec::new();
        let slow = Text::of(Slow(bytes)).read_to_end(&mut slowly).map(|_| slowly).map_err(|e| e.to_string());
        assert_eq!(whole, slow, "however it comes");
        whole
    }

    #[test]
    fn what_holds_no_lines_is_told_as_what_it_is() {
        let mut tar = [0; 600];
        tar[..5].copy_from_slice(b"flows");
        tar[257..262].copy_from_slice(b"ustar");
        let utf16: Vec<u8> = "{\"flow\":{}}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, what) in [
            (
                &b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F"[..],
                "it is packed by xz: unpack it first, as `xz -dc FILE` does",
            ),
            (b"BZh91AY&SY\x8c\x01", "packed by bzip2"),
            (b"\x04\x22\x4d\x18\x64\x40\xa7", "packed by LZ4"),
            (b"\x7fELF\x02\x01\x01\0\0\n", "a program (ELF)"),
            (b"\x0a\x0d\x0d\x0a\x6c\0\0\0\x4d\x3c\x2b\x1a", "captured packets (pcapng"),
            (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "captured packets (pcap,"),
            (&tar, "an archive (tar"),
            (&utf16, "UTF-16"),
            (&[b"\xff\xfe", &utf16[..]].concat(), "UTF-16"),
            (b"\x01\x02\0\x03", "binary data"),
            (b"\xe9\x01\x81\xff\n", "binary data"),
        ] {
            let told = read(bytes).unwrap_err();
            assert!(told.contains(what), "{told}");
        }
    }

    #[test]
    fn broken_lines_are_still_lines() {
        let long = [b"\xc3\xbc".repeat(255), b"x\xc3\xbc\n".to_vec()].concat();
        for text in [
            &b""[..],
            b"\n\n",
            b"{\"flow\":{}}\n\xff\xfe\0\n",
            b"  \n{\"flow\":\0}\n",
            b"{\xff\xff}\n",
            b"caf\xe9 \x80\n{}\n",
            b"\x01\n\x80\0",
            b"nonsense\n\0\0",
            "\u{feff}{}\n".as_bytes(),
            b"\0\0\0\0{\"flow\":{}}\n",
            &[vec![0; 900], b"{\"flow\":{}}\n".to_vec()].concat(),
            &long,
        ] {
            assert_eq!(read(text), Ok(text.to_vec()), "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_text_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Ok(text) = read(&bytes) {
                prop_assert_eq!(text, bytes);
            }
        }
    }
}
