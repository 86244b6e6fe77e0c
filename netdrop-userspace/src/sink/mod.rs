//! Where observations go.

use std::io;

use crate::flow::Observation;

/// Takes observations; writes to any `impl Write`.
pub trait Sink {
    /// Writes one.
    fn write(&mut self, observation: &Observation) -> io::Result<()>;
    /// Brings what was written to its reader.
    fn flush(&mut self) -> io::Result<()>;
}
