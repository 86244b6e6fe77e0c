//! Probes that ask the kernel itself rather than read about it.

use std::io;

use aya::maps::MapType;
use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramError, SchedClassifier};
use aya::sys::SyscallError;

/// What was tried; `None` where it could not be (no rights, or not asked for).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Loading and attaching the capture program; another module's work. The error is the kernel's.
    pub tp_btf: Option<Result<(), String>>,
    /// Asking which TCX programs `lo` has.
    pub tcx: Option<Result<(), String>>,
    /// Creating a ring buffer, which is closed at once.
    pub ring_buffer: Option<Result<(), String>>,
}

impl Attempts {
    /// Tries all that leaves nothing behind.
    pub fn make() -> Self {
        Self { tp_btf: None, tcx: tcx(), ring_buffer: ring_buffer() }
    }
}

fn tcx() -> Option<Result<(), String>> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Some(Ok(())),
        // A kernel that does not know the attach type calls the argument invalid.
        Err(ProgramError::SyscallError(SyscallError { io_error, .. })) if is_invalid(&io_error) => {
            Some(Err(io_error.to_string()))
        }
        Err(_) => None,
    }
}

fn is_invalid(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

fn ring_buffer() -> Option<Result<(), String>> {
    match aya::sys::is_map_supported(MapType::RingBuf) {
        Ok(true) => Some(Ok(())),
        Ok(false) => Some(Err("the kernel refuses the map type".to_owned())),
        Err(_) => None,
    }
}
