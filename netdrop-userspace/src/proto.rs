//! Generated from `proto/`: the wire types of Hubble's API.

/// The observer service as the agent serves it: GetFlows with responses that are encoded already.
// Not every package trips every lint, so these can't be expectations.
#[allow(missing_docs, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod served {
    include!(concat!(env!("OUT_DIR"), "/served/observer.rs"));
}

macro_rules! generated {
    ($(#[$doc:meta] $name:ident = $package:literal),*) => {
        $(
            #[$doc]
            // Not every package trips every lint, so these can't be expectations.
            #[allow(
                missing_docs,
                clippy::pedantic,
                clippy::allow_attributes_without_reason,
                clippy::large_enum_variant,
                reason = "generated"
            )]
            pub mod $name {
                tonic::include_proto!($package);
            }
        )*
    };
}
generated!(
    /// Flows and filters.
    flow = "flow",
    /// The observer service.
    observer = "observer",
    /// Which nodes there are.
    peer = "peer",
    /// Node states.
    relay = "relay"
);

/// The definitions themselves, with all that they import: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
