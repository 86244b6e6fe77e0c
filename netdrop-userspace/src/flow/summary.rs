//! The one free-text column of Hubble's formats.

use super::Flow;

/// The text of `Flow.Summary`: what Hubble would write of the packet, then the kernel's reason and site, in one line.
pub fn summary(flow: &Flow) -> String {
    flow.remote_summary.as_deref().unwrap_or_default().to_owned()
}
