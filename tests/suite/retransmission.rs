//! TCP without a route: dropped before the IP header is written, and again by each retransmission.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, process, thread};

use netdrop_tests::topology::Router;
use netdrop_tests::truth::Counters;

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4280;

/// Connections of pod a that lost their way.
struct Stranded {
    net: Router,
    connections: Vec<TcpStream>,
    _listener: TcpListener,
}

impl Stranded {
    fn new() -> Self {
        let net = Router::new().expect("a router");
        let to = SocketAddr::new(net.b.v4, PORT);
        let listener = net.b.netns.run(|| Ok(TcpListener::bind(to)?)).expect("a listener");
        let connect = || (0..COUNT).map(|_| Ok(TcpStream::connect(to)?)).collect();
        let connections = net.a.netns.run(connect).expect("connections");
        net.a.netns.ip("route del 0.0.0.0/0").expect("the default route goes");
        Self { net, connections, _listener: listener }
    }

    fn write(&mut self) {
        for connection in &mut self.connections {
            connection.write_all(b"no way").expect("the socket takes it");
        }
    }
}

fn is_ours(seen: &Seen) -> bool {
    seen.reason() == "IP_OUTNOROUTES"
}

/// There are no addresses to read in the packet: its socket has them.
#[test]
fn no_route_on_the_way_out() {
    let mut stranded = Stranded::new();
    let (netns, ends) = (&stranded.net.a.netns, (stranded.net.a.v4, stranded.net.b.v4));
    let before = Counters::read(netns).expect("counters");
    let inode = netns.inode();
    let mut watch = Watch::on(&[netns]);

    stranded.write();

    // What is not acknowledged is sent again, so there may be more.
    watch.wait_for(COUNT, is_ours);
    for flow in watch.seen().iter().filter(|seen| is_ours(seen)) {
        assert_eq!(flow.netns(), Some(inode), "{flow:?}");
        assert_eq!((flow.addresses(), flow.port()), (Some(ends), Some(PORT)), "{flow:?}");
    }
    let after = Counters::read(&stranded.net.a.netns).expect("counters");
    let grown = after.since(&before, "IpOutNoRoutes").expect("a counter");
    assert!(grown >= u64::from(COUNT), "the kernel counts {grown}");
}

/// A timer sends again, in whatever task it interrupts: that one is a bystander, also if it was running its own code and so
/// lends the timer its kernel stack (x86 switches stacks only for interrupts of kernel code).
#[test]
fn who_is_interrupted_by_a_retransmission_is_no_owner() {
    let mut stranded = Stranded::new();
    let mut watch = Watch::on(&[&stranded.net.a.netns]);
    let own = fs::read_link("/proc/thread-self").expect("this thread has an entry");
    let own: u32 = own.file_name().and_then(|tid| tid.to_str()?.parse().ok()).expect("a thread id");
    let busy = AtomicBool::new(true);

    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        stranded.write();
        // The others have to end also if this fails.
        let waited = panic::catch_unwind(AssertUnwindSafe(|| watch.wait_for(3 * COUNT, is_ours)));
        busy.store(false, Ordering::Relaxed);
        waited.unwrap_or_else(|why| panic::resume_unwind(why));
    });

    for flow in watch.seen().iter().filter(|seen| is_ours(seen)) {
        if flow.fact("process_owner").as_bool() == Some(true) {
            let task = (flow.fact("pid").as_f64(), flow.fact("tid").as_f64());
            assert_eq!(
                task,
                (Some(process::id().into()), Some(own.into())),
                "an owner that sent nothing: {flow:?}"
            );
        }
    }
}
