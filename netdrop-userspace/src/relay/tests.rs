//! Tests of the relay with real servers and clients.
