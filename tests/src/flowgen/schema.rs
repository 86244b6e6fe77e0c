//! The messages and enums of a `.proto` file, as far as a generator needs them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// One field of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name in the file.
    pub name: String,
    /// Scalar, or the name of a message or enum.
    pub kind: String,
    /// A list of them.
    pub repeated: bool,
    /// Name of the `oneof` it is in: at most one of these is set.
    pub oneof: Option<String>,
}

/// What a file declares. Names are without the package; those inside of a message stand for themselves.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Fields by message.
    pub messages: BTreeMap<String, Vec<Field>>,
    /// Names by enum.
    pub enums: BTreeMap<String, Vec<String>>,
}

enum Block {
    Message(String),
    Oneof(String),
    Enum(String),
}

impl Schema {
    /// Reads a file in which each declaration has a line of its own.
    pub fn parse(text: &str) -> Result<Self> {
        let mut schema = Self::default();
        let mut open: Vec<Block> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] | ["syntax" | "package" | "import" | "reserved", ..] => {}
                ["}"] => drop(open.pop().with_context(|| format!("line {}: nothing to close", number + 1))?),
                ["message", name, "{"] => {
                    schema.messages.insert((*name).to_owned(), Vec::new());
                    open.push(Block::Message((*name).to_owned()));
                }
                ["message", name, "{}"] => drop(schema.messages.insert((*name).to_owned(), Vec::new())),
                ["oneof", name, "{"] => open.push(Block::Oneof((*name).to_owned())),
                ["enum", name, "{"] => {
                    schema.enums.insert((*name).to_owned(), Vec::new());
                    open.push(Block::Enum((*name).to_owned()));
                }
                words => schema
                    .declare(&open, words)
                    .with_context(|| format!("line {} is not understood: {line}", number + 1))?,
            }
        }
        Ok(schema)
    }

    fn declare(&mut self, open: &[Block], words: &[&str]) -> Result<()> {
        if let Some(Block::Enum(name)) = open.last() {
            let [value, "=", _] = words else { bail!("want NAME = NUMBER;") };
            self.enums.get_mut(name).context("no enum is open")?.push((*value).to_owned());
            return Ok(());
        }
        let (repeated, words) = match words {
            ["repeated", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [kind, name, "=", _] = words else { bail!("want TYPE NAME = NUMBER;") };
        let oneof = match open.last() {
            Some(Block::Oneof(name)) => Some(name.clone()),
            _ => None,
        };
        let message = open.iter().rev().find_map(|b| match b {
            Block::Message(name) => Some(name.as_str()),
            _ => None,
        });
        let fields =
            message.and_then(|m| self.messages.get_mut(m)).context("a field outside of a message")?;
        fields.push(Field { name: (*name).to_owned(), kind: (*kind).to_owned(), repeated, oneof });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = "syntax = \"proto3\";\nmessage A {\n  repeated string x = 1; // why\n  oneof o {\n    B b = 2;\n  }\n\
                    enum E {\n    ZERO = 0;\n  }\n  E e = 3;\n}\nmessage B {}\n";
        let schema = Schema::parse(text).expect("a schema");
        let a = &schema.messages["A"];
        assert_eq!((a[0].repeated, a[0].kind.as_str()), (true, "string"));
        assert_eq!((a[1].oneof.as_deref(), a[2].name.as_str()), (Some("o"), "e"));
        assert_eq!(schema.enums["E"], ["ZERO"]);
        assert!(Schema::parse("message A {\n  nonsense\n}\n").is_err());
    }
}
