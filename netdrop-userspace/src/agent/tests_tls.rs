//! Real TLS connections of clients with all kinds of certificates, and certificates that change.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tonic::transport::{Channel, Endpoint, Uri};

use super::doors::Listen;
use super::systemd::Inherited;
use super::tests::{Agent, flow};
use super::*;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, ServerStatusRequest};

/// Whoever has no answer by then has none.
const PATIENCE: Duration = Duration::from_mins(1);
const SERVER: &str = "node-1.default.hubble-grpc.cilium.io";

/// A CA, and its certificate in PEM.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
struct Identity {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str, last_year: i32) -> Identity {
        self.issue_from(name, 2001, last_year)
    }

    fn issue_from(&self, name: &str, first_year: i32, last_year: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(first_year, 1, 1), date_time_ymd(last_year, 1, 1));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { cert, key: key.serialize_pem() }
    }

    fn valid(&self) -> Identity {
        self.issue(SERVER, 2100)
    }
}

/// Where a server's certificates lie.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(server: &Identity, clients: &Authority) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(server, clients);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, server: &Identity, clients: &Authority) {
        fs::write(self.path("cert"), &server.cert).unwrap();
        fs::write(self.path("key"), &server.key).unwrap();
        fs::write(self.path("ca"), &clients.pem).unwrap();
    }

    fn listen(&self) -> Listen {
        Listen {
            address: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            cert: Some(self.path("cert")),
            key: Some(self.path("key")),
            client_ca: vec![self.path("ca")],
            ..Listen::default()
        }
    }

    async fn agent(&self) -> Agent {
        Agent::with(1 << 20, Limits::default(), self.listen()).await
    }
}

