//! Certificates made for the test, and the relay's own server as the other side.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::agent::tls::{TlsFiles, TlsFlags};
use crate::cli::server_flags::Servers;
use crate::connect::tls::ClientTlsConfig;
use crate::relay::RelayConfig;
use crate::relay::node::{LIMIT, TestNode};
use crate::relay::tests::{Running, config};
use crate::source::remote;

/// Names in the relay's certificate: of the chart, and an address.
pub(crate) const RELAY: [&str; 2] = ["ui.hubble-relay.cilium.io", "127.0.0.1"];

pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    pub(crate) fn identity(&self, name: &str, names: &[&str]) -> Pem {
        self.until(name, names, 2100)
    }

    /// One that ends with this year.
    pub(crate) fn until(&self, name: &str, names: &[&str], year: i32) -> Pem {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(year, 12, 31));
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let pem = Pem { cert: self.file(&format!("{name}.pem")), key: self.file(&format!("{name}.key")) };
        std::fs::write(&pem.cert, cert.pem()).unwrap();
        std::fs::write(&pem.key, key.serialize_pem()).unwrap();
        pem
    }
}

pub(crate) fn files(identity: Pem, client_ca: Vec<PathBuf>) -> TlsFiles {
    let flags = TlsFlags { cert: "--cert", key: "--key", client_ca: "--ca" };
    TlsFiles { cert: identity.cert, key: identity.key, client_ca, flags }
}

async fn relay(tls: TlsFiles) -> (Running, [TestNode; 1]) {
    let nodes = [TestNode::start("node0")];
    let relay = Running::start(RelayConfig { tls: Some(tls), ..config() }, &nodes).await;
    (relay, nodes)
}

/// How many nodes a status tells of, asked with these.
pub(crate) async fn ask(relay: &Running, tls: ClientTlsConfig) -> Result<u32, String> {
    let mut servers = Servers::one(&format!("tls://{}", relay.address)).unwrap();
    servers.dial.tls = Some(Arc::new(ClientTls::new(tls).map_err(|e| format!("{e:#}"))?));
    let asked = async {
        let connection = remote::connect(&servers).await?;
        remote::server_status(&servers, &connection).await
    };
    let status = asked.await.map_err(|e| format!("{e:#}"))?;
    Ok(status.num_connected_nodes.unwrap_or(0) + status.num_unavailable_nodes.unwrap_or(0))
}

