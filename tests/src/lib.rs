//! The testbed: network namespaces, links, firewall rules, traffic and the kernel's own counters.
