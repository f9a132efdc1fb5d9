//! Who may connect: connections are counted here, over all listeners and threads, and refused
//! before the upgrade. Those that have not asked for anything yet are counted apart, so that nobody
//! can hold many of them.

use super::handshake::Refusal;
use dashmap::DashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The counts and their limits.
#[derive(Debug)]
pub struct Admission {
    open: AtomicUsize,
    by_address: DashMap<IpAddr, u32>,
    /// Connections that are no WebSockets, and those of each address.
    arrived: AtomicUsize,
    arrived_by_address: DashMap<IpAddr, u32>,
    draining: AtomicBool,
    limit: usize,
    limit_per_address: u32,
    exempt_loopback: bool,
}

/// A connection's place among the counted; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

/// The place of a connection that is no WebSocket yet; given back when it is dropped.
#[derive(Debug)]
pub struct Arrival {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// `limits.connections`, `limits.connections_per_address`, `limits.exempt_loopback`.
    pub fn new(limit: usize, limit_per_address: u32, exempt_loopback: bool) -> Arc<Admission> {
        Arc::new(Admission {
            open: AtomicUsize::new(0),
            by_address: DashMap::new(),
            arrived: AtomicUsize::new(0),
            arrived_by_address: DashMap::new(),
            draining: AtomicBool::new(false),
            limit,
            limit_per_address,
            exempt_loopback,
        })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// From now on nobody is admitted.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Admission::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Connections that are no WebSockets: still shaking hands, or fetching something.
    pub fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Acquire)
    }

    /// A connection was accepted from this address. `is_proxy`: for everybody behind it, so it is not counted
    /// by its address.
    pub fn arrive(self: &Arc<Self>, peer: IpAddr, is_proxy: bool) -> Result<Arrival, Refusal> {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut arrival = Arrival { admission: self.clone(), address: None };
        if !is_proxy && let Some(address) = self.counted(peer) {
            if !take(&self.arrived_by_address, address, self.limit_per_address) {
                return Err(Refusal::HandshakesPerAddress);
            }
            arrival.address = Some(address);
        }
        Ok(arrival)
    }

    /// What a peer's connections are counted under; `None`: they are free.
    fn counted(&self, peer: IpAddr) -> Option<IpAddr> {
        let address = network(peer);
        (!(self.exempt_loopback && address.is_loopback())).then_some(address)
    }

    /// A place for a client at this address.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let taken = self.open.fetch_add(1, Ordering::AcqRel);
        // From here on the place gives the count back, also when it is refused.
        let mut place = Place { admission: self.clone(), address: None };
        if taken >= self.limit {
            return Err(Refusal::Connections);
        }
        if let Some(address) = self.counted(peer) {
            if !take(&self.by_address, address, self.limit_per_address) {
                return Err(Refusal::ConnectionsPerAddress);
            }
            place.address = Some(address);
        }
        Ok(place)
    }
}

/// Counts one more, if there may be one.
fn take(counts: &DashMap<IpAddr, u32>, address: IpAddr, limit: u32) -> bool {
    let mut count = counts.entry(address).or_insert(0);
    let free = *count < limit;
    *count += u32::from(free);
    free
}

fn give_back(counts: &DashMap<IpAddr, u32>, address: IpAddr) {
    counts.remove_if_mut(&address, |_, count| {
        *count -= 1;
        *count == 0
    });
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(address) = self.address {
            give_back(&self.admission.by_address, address);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.admission.arrived.fetch_sub(1, Ordering::AcqRel);
        if let Some(address) = self.address {
            give_back(&self.admission.arrived_by_address, address);
        }
    }
}

/// What counts as one address: an IPv6 client has a whole /64 to choose from.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = Admission::new(3, 2, true);
        let first = admission.admit(address("192.0.2.1")).unwrap();
        let _second = admission.admit(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(admission.admit(address("192.0.2.1")).unwrap_err(), Refusal::ConnectionsPerAddress);
        let _third = admission.admit(address("192.0.2.2")).unwrap();
        assert_eq!(admission.open(), 3);
        assert_eq!(admission.admit(address("192.0.2.3")).unwrap_err(), Refusal::Connections);
        drop(first);
        assert!(admission.admit(address("192.0.2.1")).is_ok());
        drop(_second);
        drop(_third);
        assert_eq!(admission.open(), 0);
        assert!(admission.by_address.is_empty());
    }

    #[test]
    fn those_that_ask_for_nothing_are_counted_apart() {
        let admission = Admission::new(9, 2, true);
        let client = address("192.0.2.1");
        let first = admission.arrive(client, false).unwrap();
        let _second = admission.arrive(client, false).unwrap();
        assert_eq!(admission.arrive(client, false).unwrap_err(), Refusal::HandshakesPerAddress);
        assert!(admission.arrive(client, true).is_ok(), "a proxy is not counted by its address");
        assert!(admission.arrive(address("127.0.0.1"), false).is_ok());
        assert_eq!(admission.arrived(), 2);
        assert!(admission.admit(client).is_ok(), "they take nothing from those that are open");
        drop(first);
        assert!(admission.arrive(client, false).is_ok());
        drop(_second);
        assert_eq!((admission.arrived(), admission.arrived_by_address.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let admission = Admission::new(9, 1, true);
        let _one = admission.admit(address("2001:db8:1:2::1")).unwrap();
        assert!(admission.admit(address("2001:db8:1:2:ffff::9")).is_err());
        assert!(admission.admit(address("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn loopback_may_be_exempt_but_nobody_is_while_draining() {
        let admission = Admission::new(9, 1, true);
        let places: Vec<_> = (0..5).map(|_| admission.admit(address("127.0.0.1")).unwrap()).collect();
        assert_eq!(places.len(), 5);
        let strict = Admission::new(9, 1, false);
        let _one = strict.admit(address("::1")).unwrap();
        assert!(strict.admit(address("::1")).is_err());
        admission.drain();
        assert_eq!(admission.admit(address("127.0.0.1")).unwrap_err(), Refusal::Draining);
    }
}
