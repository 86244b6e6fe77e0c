//! How long a server's certificates are good for.

use std::time::Duration;

use jiff::Timestamp;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

/// Who has to renew a certificate hears of its end so long before.
const NOTICE: Duration = Duration::from_hours(24);

/// The time in which all certificates of a chain are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

/// What time has made of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// They are good.
    Good,
    /// They are good for less than a day.
    Ending,
    /// They are not good yet.
    Early,
    /// They are not good any more.
    Over,
}

impl Validity {
    /// Of a chain; the error names the certificate that can't be read.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let mut all = Self { from: Timestamp::MIN, until: Timestamp::MAX };
        for (number, certificate) in (1..).zip(chain) {
            let (_, read) = X509Certificate::from_der(certificate)
                .map_err(|e| format!("its certificate number {number} can't be read: {e}"))?;
            all.from = all.from.max(time(read.validity.not_before));
            all.until = all.until.min(time(read.validity.not_after));
        }
        Ok(all)
    }

    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    pub(super) fn age(&self, now: Timestamp) -> Age {
        let left = Duration::try_from(self.until.duration_since(now));
        match left {
            _ if now < self.from => Age::Early,
            Err(_) => Age::Over,
            Ok(left) if left < NOTICE => Age::Ending,
            Ok(_) => Age::Good,
        }
    }

    /// Why they are of no use now, if they are not.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), String> {
        match self.age(now) {
            Age::Good | Age::Ending => Ok(()),
            Age::Over => Err(format!("has expired at {:.0}: renew it", self.until)),
            Age::Early => {
                Err(format!("is not valid before {:.0}; this machine's clock says {now:.0}", self.from))
            }
        }
    }
}

/// Certificates may claim years that nobody counts.
fn time(time: ASN1Time) -> Timestamp {
    let limit = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn certificate(from: i32, until: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_chain_is_as_good_as_its_worst() {
        let validity = Validity::of(&[certificate(2020, 2040), certificate(2010, 2030)]).unwrap();
        assert_eq!(validity.until(), at("2030-01-01T00:00:00Z"));
        for (now, age, said) in [
            (
                "2019-12-31T23:59:59Z",
                Age::Early,
                "is not valid before 2020-01-01T00:00:00Z; this machine's clock says 2019-12-31T23:59:59Z",
            ),
            ("2020-01-01T00:00:00Z", Age::Good, ""),
            ("2029-12-31T00:00:00Z", Age::Good, ""),
            ("2029-12-31T00:00:01Z", Age::Ending, ""),
            ("2030-01-01T00:00:00Z", Age::Ending, ""),
            ("2030-01-01T00:00:01Z", Age::Over, "has expired at 2030-01-01T00:00:00Z: renew it"),
        ] {
            assert_eq!(validity.age(at(now)), age, "{now}");
            assert_eq!(validity.check(at(now)).err().unwrap_or_default(), said, "{now}");
        }
        let garbage = CertificateDer::from(vec![1, 2, 3]);
        let e = Validity::of(&[certificate(2020, 2040), garbage]).unwrap_err();
        assert!(e.starts_with("its certificate number 2 can't be read: "), "{e}");
    }
}
