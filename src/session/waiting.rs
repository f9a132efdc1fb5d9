//! How much waits on a thread: in all outboxes together, and of messages under way.

use std::cell::Cell;

/// A sum over all connections of one thread, kept at every change of one of them, and its bound.
#[derive(Debug)]
pub struct Waiting {
    bytes: Cell<usize>,
    /// Bytes that may wait.
    share: usize,
    /// It was full, and not enough has gone since.
    crowded: Cell<bool>,
}

impl Waiting {
    /// Nothing waits yet.
    pub fn new(share: usize) -> Waiting {
        Waiting { bytes: Cell::new(0), share, crowded: Cell::new(false) }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// One connection had `before` bytes and has `after` now.
    pub(super) fn moved(&self, before: usize, after: usize) {
        if before != after {
            self.bytes.set(self.bytes.get() + after - before);
            if self.bytes.get() <= self.relieved() {
                self.crowded.set(false);
            } else if self.bytes.get() > self.share {
                self.crowded.set(true);
            }
        }
    }

    /// Whether one connection may have `after` bytes where it had `before`.
    pub(super) fn has_room(&self, before: usize, after: usize) -> bool {
        let room = self.bytes.get() + after <= self.share.saturating_add(before);
        if !room {
            self.crowded.set(true);
        }
        room
    }

    /// What is left when enough has gone after there was no room.
    pub fn relieved(&self) -> usize {
        self.share / 4 * 3
    }

    /// Whether there was no room for something, and not enough has gone since.
    pub fn is_crowded(&self) -> bool {
        self.crowded.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Link, Worker};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::io::Read;
    use std::task::Waker;

    const LINKS: usize = 3;
    /// Of a thread whose outboxes are full with less than one of them.
    const SHARE: usize = 100 << 10;

    #[derive(Debug, Clone)]
    enum Step {
        /// Chunks of a size.
        Deliver(usize, usize),
        Control(usize),
        Answer(usize),
        Flush,
        /// The client reads up to so many bytes.
        Read(usize),
        Close(bool),
        /// The connection ends, another one comes.
        End,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0usize..5, 1usize..40_000).prop_map(|(count, size)| Step::Deliver(count, size)),
            2 => (1usize..200).prop_map(Step::Control),
            2 => (1usize..9_000).prop_map(Step::Answer),
            2 => Just(Step::Flush),
            3 => (1usize..200_000).prop_map(Step::Read),
            1 => any::<bool>().prop_map(Step::Close),
            1 => Just(Step::End),
        ]
    }

    fn connect(worker: &Worker) -> (Link, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        client.set_nonblocking(true).unwrap();
        socket2::SockRef::from(&server).set_send_buffer_size(4 << 10).unwrap();
        let socket = tokio::net::TcpStream::from_std(server).unwrap();
        let link = Link::new(socket, Bytes::from_static(b"the answer to the handshake"), peer.ip(), 0);
        link.begin_count(worker);
        link.set_waker(Waker::noop());
        (link, client)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whatever happens to outboxes, their sum is known; and what is queued has room, but for
        /// the chunk of each that a socket took in part and what is never refused.
        #[test]
        fn the_sum_is_exact(steps in proptest::collection::vec((0..LINKS, step()), 1..120)) {
            actix::System::new().block_on(async move {
                let mut worker = Worker::for_tests();
                worker.waiting = Waiting::new(SHARE);
                let mut links: Vec<_> = (0..LINKS).map(|_| connect(&worker)).collect();
                let mut never_refused = 0;
                for (which, step) in steps {
                    let (link, client) = &mut links[which];
                    match step {
                        Step::Deliver(count, size) => {
                            link.deliver(&vec![Bytes::from(vec![b'd'; size]); count], &worker);
                        }
                        Step::Control(size) => {
                            never_refused += size;
                            link.push_control(Bytes::from(vec![b'c'; size]), &worker);
                        }
                        Step::Answer(size) => {
                            never_refused += size;
                            link.push_answer(Bytes::from(vec![b'a'; size]), &worker);
                        }
                        Step::Flush => {
                            link.flush(&worker);
                        }
                        Step::Read(size) => {
                            let _ = client.read(&mut vec![0; size]);
                            // The runtime learns that the socket takes more.
                            tokio::time::sleep(std::time::Duration::from_micros(100)).await;
                        }
                        Step::Close(after_data) => link.close(Bytes::from_static(b"close"), after_data, &worker),
                        Step::End => {
                            link.end_count(&worker);
                            links[which] = connect(&worker);
                        }
                    }
                    let sum: usize = links.iter().map(|(link, _)| link.waiting()).sum();
                    prop_assert_eq!(worker.waiting.bytes(), sum);
                    prop_assert!(sum <= SHARE + never_refused + LINKS * 40_100, "{} of {}", sum, SHARE);
                }
                for (link, _) in &links {
                    link.end_count(&worker);
                }
                prop_assert_eq!(worker.waiting.bytes(), 0);
                Ok(())
            })?;
        }
    }

    #[test]
    fn crowded_from_the_first_refusal_until_a_quarter_is_free() {
        let waiting = Waiting::new(1000);
        waiting.moved(0, 900);
        assert!(!waiting.is_crowded() && waiting.has_room(900, 1000));
        assert!(!waiting.has_room(0, 101));
        assert!(waiting.is_crowded());
        waiting.moved(900, 751);
        assert!(waiting.is_crowded(), "not enough has gone");
        waiting.moved(751, 750);
        assert!(!waiting.is_crowded());
        waiting.moved(750, 1000);
        assert!(!waiting.is_crowded(), "full, and nothing was refused");
        waiting.moved(1000, 1001);
        assert!(waiting.is_crowded(), "what is never refused went past it");
    }
}
