//! Who called: the kernel's call stack at a drop.

use super::DropSite;

/// A call stack, innermost first: the place of the drop, who called that, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Where each goes on.
    pub frames: Vec<DropSite>,
    /// More callers than were asked for.
    pub more: bool,
}
