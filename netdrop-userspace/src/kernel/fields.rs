//! Offsets of all kernel fields, from the running kernel's BTF.

use netdrop_common::fields::{ABSENT, KERNEL_FIELDS};
use thiserror::Error;

use super::btf::Btf;

/// What of the table this kernel does not have as expected.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("this kernel's BTF lacks what netdrop reads: {}", .0.join(", "))]
pub struct MissingFields(pub Vec<String>);

/// Name of the global and offset in bytes ([`ABSENT`] for an optional field this kernel lacks), for every row of the table.
pub fn offsets(btf: &Btf<'_>) -> Result<Vec<(&'static str, u32)>, MissingFields> {
    let mut missing = Vec::new();
    let mut out = Vec::with_capacity(KERNEL_FIELDS.len());
    for field in KERNEL_FIELDS {
        let name = || format!("{}.{}", field.container, field.path);
        match btf.field(field.container, field.path) {
            Some(m) if field.size != 0 && m.size != field.size => {
                missing.push(format!("{} ({} bytes, expected {})", name(), m.size, field.size));
            }
            Some(m) => out.push((field.global, m.offset)),
            None if field.required => missing.push(name()),
            None => out.push((field.global, ABSENT)),
        }
    }
    if missing.is_empty() { Ok(out) } else { Err(MissingFields(missing)) }
}