fn connector(
    server_ca: &Authority,
    own: Option<&Identity>,
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server_ca.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            let cert = CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![cert], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn channel(port: SocketAddr, connector: TlsConnector) -> anyhow::Result<Channel> {
    let connect = tower::service_fn(move |_: Uri| {
        let connector = connector.clone();
        async move {
            let name = ServerName::try_from(SERVER).map_err(std::io::Error::other)?;
            let stream = connector.connect(name, TcpStream::connect(port).await?).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    Ok(Endpoint::from_static("http://localhost").connect_with_connector(connect).await?)
}

/// Asks the harmless thing. An error is one of the transport: none of the server's words.
async fn status(port: SocketAddr, connector: TlsConnector) -> anyhow::Result<u64> {
    let ask = async {
        let mut client = ObserverClient::new(channel(port, connector).await?);
        Ok(client.server_status(ServerStatusRequest::default()).await?.into_inner().max_flows)
    };
    timeout(PATIENCE, ask).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_of_the_right_authority_learn_anything() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let folder = Folder::new(&ours.valid(), &ours);
    let agent = folder.agent().await;
    let port = agent.port.unwrap();
    assert_eq!(status(port, connector(&ours, Some(&ours.valid()), &TLS13)).await.unwrap(), 19_660);
    let (foreign, expired, future) = (theirs.valid(), ours.issue("a", 2002), ours.valid());
    for (what, own, version) in [
        ("none", None, &TLS13),
        ("of another CA", Some(&foreign), &TLS13),
        ("expired", Some(&expired), &TLS13),
        ("TLS 1.2", Some(&future), &TLS12),
    ] {
        let refused = status(port, connector(&ours, own, version)).await;
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
    // On the wire: after the handshake such a client reads an alert and no more, whatever it sends.
    let name = ServerName::try_from(SERVER).unwrap();
    for own in [None, Some(&foreign), Some(&expired)] {
        let stream = TcpStream::connect(port).await.unwrap();
        if let Ok(mut tls) = connector(&ours, own, &TLS13).connect(name.clone(), stream).await {
            drop(tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await);
            let mut heard = Vec::new();
            let end = timeout(PATIENCE, tls.read_to_end(&mut heard)).await;
            assert_eq!(heard, b"", "{end:?}");
        }
    }
    // Without TLS not even that.
    let mut plain = TcpStream::connect(port).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, plain.read_to_end(&mut heard)).await);
    assert!(heard.len() <= 7, "an alert is seven bytes: {heard:?}");
    // Those who may come in still can.
    assert!(status(port, connector(&ours, Some(&ours.valid()), &TLS13)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_an_open_stream() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new(&old.valid(), &old);
    let agent = folder.agent().await;
    let (port, tls) = (agent.port.unwrap(), agent.tls.clone().unwrap());
    let by_old = || connector(&old, Some(&old.valid()).cloned().as_ref(), &TLS13);
    let by_new = || connector(&new, Some(&new.valid()).cloned().as_ref(), &TLS13);
    let mut client = ObserverClient::new(channel(port, by_old()).await.unwrap());
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut stream = client.get_flows(follow).await.unwrap().into_inner();

    // Half of a change: the key does not fit. The old ones stay.
    fs::write(folder.path("cert"), &new.valid().cert).unwrap();
    tls.look();
    assert!(status(port, by_old()).await.is_ok());
    // Garbage, and files that are gone.
    fs::write(folder.path("cert"), "-----BEGIN CERTIFICATE-----\n!!\n").unwrap();
    tls.look();
    fs::remove_file(folder.path("key")).unwrap();
    tls.look();
    assert!(status(port, by_old()).await.is_ok());
    assert!(status(port, by_new()).await.is_err());

    folder.write(&new.valid(), &new);
    tls.look();
    assert!(status(port, by_new()).await.is_ok());
    assert!(status(port, by_old()).await.is_err(), "the old CA counts no more");

    for second in 0..3 {
        agent.push.send(Observation::Flow(flow(second))).await.unwrap();
        let next = stream.message().await.unwrap().unwrap();
        assert_eq!(next.time.unwrap().seconds, second, "the stream goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_files_are_noticed() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new(&old.valid(), &old);
    let agent = folder.agent().await;
    let port = agent.port.unwrap();
    folder.write(&new.valid(), &new);
    let own = new.valid();
    let deadline = Instant::now() + PATIENCE;
    while status(port, connector(&new, Some(&own), &TLS13)).await.is_err() {
        assert!(Instant::now() < deadline, "the agent still shows its old certificate");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn take(listen: &Listen) -> String {
    Doors::take(listen, Inherited::default()).map(|doors| doors.ports()).unwrap_err().to_string()
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let ca = Authority::new("ca");
    let folder = Folder::new(&ca.valid(), &ca);
    let socket_path = folder.path("s.sock");
    let good = Listen { socket_path: socket_path.clone(), ..folder.listen() };
    assert!(Doors::take(&good, Inherited::default()).is_ok());
    assert!(!socket_path.exists(), "what was taken is given back");

    fs::write(folder.path("ca"), "no PEM").unwrap();
    fs::write(folder.path("key"), &ca.pem).unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bad = Listen {
        cert: Some(folder.path("none")),
        address: busy.local_addr().ok(),
        socket_group: Some("nobody-of-that-name".into()),
        socket_path: "/proc/x/s.sock".into(),
        disable_tls: true,
        ..good.clone()
    };
    let text = take(&bad);
    assert!(text.starts_with("7 things are in the way:\n"), "{text}");
    for part in [
        "--disable-tls contradicts --tls-cert-file",
        "none: can't be read: No such file",
        "key: holds no private key",
        "ca: holds no certificate",
        "\"nobody-of-that-name\"",
        "/proc/x/s.sock; choose another --socket-path",
        "can't be used; choose another: Address already in use",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// What time does to certificates is known before anybody connects, and does not hide what else is wrong.
#[tokio::test]
async fn certificates_of_another_time_are_refused_at_the_start() {
    let ca = Authority::new("ca");
    let (expired, future) = (ca.issue(SERVER, 2002), ca.issue_from(SERVER, 2090, 2100));
    let folder = Folder::new(&ca.valid(), &ca);
    let listen = Listen { socket_path: folder.path("s.sock"), ..folder.listen() };
    folder.write(&expired, &ca);
    let text = take(&listen);
    assert!(text.ends_with("cert: has expired at 2002-01-01T00:00:00Z: renew it"), "{text}");
    folder.write(&future, &ca);
    let text = take(&listen);
    assert!(
        text.contains("cert: is not valid before 2090-01-01T00:00:00Z; this machine's clock says 20"),
        "{text}"
    );
    write(&folder.path("cert"), &expired.cert);
    let text = take(&listen);
    assert!(text.starts_with("2 things are in the way:"), "{text}");
    assert!(text.contains("has expired at") && text.contains("are of no use together"), "{text}");
}

/// A certificate that is not good yet is taken over once it is, though its file does not change any more; one that has expired never
/// takes the place of one that is good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_time_waits() {
    let ca = Authority::new("ca");
    let folder = Folder::new(&ca.valid(), &ca);
    let agent = folder.agent().await;
    let tls = agent.tls.clone().unwrap();
    assert_eq!(tls.expires().to_string(), "2100-01-01T00:00:00Z");
    folder.write(&ca.issue(SERVER, 2002), &ca);
    tls.look();
    tls.look();
    folder.write(&ca.issue_from(SERVER, 2090, 2099), &ca);
    tls.look();
    assert_eq!(tls.expires().to_string(), "2100-01-01T00:00:00Z");
    assert!(status(agent.port.unwrap(), connector(&ca, Some(&ca.valid()), &TLS13)).await.is_ok());
    folder.write(&ca.issue(SERVER, 2098), &ca);
    tls.look();
    assert_eq!(tls.expires().to_string(), "2098-01-01T00:00:00Z");
}

#[tokio::test]
async fn flags_that_need_each_other_say_so() {
    let ca = Authority::new("ca");
    let folder = Folder::new(&ca.valid(), &ca);
    let listen = Listen { socket_path: folder.path("s.sock"), ..folder.listen() };
    let without = |change: &dyn Fn(&mut Listen)| {
        let mut changed = listen.clone();
        change(&mut changed);
        take(&changed)
    };
    assert!(without(&|l| l.key = None).contains("--tls-key-file"));
    assert!(without(&|l| l.cert = None).contains("--tls-cert-file"));
    assert!(without(&|l| l.address = None).contains("add it, as :4244"));
    let text = without(&|l| (l.cert, l.key) = (None, None));
    assert!(text.contains("--tls-client-ca-files is of no use without"), "{text}");
    let text = without(&|l| (l.cert, l.key, l.client_ca) = (None, None, vec![]));
    assert!(text.contains("--listen-address") && text.contains("--disable-tls"), "{text}");
    let other = ca.valid();
    write(&folder.path("key"), &other.key);
    assert!(take(&listen).contains("the key must be that of the first certificate"), "{}", take(&listen));
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
