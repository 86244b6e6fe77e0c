//! Tests of real drops.
mod testbed;
