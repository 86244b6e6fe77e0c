//! How to reach a server: an address as it is typed, TLS, who asks; and a connection made of them.

mod began;
mod dial;
mod distrust;
mod identity;
pub mod tls;
#[cfg(test)]
pub(crate) mod tls_tests;
pub mod tunnel;
mod welcome;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

pub(crate) use dial::root;
pub use identity::{BasicAuth, Pem};
use tls::ClientTls;
use tunnel::{Tell, Tunnel, TunnelEnd};

/// An address with this before it is asked over TLS.
pub(crate) const TLS_PREFIX: &str = "tls://";
/// A server that is there accepts sooner.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// For calls with one answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// A Flow is small; this is generous.
pub const MAX_RESPONSE: usize = 16 * 1024 * 1024;

/// A connection that says who asks with each call.
pub type Connection = InterceptedService<Channel, Credentials>;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket; always in the clear.
    Unix(PathBuf),
    /// host:port.
    Tcp(String),
    /// In a cluster, by way of its API server.
    Tunnel(Arc<Tunnel>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(target) => f.write_str(target),
            Self::Tunnel(tunnel) => tunnel.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { TLS_PREFIX } else { "" })?;
        self.address.fmt(f)
    }
}

/// A server as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// It began with `tls://`.
    pub tls: bool,
}

impl Target {
    /// `unix:///path`, `/path`, `host:port`, `tls://host:port`; `dns:///host:port` is the same as `host:port`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            anyhow::ensure!(!path.is_empty(), "--server {text:?} names no socket; want unix:///PATH");
            check_path(Path::new(path))?;
            return Ok(Self { address: Address::Unix(path.into()), tls: false });
        }
        if text.starts_with('/') {
            check_path(Path::new(text))?;
            return Ok(Self { address: Address::Unix(text.into()), tls: false });
        }
        let (tls, rest) = match text.strip_prefix(TLS_PREFIX) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = ["dns:///", "passthrough:///"].iter().find_map(|p| rest.strip_prefix(p)).unwrap_or(rest);
        if !has_port(rest) {
            let bare: &str = rest.trim_matches(['[', ']']);
            if bare.parse::<std::net::Ipv6Addr>().is_ok() {
                bail!("--server {text:?} has no port; try \"[{bare}]:4245\"");
            }
            if !rest.is_empty() && !rest.contains([':', '/', ' ']) {
                bail!("--server {text:?} has no port; try \"{text}:4245\", or unix:///path");
            }
            bail!("--server {text:?} is neither unix:///path nor host:port");
        }
        Ok(Self { address: Address::Tcp(rest.to_owned()), tls })
    }

    /// The host of `host:port`, as a certificate has it.
    pub fn host(&self) -> &str {
        match &self.address {
            Address::Unix(_) | Address::Tunnel(_) => "localhost",
            Address::Tcp(target) => target
                .rsplit_once(':')
                .map_or(target.as_str(), |(host, _)| host.trim_start_matches('[').trim_end_matches(']')),
        }
    }
}

/// Bytes that the kernel has for a socket's path, without the one at its end (`sun_path`, 108).
const LONGEST_SOCKET: usize = 107;

/// Whether a path can be a unix socket's.
pub(crate) fn check_path(path: &Path) -> anyhow::Result<()> {
    let length = path.as_os_str().len();
    anyhow::ensure!(
        length <= LONGEST_SOCKET,
        "a unix socket's path may have {LONGEST_SOCKET} bytes, and this one has {length}: {}",
        path.display()
    );
    Ok(())
}

fn has_port(target: &str) -> bool {
    target.rsplit_once(':').is_some_and(|(host, port)| {
        // An IPv6 address has its port behind brackets.
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains([':', '/'])) && port.parse::<u16>().is_ok()
    })
}

/// What goes with each call.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// How to reach servers, whichever.
#[derive(Clone, Debug)]
pub struct Dial {
    /// `None`: in the clear.
    pub tls: Option<Arc<ClientTls>>,
    /// TLS also for addresses without `tls://`.
    pub tls_always: bool,
    /// A name for the certificate must have been told where there is TLS, and must not where there is none: as Hubble's relay.
    pub told_names: bool,
    /// Who asks; over TLS only.
    pub credentials: Credentials,
    /// Until a connection stands.
    pub timeout: Duration,
    /// Whom a relay asks: what is wrong is told in words of its flags.
    pub is_relay: bool,
    /// What there is to say of a tunnel while it is open.
    pub tell: Tell,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            tls: None,
            tls_always: false,
            told_names: false,
            is_relay: false,
            credentials: Credentials::default(),
            timeout: DIAL_TIMEOUT,
            tell: |_| {},
        }
    }
}

impl Dial {
    /// Connects.
    pub async fn connect(&self, target: &Target) -> anyhow::Result<Connection> {
        self.connect_as(target, None).await
    }

