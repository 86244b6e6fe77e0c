//! Who has come to a door and has yet to show that it may talk to the server: few at once, and whoever is silent keeps nobody out.
//!
//! When the house is full, somebody new is let in all the same, and in its place one is cut: of those where most come from, the one that
//! is there the longest. So a machine that opens connections and says nothing takes places from itself alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::oneshot;

/// Of an IPv6 address, the bits that a network gives out: the rest is its owner's to choose (RFC 4291, 2.5.4).
const NETWORK: u128 = u128::MAX << 64;

/// Where a connection comes from: what shares an origin shares its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Origin {
    /// A process of this machine.
    Process {
        /// Whose it is.
        uid: Option<u32>,
        /// `None`: of another PID namespace, which does not show.
        pid: Option<i32>,
    },
    /// A machine.
    V4(Ipv4Addr),
    /// A network of IPv6: a machine may have any address in it.
    V6(Ipv6Addr),
}

/// What has a share together: a user of this machine may have any number of processes, and a machine is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Of this machine.
    User(Option<u32>),
    /// Another one.
    Machine(Origin),
}

impl Origin {
    pub(super) fn of_socket(stream: &UnixStream) -> Self {
        let peer = stream.peer_cred().ok();
        let pid = peer.and_then(|peer| peer.pid()).filter(|pid| *pid > 0);
        Self::Process { uid: peer.map(|peer| peer.uid()), pid }
    }

    pub(super) fn group(self) -> Group {
        match self {
            Self::Process { uid, .. } => Group::User(uid),
            machine => Group::Machine(machine),
        }
    }

    pub(super) fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid: Some(pid), .. } => write!(f, "process {pid}"),
            Self::Process { pid: None, uid: Some(uid) } => write!(f, "a process of user {uid}"),
            Self::Process { .. } => f.write_str("a process of this machine"),
            Self::V4(address) => address.fmt(f),
            Self::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// All that are arriving at a door.
#[derive(Debug)]
pub(super) struct Arrivals {
    most: usize,
    there: Mutex<There>,
}

#[derive(Debug, Default)]
struct There {
    /// Number of the next.
    next: u64,
    /// By number, which is the order they came in. What is dropped is cut.
    all: BTreeMap<u64, (Origin, oneshot::Sender<()>)>,
}

/// One of them, for as long as it has not shown what it is.
#[derive(Debug)]
pub(super) struct Arrival {
    number: u64,
    cut: oneshot::Receiver<()>,
    arrivals: Arc<Arrivals>,
}

impl Arrivals {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), there: Mutex::default() })
    }

    /// Lets one in. Of the one that is cut for it, where that came from.
    pub(super) fn admit(self: &Arc<Self>, origin: Origin) -> (Arrival, Option<Origin>) {
        let (stays, cut) = oneshot::channel();
        let mut there = self.lock();
        let number = there.next;
        there.next += 1;
        there.all.insert(number, (origin, stays));
        let gone = if there.all.len() > self.most { there.cut_one() } else { None };
        drop(there);
        (Arrival { number, cut, arrivals: Arc::clone(self) }, gone)
    }

    /// A panic elsewhere leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, There> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl There {
    /// Where as many come from here as from there, it is whoever is there the longest.
    fn cut_one(&mut self) -> Option<Origin> {
        let mut crowds: HashMap<Origin, usize> = HashMap::new();
        for (origin, _) in self.all.values() {
            *crowds.entry(*origin).or_default() += 1;
        }
        let most = crowds.values().max()?;
        let oldest = self.all.iter().find(|(_, (origin, _))| crowds.get(origin) == Some(most));
        let number = *oldest?.0;
        self.all.remove(&number).map(|(origin, _)| origin)
    }
}

impl Arrival {
    /// Comes true when somebody else takes its place.
    pub(super) async fn is_cut(&mut self) {
        // Nothing is ever sent: the sender's end is what there is to hear.
        let _ = (&mut self.cut).await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.arrivals.lock().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn machine(n: u8) -> Origin {
        Origin::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    /// Whether each of them was cut.
    fn cut(arrivals: &mut [Arrival]) -> Vec<bool> {
        let is_cut = |a: &mut Arrival| a.cut.try_recv() == Err(oneshot::error::TryRecvError::Closed);
        arrivals.iter_mut().map(is_cut).collect()
    }

    #[test]
    fn a_crowd_takes_places_from_itself_alone() {
        let arrivals = Arrivals::new(4);
        let mut there = vec![arrivals.admit(machine(9)).0];
        for n in 0..10 {
            let (arrival, gone) = arrivals.admit(machine(1));
            assert_eq!(gone, (n >= 3).then_some(machine(1)), "arrival {n}");
            there.push(arrival);
        }
        assert_eq!(arrivals.lock().all.len(), 4);
        let (honest, gone) = arrivals.admit(machine(2));
        assert_eq!(gone, Some(machine(1)));
        there.push(honest);
        let was_cut = cut(&mut there);
        // The first, the newest two of the crowd, and who came last.
        let stay: Vec<_> = was_cut.iter().enumerate().filter(|(_, cut)| !**cut).map(|(n, _)| n).collect();
        assert_eq!(stay, [0, 9, 10, 11]);
        drop(there);
        assert!(arrivals.lock().all.is_empty(), "who has gone takes no place");
    }

    #[test]
    fn among_equals_the_oldest_makes_room() {
        let arrivals = Arrivals::new(2);
        let mut there: Vec<_> = (1..=4).map(|n| arrivals.admit(machine(n)).0).collect();
        assert_eq!(cut(&mut there), [true, true, false, false]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_origin() {
        let of = |text: &str| Origin::of_address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3:4:5"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.7"), machine(7));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }
}
