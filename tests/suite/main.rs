//! Tests of real drops.
