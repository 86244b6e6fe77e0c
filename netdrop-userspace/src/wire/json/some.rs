//! Reading no more of a message than what will be looked at. The rest is held against the same grammar, and not built.

use super::codec::{Branch, Message, Tree};
use super::read::Reader;
use super::{JsonError, Unknown};

/// What the tree keeps of a message, its other fields unset; `None`: it takes a full reading to say what is in the text. What is read here a
/// full reading takes, too.
pub(crate) fn read_some<M: Message>(text: &str, tree: &Tree) -> Option<M> {
    let mut input = Reader::new(text, Unknown::Refuse);
    input.wanted = Some(tree);
    let message = input.message().ok()?;
    (input.at == text.len()).then_some(message)
}

/// Whether the text is byte for byte what would be written of the message that is in it.
pub fn is_exact<M: Message>(text: &str) -> bool {
    let mut input = Reader::new(text, Unknown::Refuse);
    input.exact_message(M::fields()).is_some() && input.at == text.len()
}

impl<'a> Reader<'a> {
    /// A message's fields, as far as they are wanted.
    pub(super) fn some_fields<M: Message>(&mut self, tree: &'a Tree) -> Result<M, JsonError> {
        let fields = M::fields();
        let mut message = M::default();
        let read = self.exact_fields(fields, |input, index| {
            input.wanted = match tree.at(index) {
                Branch::Clear => return input.exact_field(&fields[index]),
                Branch::Keep => None,
                Branch::Within(tree) => Some(tree),
            };
            let read = message.read_field(index, input).ok();
            input.wanted = Some(tree);
            read
        });
        // Nobody sees it.
        read.map(|()| message).ok_or_else(|| JsonError::output(String::new()))
    }
}
