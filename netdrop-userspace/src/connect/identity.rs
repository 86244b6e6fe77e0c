//! Who asks: a certificate with its key, a user with a password.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::metadata::MetadataValue;

use super::Credentials;

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, followed by those between it and the authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Pem {
    /// Of two flags: both or none.
    pub fn of(cert: Option<PathBuf>, key: Option<PathBuf>) -> anyhow::Result<Option<Self>> {
        let named = |path: Option<PathBuf>| path.filter(|p| !p.as_os_str().is_empty());
        match (named(cert), named(key)) {
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key })),
            (None, None) => Ok(None),
            _ => Err(anyhow!("certificate and private key are both required, but only one was provided")),
        }
    }

    /// Reads both files.
    pub fn read(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let certs = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("cannot load the private key '{}'", self.key.display()))?;
        Ok((certs, key))
    }
}

/// All certificates of a PEM file.
pub(super) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot load cert '{shown}'"))?;
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    certs
        .ok()
        .filter(|c| !c.is_empty())
        .with_context(|| format!("cannot process cert '{shown}': must be a PEM encoded certificate"))
}

/// HTTP's basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    user: String,
    password: String,
}

impl BasicAuth {
    /// Of two flags: both or none.
    pub fn of(user: Option<String>, password: Option<String>) -> anyhow::Result<Option<Self>> {
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        match (given(user), given(password)) {
            (Some(user), Some(password)) => Ok(Some(Self { user, password })),
            (None, None) => Ok(None),
            _ => Err(anyhow!("must specify both basic-auth-username and basic-auth-password")),
        }
    }

    /// As a header of each call.
    pub fn credentials(&self) -> anyhow::Result<Credentials> {
        let text = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let mut value =
            MetadataValue::try_from(format!("Basic {text}")).context("the credentials fit no header")?;
        value.set_sensitive(true);
        Ok(Credentials(Some(value)))
    }
}

impl std::fmt::Debug for BasicAuth {
    /// A password has no place in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").field("user", &self.user).finish_non_exhaustive()
    }
}
