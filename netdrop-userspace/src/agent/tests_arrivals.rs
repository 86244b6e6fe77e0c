//! Many who come and say nothing: who comes after them is let in.

use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::transport::{Endpoint, Uri};

use super::doors::Listen;
use super::tests::Agent;
use super::tests_raw::{SOON, channel};
use super::*;
use crate::proto::observer::ServerStatusRequest;
use crate::proto::observer::observer_client::ObserverClient;

/// Whoever says nothing may stay for longer than any of these tests.
fn patient() -> Limits {
    Limits { arriving: 4, arrival: SOON * 100, ..Limits::default() }
}

pub(super) async fn connect_from(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

async fn is_answered(from: [u8; 4], to: SocketAddr) {
    let connect =
        tower::service_fn(move |_: Uri| async move { connect_from(from, to).await.map(TokioIo::new) });
    let asked = async {
        let channel =
            Endpoint::from_static("http://localhost").connect_with_connector(connect).await.unwrap();
        ObserverClient::new(channel).server_status(ServerStatusRequest::default()).await.unwrap();
    };
    timeout(SOON * 6, asked).await.expect("whoever speaks is let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_machines_keep_nobody_out() {
    let listen = Listen { address: Some(([127, 0, 0, 1], 0).into()), disable_tls: true, ..Listen::default() };
    let agent = Agent::with(1 << 20, patient(), listen).await;
    let port = agent.port.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect_from([127, 0, 0, 2], port).await.unwrap());
    }
    // From elsewhere, and from the very machine that is silent.
    is_answered([127, 0, 0, 3], port).await;
    is_answered([127, 0, 0, 2], port).await;
    // What was cut is closed; those that came last are still waited for.
    for cut in &mut silent[..15] {
        let end = timeout(SOON, cut.read(&mut [0])).await.expect("it is closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let mut last = silent.pop().unwrap();
    assert!(last.try_read(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    // The other door has places of its own, and is held by nobody either.
    let silent = [(); 20].map(|()| UnixStream::connect(&agent.socket));
    let silent = futures::future::join_all(silent).await;
    let mut here = ObserverClient::new(channel(&agent).await);
    let asked = timeout(SOON, here.server_status(ServerStatusRequest::default())).await;
    asked.expect("whoever speaks is let in").unwrap();
    drop(silent);
    // A stop does not wait for them.
    drop(agent.stop);
    assert!(timeout(SOON, agent.ended).await.expect("it ends").unwrap().is_ok());
    assert!(matches!(timeout(SOON, last.read(&mut [0])).await, Ok(Ok(0) | Err(_))));
}

/// As many as a door has room for, from one machine, as after its server was started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_come_all_at_once_are_let_in() {
    let listen = Listen { address: Some(([127, 0, 0, 1], 0).into()), disable_tls: true, ..Listen::default() };
    let agent = Agent::with(1 << 20, Limits { arrival: SOON, ..Limits::default() }, listen).await;
    let port = agent.port.unwrap();
    let all = (0..150).map(|_| is_answered([127, 0, 0, 4], port));
    futures::future::join_all(all).await;
}
