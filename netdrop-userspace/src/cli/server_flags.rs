//! The flags that say which servers to ask, and how.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use clap::builder::ArgAction;

use super::forward::ForwardFlags;
use crate::agent::DEFAULT_SOCKET;
use crate::connect::tls::{ClientTls, ClientTlsConfig};
use crate::connect::{Address, BasicAuth, Dial, Pem, TLS_PREFIX, Target};
use crate::go;
use crate::merge::{PeerAddress, Peers};

/// The address that stands for capture in this process.
pub(crate) const HERE: &str = "none";

/// What was typed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerFlags {
    /// Agent or relay to ask: unix:///PATH, HOST:PORT or tls://HOST:PORT; several, with commas, are shown as one
    // As of all flags with one value the last counts, so that an alias is not for good.
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Set, value_delimiter = ',')]
    pub server: Vec<String>,
    /// Ask over TLS; by default only where the address begins with tls://
    #[arg(long)]
    pub tls: bool,
    /// Trust any certificate
    #[arg(long)]
    pub tls_allow_insecure: bool,
    /// Authorities to trust in place of the system's, in PEM files
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_parser = file)]
    pub tls_ca_cert_files: Vec<PathBuf>,
    /// Certificate to show to the server, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub tls_client_cert_file: Option<PathBuf>,
    /// Key of that certificate, in a PEM file
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub tls_client_key_file: Option<PathBuf>,
    /// Name to expect in the server's certificate, in place of its address
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// User to ask as; over TLS only
    #[arg(long, value_name = "NAME")]
    pub basic_auth_username: Option<String>,
    /// Password of that user
    #[arg(long, value_name = "PASSWORD")]
    pub basic_auth_password: Option<String>,
    /// Until a connection stands; several servers: until one of them that says nothing is given up
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span)]
    pub timeout: Option<Duration>,
    /// For calls with one answer, as of status and list
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = span)]
    pub request_timeout: Option<Duration>,
    /// A tunnel in place of an address.
    #[command(flatten)]
    pub forward: ForwardFlags,
}

