//! Look-ups over real sockets, by UDP and TCP, of a name server whose answers the test chooses.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::*;
use crate::relay::node::{LIMIT, own_address};

/// What the server says of a name.
#[derive(Clone, Debug)]
enum Says {
    Addresses(Vec<IpAddr>),
    Trouble,
    Nothing,
}

/// A name server; a name of which it knows nothing does not exist.
struct Server {
    zone: Arc<Mutex<HashMap<String, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
    at: SocketAddr,
    _tasks: JoinSet<()>,
}

const NAME: &str = "agents.netdrop.svc.cluster.local.";

impl Server {
    async fn start() -> Self {
        let udp = UdpSocket::bind((own_address(), 0)).await.unwrap();
        let at = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(at).await.unwrap();
        let (zone, asked) = (Arc::default(), Arc::default());
        let answer = {
            let (zone, asked) = (Arc::clone(&zone), Arc::clone(&asked));
            move |bytes: &[u8], most: usize| answer(&zone, &asked, bytes, most)
        };
        let mut tasks = JoinSet::new();
        let by_udp = answer.clone();
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                if let Some(bytes) = by_udp(&buffer[..length], 512) {
                    drop(udp.send_to(&bytes, from).await);
                }
            }
        });
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut bytes = vec![0; usize::from(length)];
                        stream.read_exact(&mut bytes).await.unwrap();
                        if let Some(bytes) = answer(&bytes, usize::from(u16::MAX)) {
                            stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
                            stream.write_all(&bytes).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { zone, asked, at, _tasks: tasks }
    }

    fn says(&self, name: &str, says: Option<Says>) {
        let mut zone = self.zone.lock().unwrap();
        match says {
            Some(says) => zone.insert(name.to_owned(), says),
            None => zone.remove(name),
        };
    }

    /// As a pod would ask it.
    fn lookups(&self) -> Lookups {
        let mut server = NameServerConfig::udp_and_tcp(self.at.ip());
        server.connections.iter_mut().for_each(|c| c.port = self.at.port());
        let search =
            ["netdrop.svc.cluster.local.", "svc.cluster.local."].map(|n| Name::from_utf8(n).unwrap());
        let config = ResolverConfig::from_parts(None, search.into(), vec![server]);
        let mut options = ResolverOpts::default();
        (options.ndots, options.timeout, options.attempts) = (5, Duration::from_millis(300), 2);
        Lookups { servers: Some((config, options)), again: Duration::from_millis(50) }
    }

    /// Until it was asked so many times more.
    async fn asked_again(&self, times: usize) {
        let before = self.asked.lock().unwrap().len();
        let asked = async {
            while self.asked.lock().unwrap().len() < before + times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, asked).await.expect("it is asked");
    }
}

fn answer(
    zone: &Mutex<HashMap<String, Says>>,
    asked: &Mutex<Vec<String>>,
    bytes: &[u8],
    most: usize,
) -> Option<Vec<u8>> {
    let request = Message::from_vec(bytes).unwrap();
    let Query { name, query_type, .. } = request.queries.first().unwrap().clone();
    asked.lock().unwrap().push(name.to_utf8());
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.add_queries(request.queries.clone());
    match zone.lock().unwrap().get(&name.to_utf8()) {
        Some(Says::Addresses(addresses)) => {
            for address in addresses {
                let data = match address {
                    IpAddr::V4(a) => RData::A(A(*a)),
                    IpAddr::V6(a) => RData::AAAA(AAAA(*a)),
                };
                if data.record_type() == query_type {
                    response.add_answer(Record::from_rdata(name.clone(), 5, data));
                }
            }
        }
        Some(Says::Trouble) => response.metadata.response_code = ResponseCode::ServFail,
        Some(Says::Nothing) => return None,
        None => response.metadata.response_code = ResponseCode::NXDomain,
    }
    let whole = response.to_vec().unwrap();
    Some(if whole.len() > most { response.truncate().to_vec().unwrap() } else { whole })
}