    /// Connects to a server whose certificate is for another name than its address has.
    pub async fn connect_as(&self, target: &Target, server_name: Option<&str>) -> anyhow::Result<Connection> {
        tracing::debug!(%target, "connecting");
        match &target.address {
            Address::Unix(path) => {
                check_socket(path)?;
                let channel = dial::unix(path, self.timeout).await?;
                Ok(InterceptedService::new(channel, Credentials::default()))
            }
            Address::Tunnel(tunnel) => {
                let tls = self.tls.as_deref().filter(|_| self.tls_always);
                let credentials = tls.map(|_| self.credentials.clone()).unwrap_or_default();
                let channel = dial::tunnel(tunnel, tls, self.timeout, self.tell).await?;
                Ok(InterceptedService::new(channel, credentials))
            }
            Address::Tcp(to) => {
                let tls = self.tls.as_deref().filter(|_| target.tls || self.tls_always);
                if self.told_names {
                    check_name(to, tls.is_some(), server_name)?;
                }
                anyhow::ensure!(tls.is_some() || !target.tls, "{target} asks for TLS, which is off here");
                let tls = tls.map(|tls| (tls, server_name.unwrap_or_else(|| target.host())));
                let credentials = tls.as_ref().map(|_| self.credentials.clone()).unwrap_or_default();
                let way = if self.is_relay { began::RELAY } else { began::CLIENT };
                let channel = dial::tcp(to, tls, self.timeout, way).await?;
                Ok(InterceptedService::new(channel, credentials))
            }
        }
    }
}

fn check_name(to: &str, tls: bool, told: Option<&str>) -> anyhow::Result<()> {
    match (tls, told) {
        (true, None) => bail!("missing TLS ServerName for {to}"),
        (false, Some(_)) => bail!("unexpected TLS ServerName for {to}"),
        _ => Ok(()),
    }
}

/// Says what is wrong with a socket before a transport error hides it.
fn check_socket(path: &Path) -> anyhow::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(()),
        Err(e) => Err(anyhow!(match e.kind() {
            std::io::ErrorKind::NotFound =>
                format!("no agent at {}: start one with `netdrop agent`", path.display()),
            std::io::ErrorKind::ConnectionRefused if !is_socket(path) => {
                format!("{} is no socket: name that of an agent", path.display())
            }
            std::io::ErrorKind::ConnectionRefused => {
                format!("the agent of {} is gone: start it with `netdrop agent`", path.display())
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("no permission for {}: run as root, or as a member of its group", path.display())
            }
            _ => format!("cannot connect to {}: {e}", path.display()),
        })),
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

/// A status as the stock client words it.
pub fn words(status: &Status) -> anyhow::Error {
    if let Some(end) = tunnel_end(status) {
        return anyhow!("{end}");
    }
    if status.code() == Code::Unknown {
        // What the connection ended with is no word of the server's.
        if let Some(why) = std::error::Error::source(status) {
            let root = dial::root(why);
            // A server that is gone, in the client's words.
            if ["broken pipe", "unexpected end of file", "unexpected eof"]
                .iter()
                .any(|end| root.contains(end))
            {
                return anyhow!("rpc error: code = Unavailable desc = error reading from server: EOF");
            }
            return anyhow!("rpc error: code = Unavailable desc = {}: {root}", status.message());
        }
        return anyhow!("{}", status.message());
    }
    // As Go spells it.
    let code =
        if status.code() == Code::Cancelled { "Canceled".to_owned() } else { format!("{:?}", status.code()) };
    anyhow!("rpc error: code = {code} desc = {}", status.message())
}

/// What the far end of a tunnel said, where that is what a status comes from.
fn tunnel_end(status: &Status) -> Option<&TunnelEnd> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(status);
    while let Some(error) = cause {
        let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(end) = within.and_then(|e| e.downcast_ref()) {
            return Some(end);
        }
        cause = error.source();
    }
    None
}

/// Whether a status tells of the connection, and not of what the server thinks.
pub fn is_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.code() == Code::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let unix = |path: &str| Address::Unix(path.into());
        assert_eq!(Target::parse("unix:///run/x.sock").unwrap().address, unix("/run/x.sock"));
        assert_eq!(Target::parse("/run/x.sock").unwrap().address, unix("/run/x.sock"));
        let tcp =
            |text: &str| (Target::parse(text).unwrap().address.to_string(), Target::parse(text).unwrap().tls);
        assert_eq!(tcp("localhost:4245"), ("localhost:4245".into(), false));
        assert_eq!(tcp("tls://relay:443"), ("relay:443".into(), true));
        assert_eq!(tcp("dns:///relay:443"), ("relay:443".into(), false));
        assert_eq!(tcp("[::1]:4245"), ("[::1]:4245".into(), false));
        for wrong in
            ["localhost", "", ":1", "host:port", "tls://a", "unix://", "::1", "http://a:1", "a:70000"]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        let path = format!("/tmp/{}", "a".repeat(102));
        assert!(Target::parse(&path).is_ok());
        let e = Target::parse(&format!("unix://{path}a")).unwrap_err().to_string();
        assert_eq!(e, format!("a unix socket's path may have 107 bytes, and this one has 108: {path}a"));
    }

    #[test]
    fn a_code_is_spelled_as_in_go() {
        let said = words(&Status::cancelled("context canceled")).to_string();
        assert_eq!(said, "rpc error: code = Canceled desc = context canceled");
        let said = words(&Status::unavailable("gone")).to_string();
        assert_eq!(said, "rpc error: code = Unavailable desc = gone");
    }

    #[test]
    fn the_host_is_what_a_certificate_has() {
        let host = |text| Target::parse(text).unwrap().host().to_owned();
        assert_eq!(host("tls://a.example:443"), "a.example");
        assert_eq!(host("[2001:db8::1]:4245"), "2001:db8::1");
    }
}
