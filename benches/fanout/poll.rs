//! The kernel's list of ready sockets.

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Sockets under numbers, and which of them are ready.
pub struct Poll {
    epoll: OwnedFd,
    ready: Vec<epoll::Event>,
}

/// What can be waited for.
pub const READABLE: epoll::EventFlags = epoll::EventFlags::IN;
pub const WRITABLE: epoll::EventFlags = epoll::EventFlags::OUT;

impl Poll {
    pub fn new() -> Poll {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("the kernel has epoll");
        Poll { epoll, ready: Vec::with_capacity(1024) }
    }

    pub fn add(&self, socket: impl AsFd, number: u64, flags: epoll::EventFlags) {
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(number), flags).expect("a new socket");
    }

    pub fn change(&self, socket: impl AsFd, number: u64, flags: epoll::EventFlags) {
        epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(number), flags).expect("a known socket");
    }

    pub fn remove(&self, socket: impl AsFd) {
        epoll::delete(&self.epoll, socket).expect("a known socket");
    }

    /// The numbers of those that are ready, at most so long later.
    pub fn wait(&mut self, longest: Duration) -> impl Iterator<Item = u64> + use<> {
        // The kernel counts in milliseconds here, and rounded down it would be asked over and over.
        let millis = longest.as_nanos().div_ceil(1_000_000) as i64;
        let timeout = Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 };
        self.ready.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        let numbers: Vec<u64> = self.ready.iter().map(|event| event.data.u64()).collect();
        numbers.into_iter()
    }
}