/// A file's name; an empty one is as good as none.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a Result")]
pub(super) fn file(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

fn span(text: &str) -> Result<Duration, String> {
    match u64::try_from(go::parse_duration(text)?) {
        Ok(nanos) if nanos > 0 => Ok(Duration::from_nanos(nanos)),
        _ => Err("want more than 0, as 5s or 1m".to_owned()),
    }
}

/// Servers to ask, checked.
#[derive(Clone, Debug)]
pub struct Servers {
    /// One or more.
    pub targets: Vec<Target>,
    /// How to reach them.
    pub dial: Dial,
    /// For calls with one answer.
    pub request_timeout: Duration,
}

impl Servers {
    /// One, in the clear.
    pub fn one(server: &str) -> anyhow::Result<Self> {
        let targets = vec![Target::parse(server)?];
        Ok(Self { targets, dial: Dial::default(), request_timeout: crate::connect::REQUEST_TIMEOUT })
    }

    /// Their addresses alone, as Hubble's client names them.
    pub fn addresses(&self) -> String {
        let all: Vec<String> = self.targets.iter().map(|t| t.address.to_string()).collect();
        all.join(", ")
    }

    /// The first of them, where one is asked.
    pub fn first(&self) -> anyhow::Result<&Target> {
        self.targets.first().ok_or_else(|| anyhow!("name a server with --server"))
    }

    /// All of them, by their addresses.
    pub fn peers(&self) -> anyhow::Result<Peers> {
        let mut peers = Peers::new();
        for target in &self.targets {
            let address = target.to_string();
            let peer = PeerAddress { address: address.clone(), server_name: None };
            anyhow::ensure!(peers.insert(address.into(), peer).is_none(), "--server {target} is named twice");
        }
        Ok(peers)
    }
}

impl std::fmt::Display for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, target) in self.targets.iter().enumerate() {
            write!(f, "{}{target}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl ServerFlags {
    /// What was named.
    pub fn named(&self) -> Vec<String> {
        self.server.iter().filter(|s| !s.is_empty()).cloned().collect()
    }

    /// Whether what was typed fits together, in the words of Hubble's client, which checks it before all else.
    pub fn check(&self) -> anyhow::Result<()> {
        let user = BasicAuth::of(self.basic_auth_username.clone(), self.basic_auth_password.clone());
        user.context("invalid flag(s)")?;
        let identity = Pem::of(self.tls_client_cert_file.clone(), self.tls_client_key_file.clone());
        let identity = identity.context("invalid flag(s)")?;
        if identity.is_some() && !self.tls && !self.named().iter().any(|s| s.starts_with(TLS_PREFIX)) {
            return Err(anyhow!("invalid flag(s): transport layer security required"));
        }
        Ok(())
    }

    /// The servers that were named; else the local agent.
    pub fn servers(&self) -> anyhow::Result<Servers> {
        self.check()?;
        let mut named = self.named();
        if named.is_empty() {
            named.push(format!("unix://{DEFAULT_SOCKET}"));
        }
        let targets = match self.forward.tunnel() {
            Some(tunnel) => vec![Target { address: Address::Tunnel(tunnel.into()), tls: false }],
            None if named.iter().any(|s| s == HERE) => {
                return Err(anyhow!(
                    "--server none captures here: it stands alone, and is for observe and record only"
                ));
            }
            None => named.iter().map(|s| Target::parse(s)).collect::<anyhow::Result<Vec<_>>>()?,
        };
        let identity = Pem::of(self.tls_client_cert_file.clone(), self.tls_client_key_file.clone())?;
        let user = BasicAuth::of(self.basic_auth_username.clone(), self.basic_auth_password.clone())?;
        let tls = self.tls || targets.iter().any(|t| t.tls);
        if !tls && user.is_some() {
            return Err(anyhow!("transport layer security required"));
        }
        let mut dial = Dial { tls_always: self.tls, ..Dial::default() };
        if let Some(timeout) = self.timeout {
            dial.timeout = timeout;
        }
        if tls {
            let config = ClientTlsConfig {
                ca_files: self
                    .tls_ca_cert_files
                    .iter()
                    .filter(|f| !f.as_os_str().is_empty())
                    .cloned()
                    .collect(),
                identity,
                server_name: self.tls_server_name.clone(),
                allow_insecure: self.tls_allow_insecure,
            };
            dial.tls = Some(Arc::new(ClientTls::new(config)?));
        }
        if let Some(user) = user {
            dial.credentials = user.credentials()?;
        }
        let request_timeout = self.request_timeout.unwrap_or(crate::connect::REQUEST_TIMEOUT);
        Ok(Servers { targets, dial, request_timeout })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use crate::cli::args;

    fn servers(args: &[&str]) -> Result<Servers, String> {
        let command = Command::new("test").arg(clap::Arg::new("config").long("config"));
        let words = ["test", "--config="].iter().chain(args).map(Into::into);
        let matches = args::parse(ServerFlags::augment_args(command), words);
        let matches = matches.map_err(|e| match e {
            args::Refused::Wrong(why) | args::Refused::Shown(why) => why,
        })?;
        let flags = ServerFlags::from_arg_matches(&matches).map_err(|e| e.to_string())?;
        flags.servers().map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn several_are_named_by_commas_and_the_last_flag_counts() {
        let named = servers(&["--server", "x:1", "--server", "a:1,unix:///b.sock,[::1]:2"]).unwrap();
        assert_eq!(named.to_string(), "a:1, unix:///b.sock, [::1]:2");
        assert_eq!(servers(&["--server", "none", "--server=x:1"]).unwrap().to_string(), "x:1");
        let e = servers(&["--server", "x:1,none"]).unwrap_err();
        assert_eq!(e, "--server none captures here: it stands alone, and is for observe and record only");
        assert!(named.dial.tls.is_none());
        assert_eq!((named.dial.timeout.as_secs(), named.request_timeout.as_secs()), (5, 12));
    }

    #[test]
    fn an_address_stands_without_what_it_is_asked_over() {
        let named = servers(&["--tls-allow-insecure", "--server", "tls://a:1,unix:///b.sock"]).unwrap();
        assert_eq!(
            (named.addresses(), named.to_string()),
            ("a:1, unix:///b.sock".into(), "tls://a:1, unix:///b.sock".into())
        );
    }

    #[test]
    fn what_needs_tls_says_so() {
        let wrong = |args: &[&str]| servers(args).unwrap_err();
        let half =
            "invalid flag(s): certificate and private key are both required, but only one was provided";
        assert_eq!(wrong(&["--tls-client-cert-file", "c.pem"]), half);
        assert_eq!(wrong(&["--tls-client-key-file", "k.pem"]), half);
        let both = ["--server", "a:1", "--tls-client-cert-file", "c.pem", "--tls-client-key-file", "k.pem"];
        assert_eq!(wrong(&both), "invalid flag(s): transport layer security required");
        let user = ["--server", "a:1", "--basic-auth-username", "u", "--basic-auth-password", "p"];
        assert_eq!(wrong(&user), "transport layer security required");
        assert_eq!(
            wrong(&["--basic-auth-username", "u"]),
            "invalid flag(s): must specify both basic-auth-username and basic-auth-password"
        );
    }

    #[test]
    fn files_are_read_before_anything_is_asked() {
        let wrong = |args: &[&str]| servers(args).unwrap_err();
        let e = wrong(&["--server", "tls://a:1", "--tls-ca-cert-files", "/nonexistent.pem"]);
        assert!(e.starts_with("cannot load cert '/nonexistent.pem'"), "{e}");
        let e = wrong(&["--server", "tls://a:1", "--tls-ca-cert-files", "/etc/hostname"]);
        assert_eq!(e, "cannot process cert '/etc/hostname': must be a PEM encoded certificate");
    }

    #[test]
    fn a_time_is_a_time() {
        for (wrong, why) in [
            ("0s", "want more than 0"),
            ("-1s", "want more than 0"),
            ("soon", "time: invalid duration \"soon\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("1h5x", "time: unknown unit \"x\" in duration \"1h5x\""),
        ] {
            let e = servers(&[&format!("--timeout={wrong}")]).unwrap_err();
            assert!(e.contains(why), "{wrong}: {e}");
        }
    }
}