pub(crate) fn trusting(ca: &Path) -> ClientTlsConfig {
    ClientTlsConfig { ca_files: vec![ca.to_owned()], ..ClientTlsConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_must_be_who_was_asked_for() {
    let (own, other) = (Authority::new(), Authority::new());
    let identity = own.identity("relay", &RELAY);
    let (relay, _nodes) = relay(files(identity, Vec::new())).await;
    assert_eq!(ask(&relay, trusting(&own.ca())).await, Ok(1));
    let named = |name: &str| ClientTlsConfig { server_name: Some(name.into()), ..trusting(&own.ca()) };
    assert_eq!(ask(&relay, named(RELAY[0])).await, Ok(1));
    let e = ask(&relay, named("somebody.else")).await.unwrap_err();
    assert!(e.contains("certificate not valid for name \"somebody.else\""), "{e}");
    let e = ask(&relay, trusting(&other.ca())).await.unwrap_err();
    assert!(e.contains("of no authority that is trusted; name that with --tls-ca-cert-files, or "), "{e}");
    let insecure = ClientTlsConfig { allow_insecure: true, ..ClientTlsConfig::default() };
    assert_eq!(ask(&relay, insecure).await, Ok(1));
    // A server on a busy machine may be silent for so long that it is asked all the same.
    let deadline = Instant::now() + LIMIT;
    loop {
        let plain = remote::status(&relay.address.to_string()).await;
        let e = format!("{:#}", plain.expect_err("nothing in the clear"));
        if e.contains("speaks TLS: ask it with --tls") {
            break;
        }
        assert!(Instant::now() < deadline, "{e}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_must_show_who_they_are() {
    let (own, other) = (Authority::new(), Authority::new());
    let identity = own.identity("relay", &RELAY);
    let (relay, _nodes) = relay(files(identity, vec![own.ca()])).await;
    let with = |identity: Option<Pem>| ClientTlsConfig { identity, ..trusting(&own.ca()) };
    assert_eq!(ask(&relay, with(Some(own.identity("client", &["ui"])))).await, Ok(1));
    let preface =
        "rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: ";
    let e = ask(&relay, with(None)).await.unwrap_err();
    let show = "show one with --tls-client-cert-file and --tls-client-key-file";
    assert_eq!(e, format!("{preface}remote error: tls: certificate required\": {show}"));
    let e = ask(&relay, with(Some(other.identity("stranger", &["ui"])))).await.unwrap_err();
    let show = "show a certificate that it trusts with --tls-client-cert-file and --tls-client-key-file";
    assert!(e.starts_with(&format!("{preface}remote error: tls: ")), "{e}");
    assert!(e.ends_with(&format!("\": {show}")), "{e}");
    let mixed = Pem { key: own.identity("second", &["ui"]).key, ..own.identity("first", &["ui"]) };
    let e = ask(&relay, with(Some(mixed))).await.unwrap_err();
    assert!(e.contains("the key does not belong to"), "{e}");
}

/// What is said of a server that treats all who come so.
async fn said_of<F: Future<Output = ()> + Send + 'static>(
    target: &str,
    treat: impl Fn(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target.replace('_', &listener.local_addr().unwrap().to_string());
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            treat(stream).await;
        }
    });
    let insecure = ClientTlsConfig { allow_insecure: true, ..ClientTlsConfig::default() };
    let dial = Dial { tls: Some(Arc::new(ClientTls::new(insecure).unwrap())), ..Dial::default() };
    let e = dial.connect(&Target::parse(&target).unwrap()).await.expect_err("it is no server");
    server.abort();
    e.to_string()
}

/// As servers in Go do: they say what they would say to anybody, or nothing, and hang up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_speaks_tls_where_there_is_none_is_told_so() {
    let settings = |mut stream: TcpStream| async move {
        drop(stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await);
        drop(stream.read(&mut [0; 1024]).await);
    };
    let e = said_of("tls://_", settings).await;
    assert!(e.ends_with(": it does not speak TLS: ask it without --tls, as HOST:PORT"), "{e}");
    let reset = |stream: TcpStream| async move { drop(stream) };
    let e = said_of("tls://_", reset).await;
    assert!(e.ends_with("; if it does not speak TLS, ask it without --tls, as HOST:PORT"), "{e}");
    let hung_up = |mut stream: TcpStream| async move { drop(stream.read(&mut [0; 1024]).await) };
    let e = said_of("_", hung_up).await;
    assert!(
        e.ends_with("hung up without a word; if it speaks TLS, ask it with --tls, or as tls://HOST:PORT"),
        "{e}"
    );
    // netdrop's own servers, too.
    let relay = Running::start(config(), &[TestNode::start("node0")]).await;
    let insecure = ClientTlsConfig { allow_insecure: true, ..ClientTlsConfig::default() };
    let e = ask(&relay, insecure).await.unwrap_err();
    assert!(e.contains("does not speak TLS"), "{e}");
}

#[tokio::test]
async fn a_name_is_told_where_there_is_tls_and_nowhere_else() {
    let dial = Dial { told_names: true, ..Dial::default() };
    let target = Target::parse("127.0.0.1:1").unwrap();
    let e = dial.connect_as(&target, Some("a.hubble-grpc.cilium.io")).await.unwrap_err().to_string();
    assert_eq!(e, "unexpected TLS ServerName for 127.0.0.1:1");
    let insecure = ClientTlsConfig { allow_insecure: true, ..ClientTlsConfig::default() };
    let tls = Some(Arc::new(ClientTls::new(insecure).unwrap()));
    let dial = Dial { tls, tls_always: true, ..dial };
    let e = dial.connect_as(&target, None).await.unwrap_err().to_string();
    assert_eq!(e, "missing TLS ServerName for 127.0.0.1:1");
}

/// The stock client, with the flags that netdrop has from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_comes_in_with_a_certificate() {
    let Some(hubble) = crate::relay::tests::stock("hubble") else {
        return;
    };
    let own = Authority::new();
    let (server, client) = (own.identity("relay", &RELAY), own.identity("client", &["ui"]));
    let (relay, _nodes) = relay(files(server, vec![own.ca()])).await;
    let mut args =
        vec!["list".to_owned(), "nodes".into(), "--server".into(), format!("tls://{}", relay.address)];
    for (flag, file) in [
        ("--tls-ca-cert-files", own.ca()),
        ("--tls-client-cert-file", client.cert),
        ("--tls-client-key-file", client.key),
    ] {
        args.extend([flag.to_owned(), file.display().to_string()]);
    }
    // The relay is there before it has its nodes.
    let deadline = Instant::now() + LIMIT;
    loop {
        let out = crate::relay::tests::run(hubble.clone(), args.clone()).await;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if text.contains("node0   Connected") {
            break;
        }
        assert!(Instant::now() < deadline, "{text}{}", String::from_utf8_lossy(&out.stderr));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
