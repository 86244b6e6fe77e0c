//! Offsets of the kernel struct fields that the BPF side reads, from the running kernel's BTF.

use netdrop_common::fields::{ABSENT, KERNEL_FIELDS, KernelField};

use super::Btf;

/// A row of the table that this kernel does not satisfy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// The struct or one of its members does not exist.
    #[error("{container}.{path} does not exist")]
    Missing {
        /// Struct.
        container: &'static str,
        /// Members.
        path: &'static str,
    },
    /// The member has another size than the BPF side reads.
    #[error("{container}.{path} is {found} bytes, netdrop reads {expected}")]
    Size {
        /// Struct.
        container: &'static str,
        /// Members.
        path: &'static str,
        /// Bytes that the BPF side reads.
        expected: u32,
        /// Bytes in this kernel.
        found: u32,
    },
    /// A bitfield that does not start on a byte.
    #[error("{container}.{path} starts at bit {bit} of a byte, netdrop reads from bit 0")]
    Bit {
        /// Struct.
        container: &'static str,
        /// Members.
        path: &'static str,
        /// First bit in its byte.
        bit: u64,
    },
}

/// All rows that this kernel does not satisfy; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldsError(pub Vec<FieldProblem>);

impl std::fmt::Display for FieldsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this kernel's structs are not as netdrop needs them: ")?;
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldsError {}

/// Offset of each row of the table: (global's name, bytes or `ABSENT`), in the table's order.
///
/// An optional row that is missing is `ABSENT`; one that exists with another size or at an odd bit is an error like any other,
/// because the reader would read garbage.
pub fn resolve(btf: &Btf) -> Result<Vec<(&'static str, u32)>, FieldsError> {
    resolve_rows(btf, KERNEL_FIELDS)
}

fn resolve_rows(btf: &Btf, rows: &[KernelField]) -> Result<Vec<(&'static str, u32)>, FieldsError> {
    let mut offsets = Vec::with_capacity(rows.len());
    let mut problems = Vec::new();
    for row in rows {
        match offset(btf, row) {
            Ok(offset) => offsets.push((row.global, offset)),
            Err(FieldProblem::Missing { .. }) if !row.required => offsets.push((row.global, ABSENT)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(offsets) } else { Err(FieldsError(problems)) }
}

fn offset(btf: &Btf, row: &KernelField) -> Result<u32, FieldProblem> {
    let KernelField { container, path, size, .. } = *row;
    let missing = FieldProblem::Missing { container, path };
    let member = btf.member(container, path).ok_or_else(|| missing.clone())?;
    let found = btf.size_of(member.type_id).unwrap_or(0);
    if size != 0 && (member.bitfield.is_some() || found != size) {
        return Err(FieldProblem::Size { container, path, expected: size, found });
    }
    if member.bit_offset % 8 != 0 {
        return Err(FieldProblem::Bit { container, path, bit: member.bit_offset % 8 });
    }
    member.byte_offset().filter(|o| *o != ABSENT).ok_or(missing)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn kernel() -> Btf {
        Btf::vmlinux(Path::new("/")).unwrap()
    }

    #[test]
    fn every_row_of_the_table_is_found_in_the_running_kernel() {
        let fields = resolve(&kernel()).unwrap();
        assert_eq!(fields.len(), KERNEL_FIELDS.len());
        for ((name, offset), row) in fields.iter().zip(KERNEL_FIELDS) {
            assert_eq!(*name, row.global);
            assert!(!row.required || *offset != ABSENT, "{name}");
        }
    }

    #[test]
    fn all_problems_are_listed_at_once() {
        let rows = [
            KernelField { global: "A", container: "sk_buff", path: "no_such", size: 4, required: true },
            KernelField { global: "B", container: "no_such_struct", path: "x", size: 4, required: true },
            KernelField { global: "C", container: "sk_buff", path: "len", size: 8, required: false },
            KernelField { global: "D", container: "sk_buff", path: "no_such", size: 4, required: false },
            KernelField { global: "E", container: "sk_buff", path: "cloned", size: 1, required: true },
        ];
        let error = resolve_rows(&kernel(), &rows).unwrap_err();
        assert_eq!(error.0.len(), 4);
        let text = error.to_string();
        for part in [
            "sk_buff.no_such does not exist",
            "no_such_struct.x does not exist",
            "sk_buff.len is 4 bytes, netdrop reads 8",
            "sk_buff.cloned",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_optional_field_that_is_missing_is_absent() {
        let rows =
            [KernelField { global: "D", container: "sk_buff", path: "no_such", size: 4, required: false }];
        assert_eq!(resolve_rows(&kernel(), &rows).unwrap(), [("D", ABSENT)]);
    }
}
