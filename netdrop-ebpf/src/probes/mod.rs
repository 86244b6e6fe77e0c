//! One file per hook: arguments, prefilter, capture, submit.

mod kfree_skb;
mod symbol;
