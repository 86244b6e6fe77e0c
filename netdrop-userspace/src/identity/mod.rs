//! Who a process, a socket or a network namespace belongs to, as this machine alone can tell: without the Kubernetes API.

mod home;
mod locals;
#[cfg(test)]
mod machine;
mod netns;
mod place;
mod pods;
mod process;

pub use home::{Container, Home, Pod, Qos, Runtime};
pub use locals::Locals;
pub(crate) use netns::inode_of;
pub use netns::{Namespaces, Owner};
pub use place::Cgroups;
pub use pods::PodFolders;
pub use process::Processes;
