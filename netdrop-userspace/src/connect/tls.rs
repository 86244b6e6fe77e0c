//! TLS 1.3, by rustls on ring, for what asks; `agent::tls` is for what serves.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::identity::{Pem, certificates};

/// gRPC speaks HTTP/2.
const ALPN: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whom a client trusts, and who it is.
#[derive(Clone, Debug, Default)]
pub struct ClientTlsConfig {
    /// Authorities; none: those of the system.
    pub ca_files: Vec<PathBuf>,
    /// The client's own certificate.
    pub identity: Option<Pem>,
    /// Name to expect in place of the address's.
    pub server_name: Option<String>,
    /// Trust any certificate.
    pub allow_insecure: bool,
}

/// TLS of a client: files are read anew when they have changed, for the next connection.
pub struct ClientTls {
    asked: ClientTlsConfig,
    loaded: Mutex<Loaded>,
}

/// What lay in the files last that was of use.
struct Loaded {
    config: Arc<ClientConfig>,
    /// Of what lay in them at the last look, of use or not: a trouble is told once.
    seen: u64,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads the files.
    pub fn new(mut asked: ClientTlsConfig) -> anyhow::Result<Self> {
        asked.server_name = asked.server_name.filter(|n| !n.is_empty());
        // Before they are used: what changes meanwhile is seen at the next look.
        let seen = digest(&asked);
        let config = config(&asked)?;
        Ok(Self { asked, loaded: Mutex::new(Loaded { config, seen }) })
    }

    /// For one server; what was asked for goes before the name given here.
    pub(super) fn connector(&self, name: &str) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
        let name = self.asked.server_name.as_deref().unwrap_or(name);
        let parsed = ServerName::try_from(name.to_owned())
            .map_err(|_| anyhow!("{name:?} is no name that a certificate may have; see --tls-server-name"))?;
        Ok((TlsConnector::from(self.current()), parsed))
    }

    /// Whether servers are shown a certificate.
    pub(super) fn has_identity(&self) -> bool {
        self.asked.identity.is_some()
    }

    /// As the files have it now, if that is of use. They are small, and looked at for a new connection only.
    fn current(&self) -> Arc<ClientConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = digest(&self.asked);
        if loaded.seen != digest {
            loaded.seen = digest;
            match config(&self.asked) {
                Ok(config) => {
                    loaded.config = config;
                    tracing::info!("certificates have changed; new connections show the new ones");
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "certificates have changed, but are of no use, so the old ones stay"
                ),
            }
        }
        Arc::clone(&loaded.config)
    }
}

fn digest(asked: &ClientTlsConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let own = asked.identity.iter().flat_map(|pem| [&pem.cert, &pem.key]);
    for path in asked.ca_files.iter().chain(own) {
        std::fs::read(path).map_err(|e| e.kind()).hash(&mut hasher);
    }
    hasher.finish()
}

fn config(asked: &ClientTlsConfig) -> anyhow::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = if asked.allow_insecure {
        let algorithms = provider().signature_verification_algorithms;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
    } else {
        builder.with_root_certificates(roots(&asked.ca_files)?)
    };
    let mut config = match &asked.identity {
        Some(pem) => {
            let (certs, key) = pem.read()?;
            builder
                .with_client_auth_cert(certs, key)
                .with_context(|| format!("the key does not belong to '{}'", pem.cert.display()))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn roots(files: &[PathBuf]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for cert in certificates(file)? {
            roots.add(cert).with_context(|| {
                format!("cannot process cert '{}': must be a PEM encoded certificate", file.display())
            })?;
        }
    }
    if files.is_empty() {
        // Some of a system's may be too old to read; those that are needed say so when they are missing.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        anyhow::ensure!(
            !roots.is_empty(),
            "this system has no certificate authorities; name some with --tls-ca-cert-files"
        );
    }
    Ok(roots)
}

/// Takes any certificate, as was asked for; that the server has its key is still checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
