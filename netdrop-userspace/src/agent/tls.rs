//! TLS of a server: certificates from files, read anew when they change.
//!
//! A connection keeps the certificates that it began with; new ones get what lay in the files last that was of use.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::problems::Problems;
use super::validity::{Age, Validity};

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
    current: RwLock<Current>,
    last: Mutex<Last>,
}

/// What new connections get.
#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    validity: Validity,
}

/// What was found, and said, at the last look: everything is told once.
#[derive(Debug)]
struct Last {
    /// Of what the files held.
    digest: u64,
    /// It was of no use; that may pass, as for what is not valid yet.
    useless: bool,
    age: Age,
}

impl Tls {
    /// Reads the files; the error lists all that is wrong with them.
    pub fn load(files: TlsFiles) -> Result<Self, Problems> {
        let contents = Contents::read(&files);
        let current = contents.config(&files)?;
        let last = Last { digest: contents.digest(), useless: false, age: Age::Good };
        Ok(Self(Arc::new(Shared { files, current: RwLock::new(current), last: Mutex::new(last) })))
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the certificates in use expire.
    pub fn expires(&self) -> Timestamp {
        self.current().validity.until()
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config)
    }

    /// Whether clients must show a certificate.
    pub fn asks_clients(&self) -> bool {
        !self.0.files.client_ca.is_empty()
    }

    /// Looks at the files for ever.
    pub async fn follow(self) {
        loop {
            let tls = self.clone();
            // Files may lie on a slow disk. A panic in there ends nothing: the next look is to come.
            drop(tokio::task::spawn_blocking(move || tls.look()).await);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes over what has changed, if it is of use, and says what time has made of what is in use.
    pub(super) fn look(&self) {
        let shared = &*self.0;
        let contents = Contents::read(&shared.files);
        let digest = contents.digest();
        let mut last = shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = last.digest != digest;
        if changed || last.useless {
            last.digest = digest;
            self.take(&contents, changed, &mut last);
        }
        self.say_age(&mut last);
    }

    fn take(&self, contents: &Contents, changed: bool, last: &mut Last) {
        let shared = &*self.0;
        let cert = shared.files.cert.display();
        let taken = contents.config(&shared.files);
        last.useless = taken.is_err();
        match taken {
            Ok(current) => {
                *shared.current.write().unwrap_or_else(PoisonError::into_inner) = current;
                last.age = Age::Good;
                tracing::info!(%cert, "certificates have changed; new connections get the new ones");
            }
            Err(why) if changed => {
                tracing::warn!(%cert, "certificates have changed, but are of no use, so the old ones stay: {why}");
            }
            Err(_) => {}
        }
    }

    fn say_age(&self, last: &mut Last) {
        let Current { validity, .. } = self.current();
        let age = validity.age(Timestamp::now());
        if age == std::mem::replace(&mut last.age, age) {
            return;
        }
        let (cert, expires) = (self.0.files.cert.display(), validity.until());
        match age {
            Age::Ending => {
                tracing::warn!(%cert, %expires, "the certificate expires within a day: renew it; the new one is taken over without a restart");
            }
            Age::Over => {
                tracing::error!(%cert, %expires, "the certificate has expired: clients refuse it; renew it, and the new one is taken over without a restart");
            }
            Age::Good | Age::Early => {}
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

    fn config(&self, files: &TlsFiles) -> Result<Current, Problems> {
        let mut problems = Problems::default();
        let file = File::new(files.flags.cert, &files.cert, &self.cert);
        let cert = problems.merge(file.certificates());
        let validity = cert.as_deref().and_then(|cert| problems.merge(validity(&file, cert)));
        let key = problems.merge(key(&File::new(files.flags.key, &files.key, &self.key)));
        let mut roots = RootCertStore::empty();
        for (path, content) in files.client_ca.iter().zip(&self.client_ca) {
            problems.merge(add_roots(&mut roots, &File::new(files.flags.client_ca, path, content)));
        }
        // Whether they fit is said as well where one of them has expired.
        let config = match (cert, key) {
            (Some(cert), Some(key)) => problems.merge(server_config(cert, key, roots).map_err(|e| {
                let TlsFiles { cert, key, flags, .. } = files;
                Problems::from(format!(
                    "{} {} and {} {} are of no use together: {e}; the key must be that of the first certificate",
                    flags.cert,
                    cert.display(),
                    flags.key,
                    key.display()
                ))
            })),
            _ => None,
        };
        match (config, validity, problems.none()) {
            (Some(config), Some(validity), Ok(())) => Ok(Current { config, validity }),
            (.., Err(problems)) => Err(problems),
            // What is missing has been a problem.
            (.., Ok(())) => Err(Problems::default()),
        }
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

/// How long a chain is good for, if it is good now.
fn validity(file: &File<'_>, chain: &[CertificateDer<'_>]) -> Result<Validity, Problems> {
    let validity = Validity::of(chain).map_err(|why| file.problem(why))?;
    validity.check(Timestamp::now()).map_err(|why| file.problem(why))?;
    Ok(validity)
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
