//! TLS of a server: certificates from files, read anew when they change.
//!
//! A connection keeps the certificates that it began with; new ones get what lay in the files last that was of use.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::problems::Problems;

/// How often the files are looked at. A mounted Kubernetes secret changes within a minute or so.
const LOOK: Duration = Duration::from_secs(5);
/// The one protocol that is spoken.
const ALPN: &[u8] = b"h2";

/// Where a server's certificates are, and which flags said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's chain, its own certificate first, in PEM.
    pub cert: PathBuf,
    /// The key of that certificate, in PEM.
    pub key: PathBuf,
    /// CAs of which one must have signed a client's certificate; empty: clients need none.
    pub client_ca: Vec<PathBuf>,
    /// Names for errors.
    pub flags: TlsFlags,
}

/// What the flags of [`TlsFiles`] are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFlags {
    /// Of the chain.
    pub cert: &'static str,
    /// Of its key.
    pub key: &'static str,
    /// Of the CAs.
    pub client_ca: &'static str,
}

/// The certificates that are valid now.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    /// What the files held at the last look, of use or not: a trouble is told once.
    seen: Mutex<u64>,
}

impl Tls {
    /// Reads the files; the error lists all that is wrong with them.
    pub fn load(files: TlsFiles) -> Result<Self, Problems> {
        let contents = Contents::read(&files);
        let config = contents.config(&files)?;
        let seen = Mutex::new(contents.digest());
        Ok(Self(Arc::new(Shared { files, config: RwLock::new(config), seen })))
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Whether clients must show a certificate.
    pub fn asks_clients(&self) -> bool {
        !self.0.files.client_ca.is_empty()
    }

    /// Looks at the files for ever.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = self.clone();
            // Files may lie on a slow disk. A panic in there ends nothing: the next look is to come.
            drop(tokio::task::spawn_blocking(move || tls.look()).await);
        }
    }

    /// Takes over what has changed, if it is of use.
    pub(super) fn look(&self) {
        let shared = &*self.0;
        let contents = Contents::read(&shared.files);
        let digest = contents.digest();
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == digest {
            return;
        }
        *seen = digest;
        let cert = shared.files.cert.display();
        match contents.config(&shared.files) {
            Ok(config) => {
                *shared.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(%cert, "certificates have changed; new connections get the new ones");
            }
            Err(why) => {
                tracing::warn!(%cert, "certificates have changed, but are of no use, so the old ones stay: {why}");
            }
        }
    }
}

/// What lay in the files at one look.
struct Contents {
    cert: io::Result<Vec<u8>>,
    key: io::Result<Vec<u8>>,
    client_ca: Vec<io::Result<Vec<u8>>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Self {
        Self {
            cert: fs::read(&files.cert),
            key: fs::read(&files.key),
            client_ca: files.client_ca.iter().map(fs::read).collect(),
        }
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for content in [&self.cert, &self.key].into_iter().chain(&self.client_ca) {
            content.as_ref().map_err(io::Error::kind).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, Problems> {
        let mut problems = Problems::default();
        let cert = problems.merge(chain(&File::new(files.flags.cert, &files.cert, &self.cert)));
        let key = problems.merge(key(&File::new(files.flags.key, &files.key, &self.key)));
        let mut roots = RootCertStore::empty();
        for (path, content) in files.client_ca.iter().zip(&self.client_ca) {
            problems.merge(add_roots(&mut roots, &File::new(files.flags.client_ca, path, content)));
        }
        let (Some(cert), Some(key)) = (cert, key) else {
            return Err(problems);
        };
        problems.none()?;
        server_config(cert, key, roots).map_err(|e| {
            let TlsFiles { cert, key, flags, .. } = files;
            Problems::from(format!(
                "{} {} and {} {} are of no use together: {e}; the key must be that of the first certificate",
                flags.cert,
                cert.display(),
                flags.key,
                key.display()
            ))
        })
    }
}

/// A file, its content, and the flag that named it.
struct File<'a> {
    flag: &'static str,
    path: &'a Path,
    content: &'a io::Result<Vec<u8>>,
}

impl<'a> File<'a> {
    fn new(flag: &'static str, path: &'a Path, content: &'a io::Result<Vec<u8>>) -> Self {
        Self { flag, path, content }
    }

    fn bytes(&self) -> Result<&'a [u8], Problems> {
        match self.content {
            Ok(bytes) => Ok(bytes),
            Err(e) => Err(self.problem(format_args!("can't be read: {e}"))),
        }
    }

    fn problem(&self, what: impl std::fmt::Display) -> Problems {
        Problems::from(format!("{} {}: {what}", self.flag, self.path.display()))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Problems> {
        let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(self.bytes()?).collect();
        let all = all.map_err(|e| self.problem(format_args!("is damaged PEM: {e}")))?;
        if all.is_empty() {
            return Err(self.problem("holds no certificate; it must be PEM, with BEGIN CERTIFICATE"));
        }
        Ok(all)
    }
}

fn chain(file: &File<'_>) -> Result<Vec<CertificateDer<'static>>, Problems> {
    file.certificates()
}

fn key(file: &File<'_>) -> Result<PrivateKeyDer<'static>, Problems> {
    PrivateKeyDer::from_pem_slice(file.bytes()?).map_err(|e| match e {
        pem::Error::NoItemsFound => file.problem(
            "holds no private key; it must be PEM, with BEGIN PRIVATE KEY, and not encrypted by a passphrase",
        ),
        other => file.problem(format_args!("is damaged PEM: {other}")),
    })
}

fn add_roots(roots: &mut RootCertStore, file: &File<'_>) -> Result<(), Problems> {
    for certificate in file.certificates()? {
        roots
            .add(certificate)
            .map_err(|e| file.problem(format_args!("holds a certificate that can't be a CA's: {e}")))?;
    }
    Ok(())
}

/// TLS 1.3 only, as Hubble's servers. No session is resumed: each connection shows its certificate anew, so one that has expired
/// since, or whose CA was taken away, opens none.
fn server_config(
    cert: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
    let verifier = if roots.is_empty() {
        WebPkiClientVerifier::no_client_auth()
    } else {
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?
    };
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(cert, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
