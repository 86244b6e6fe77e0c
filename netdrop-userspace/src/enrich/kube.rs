//! Names from a Kubernetes API server.
