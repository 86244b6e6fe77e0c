//! The testbed: network namespaces, links, firewall rules, traffic and the kernel's own counters.
//!
//! Nothing here knows how netdrop works: it provokes drops and counts them by other means. Each testbed lives in network
//! namespaces of its own, so that any number of them run side by side. Everything needs root.

pub mod command;
pub mod conntrack;
pub mod cpu;
pub mod expect;
pub mod flowgen;
pub mod kernel;
pub mod link;
pub mod netns;
pub mod observer;
pub mod rules;
pub mod stock;
pub mod topology;
pub mod traffic;
pub mod truth;
