//! Bytes as a client's request for flows: counted, decoded, and made into filters, as the agent's server does.

use netdrop::agent;

/// Any bytes are a request or a refusal.
///
/// # Panics
/// Where that promise is broken: that is what the fuzzer looks for.
pub fn run(bytes: &[u8]) {
    if let Err(refused) = agent::examine(bytes) {
        assert!(!refused.message().is_empty(), "a refusal says why: {refused:?}");
    }
}
