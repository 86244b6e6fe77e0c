//! Generated from `proto/`: the wire types of Hubble's API.

macro_rules! generated {
    ($(#[$doc:meta] $name:ident = $package:literal),*) => {
        $(
            #[$doc]
            #[expect(missing_docs, clippy::pedantic, reason = "generated")]
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
    /// Node states.
    relay = "relay"
);
