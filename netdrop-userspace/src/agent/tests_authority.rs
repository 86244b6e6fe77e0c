//! Clients of the unix socket that call the server by its path, as those of gRPC's C core do.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::doors::Listen;
use super::tests::Agent;
use super::tests_raw::SOON;
use super::*;

const HEADERS: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A field of a name in the table and a text, which is not kept, unless `first` says so.
fn field(first: &[u8], text: &str) -> Vec<u8> {
    [first, &[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A call of a server whose name is given so.
fn call(stream: u8, authority: &[u8]) -> Vec<u8> {
    let fields = [
        // POST, http.
        &[0x83, 0x86][..],
        authority,
        &field(&[0x04], "/observer.Observer/ServerStatus"),
        &field(&[0x0f, 0x10], "application/grpc"),
        &field(&[0x00, 2, b't', b'e'], "trailers"),
    ];
    [frame(HEADERS, 4, stream, &fields.concat()), frame(0, 1, stream, &[0; 5])].concat()
}

/// The kinds of frames that come for a stream until it ends.
async fn answer(socket: &mut UnixStream, wanted: u8) -> Vec<u8> {
    let mut kinds = Vec::new();
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.unwrap();
        let [high, mid, low, kind, flags, .., stream] = head;
        let length = u32::from_be_bytes([0, high, mid, low]);
        socket.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
        if stream == wanted {
            kinds.push(kind);
            // RST_STREAM, or END_STREAM of data or headers.
            if kind == 3 || kind <= HEADERS && flags & 1 != 0 {
                return kinds;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_the_server_by_its_path_is_served() {
    let agent = Agent::with(1 << 20, Limits::default(), Listen::default()).await;
    let mut socket = UnixStream::connect(&agent.socket).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    socket.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // As it is, and then from the table.
    let path = field(&[0x41], "%2Frun%2Fnetdrop%2Fnetdrop.sock");
    for (stream, authority) in [(1, &path[..]), (3, &[0xbe])] {
        socket.write_all(&call(stream, authority)).await.unwrap();
        let kinds = timeout(SOON, answer(&mut socket, stream)).await.expect("an answer");
        assert_eq!(kinds, [HEADERS, 0, HEADERS], "headers, a message, how it ended");
    }
}