fn v4(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

fn v6(n: u16) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n).into()
}

async fn until(source: &mut Source, want: &[&str]) {
    let same = |peers: &Option<Peers>| {
        peers.as_ref().is_some_and(|p| p.values().map(|a| &*a.address).eq(want.iter().copied()))
    };
    let came = tokio::time::timeout(LIMIT, source.peers.wait_for(same)).await.is_ok_and(|w| w.is_ok());
    assert!(came, "{want:?}, not {:?}", *source.peers.borrow());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_come_and_go() {
    let server = Server::start().await;
    server.says(NAME, Some(Says::Addresses(vec![v4(2), v4(1)])));
    let mut source = start(format!("{NAME}:4244"), server.lookups());
    until(&mut source, &["10.0.0.1:4244", "10.0.0.2:4244"]).await;
    server.says(NAME, Some(Says::Addresses(vec![v4(2), v4(3)])));
    until(&mut source, &["10.0.0.2:4244", "10.0.0.3:4244"]).await;
    // No agent runs: the name is gone, and comes back.
    server.says(NAME, None);
    until(&mut source, &[]).await;
    server.says(NAME, Some(Says::Addresses(vec![v4(4)])));
    until(&mut source, &["10.0.0.4:4244"]).await;
    server.says(NAME, Some(Says::Addresses(Vec::new())));
    until(&mut source, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dns_fails_those_known_stay() {
    let server = Server::start().await;
    server.says(NAME, Some(Says::Nothing));
    // By its short name, which the search list makes whole.
    let mut source = start("agents:4244".to_owned(), server.lookups());
    server.asked_again(2).await;
    assert_eq!(*source.peers.borrow(), None, "not known is not none");
    server.says(NAME, Some(Says::Addresses(vec![v4(1)])));
    until(&mut source, &["10.0.0.1:4244"]).await;
    for trouble in [Says::Trouble, Says::Nothing] {
        server.says(NAME, Some(trouble.clone()));
        server.asked_again(6).await;
        assert!(source.peers.borrow().as_ref().is_some_and(|p| p.len() == 1), "{trouble:?}");
    }
    server.says(NAME, Some(Says::Addresses(vec![v4(1), v4(2)])));
    until(&mut source, &["10.0.0.1:4244", "10.0.0.2:4244"]).await;
    // Once it was found, nothing else is asked for; on a machine that stalls, an answer may come too late for that at first.
    let only_whole = async {
        while !server.asked.lock().unwrap().iter().rev().take(6).all(|name| name == NAME) {
            server.asked_again(1).await;
        }
    };
    tokio::time::timeout(LIMIT, only_whole).await.expect("it is asked for by its whole name alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_agent_once_whatever_its_addresses() {
    let server = Server::start().await;
    server.says(NAME, Some(Says::Addresses(vec![v6(1), v6(2)])));
    let mut source = start(format!("{NAME}:1"), server.lookups());
    until(&mut source, &["[fd00::1]:1", "[fd00::2]:1"]).await;
    server.says(NAME, Some(Says::Addresses(vec![v6(1), v6(2), v4(1), v4(2)])));
    until(&mut source, &["10.0.0.1:1", "10.0.0.2:1"]).await;
    let mut alone = start("[fd00::7]:4244".to_owned(), server.lookups());
    until(&mut alone, &["[fd00::7]:4244"]).await;
}

/// More than an answer by UDP holds, and more than musl's resolver keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_cluster_is_there_as_a_whole() {
    let server = Server::start().await;
    server.says(NAME, Some(Says::Addresses((0..200).map(v4).collect())));
    let mut source = start(format!("{NAME}:4244"), server.lookups());
    let whole = |peers: &Option<Peers>| peers.as_ref().is_some_and(|p| p.len() == 200);
    let came = tokio::time::timeout(LIMIT, source.peers.wait_for(whole)).await.is_ok_and(|w| w.is_ok());
    assert!(came, "{:?}", source.peers.borrow().as_ref().map(BTreeMap::len));
}
