//! Who a process or a socket belongs to, as this machine alone can tell: without the Kubernetes API.

mod home;
mod netns;
mod place;

pub use home::{Container, Home, Pod, Qos, Runtime};
pub use netns::{Namespaces, Owner};
pub use place::Cgroups;
