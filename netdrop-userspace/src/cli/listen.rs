//! Flags of a server: where it listens, and who may come in.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::agent::DEFAULT_SOCKET;
use crate::agent::doors::Listen;

/// Where the agent's server is reached.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// Unix socket of the server
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, env = "NETDROP_SOCKET_PATH")]
    pub socket_path: PathBuf,
    /// Group that may use the socket, too, by name or number
    #[arg(long, value_name = "NAME|GID", env = "NETDROP_SOCKET_GROUP", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub socket_group: Option<String>,
    /// Serve other machines at this TCP port, as :4244; with TLS, or with --disable-tls
    #[arg(long, value_name = "[ADDRESS]:PORT", env = "NETDROP_LISTEN_ADDRESS", value_parser = address)]
    pub listen_address: Option<SocketAddr>,
    /// The server's certificate and those that lead to its CA, in PEM; read anew when it changes
    #[arg(long, value_name = "FILE", env = "NETDROP_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of the server's certificate, in PEM
    #[arg(long, value_name = "FILE", env = "NETDROP_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// Only clients with a certificate of one of these CAs come in
    #[arg(long, value_name = "FILE,...", env = "NETDROP_TLS_CLIENT_CA_FILES", value_delimiter = ',')]
    pub tls_client_ca_files: Vec<PathBuf>,
    /// Serve other machines without TLS: whoever is on the way reads all flows
    #[arg(long, env = "NETDROP_DISABLE_TLS")]
    pub disable_tls: bool,
}

impl From<ListenArgs> for Listen {
    fn from(args: ListenArgs) -> Self {
        Self {
            socket_path: args.socket_path,
            socket_group: args.socket_group,
            address: args.listen_address,
            cert: args.tls_cert_file,
            key: args.tls_key_file,
            client_ca: args.tls_client_ca_files,
            disable_tls: args.disable_tls,
            metrics: None,
        }
    }
}

/// `:4244` is the port of all addresses.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix(':')
        && let Ok(port) = port.parse()
    {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    text.parse()
        .map_err(|_| "not an address and port: write :4244, 10.0.0.1:4244 or [fd00::1]:4244".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_alone() {
        assert_eq!(address(":4244").unwrap().to_string(), "[::]:4244");
        assert_eq!(address("127.0.0.1:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(address("[fd00::1]:4244").unwrap().to_string(), "[fd00::1]:4244");
        for bad in ["", ":", "4244", ":70000", "localhost:4244", "fd00::1:4244", "[fd00::1]"] {
            assert!(address(bad).is_err_and(|e| e.contains(":4244")), "{bad}");
        }
    }
}
