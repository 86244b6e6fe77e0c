//! Why a server's certificate is not trusted, and what to do.

use std::io;

use tokio_rustls::rustls::{CertificateError, Error};

use super::began::WayOut;

/// What rustls says of a certificate with the way out; `None` where it is about something else, or there is none from here.
pub(super) fn way_out(error: &io::Error, way: WayOut) -> Option<String> {
    use CertificateError as C;
    let Error::InvalidCertificate(wrong) = error.get_ref()?.downcast_ref()? else { return None };
    let (trust, insecure) = (way.trust, way.insecure);
    Some(match wrong {
        // The latter of an authority that is called as a trusted one is, and has another key.
        C::UnknownIssuer | C::BadSignature => {
            format!(
                "{error}: its certificate is of no authority that is trusted; name that with {trust}{insecure}"
            )
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => format!("{error}{}", way.name),
        // An error of the library below, which is not known here but by its words.
        C::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => format!(
            "its certificate is that of an authority (CaUsedAsEndEntity), and trusted as such only: give the server one of \
             its own, which the authority signed{insecure}"
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::began::{CLIENT, RELAY};
    use super::*;

    fn said(wrong: CertificateError, way: WayOut) -> Option<String> {
        way_out(&io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(wrong)), way)
    }

    #[test]
    fn who_is_not_known_can_be_named() {
        let unknown = "invalid peer certificate: UnknownIssuer: its certificate is of no authority that is trusted; name that with";
        let client = said(CertificateError::UnknownIssuer, CLIENT).unwrap();
        assert_eq!(
            client,
            format!("{unknown} --tls-ca-cert-files, or trust any server with --tls-allow-insecure")
        );
        let relay = said(CertificateError::UnknownIssuer, RELAY).unwrap();
        assert_eq!(relay, format!("{unknown} --tls-hubble-server-ca-files"));
        let name = said(CertificateError::NotValidForName, CLIENT).unwrap();
        assert!(name.ends_with("; expect another with --tls-server-name"), "{name}");
        assert_eq!(said(CertificateError::Revoked, CLIENT), None);
        assert_eq!(way_out(&io::ErrorKind::UnexpectedEof.into(), CLIENT), None);
    }
}
