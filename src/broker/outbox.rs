//! A session's mailbox for what goes to its socket: bounded in bytes, three ways in, one way out.
//!
//! Control frames overtake data, between chunks. A chunk that was sent in part is kept apart, goes
//! first and is never cut. Ledger data is refused above the cap: the session then lags and is fed
//! from history, so a refusal loses nothing.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes that one write to a socket takes at most: no session holds its thread for longer.
pub const MAX_WRITE: usize = 1 << 20;
/// Chunks that one write takes at most: the kernel's own limit on a vectored write.
pub const MAX_CHUNKS: usize = 1024;
/// A queue that grew beyond this many chunks gives its memory back when it is empty.
const KEPT_CHUNKS: usize = 8;

/// The bound of an outbox, the same for all sessions of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of ledger data that may wait.
    pub cap: usize,
    /// Below this many waiting bytes one more chunk is taken whatever its size, and a lagging
    /// session is fed again.
    pub low_water: usize,
}

impl Bound {
    /// A bound with its low-water mark at a quarter.
    pub fn of(cap: usize) -> Bound {
        Bound { cap, low_water: cap / 4 }
    }
}

/// What waits for one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The rest of a chunk that was sent in part.
    half_sent: Bytes,
    control: VecDeque<Bytes>,
    data: VecDeque<Bytes>,
    control_bytes: usize,
    data_bytes: usize,
    /// Answers to the client put into the data lane since it was last empty.
    answer_bytes: usize,
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// Bytes that wait, of all lanes.
    pub fn waiting(&self) -> usize {
        self.half_sent.len() + self.control_bytes + self.data_bytes
    }

    /// Bytes that the client's own messages caused: above a bound it is not read from any more.
    pub fn caused_by_client(&self) -> usize {
        self.control_bytes + self.answer_bytes
    }

    /// Whether a lagging session can be fed again.
    pub fn is_low(&self, bound: Bound) -> bool {
        self.half_sent.len() + self.data_bytes < bound.low_water.max(1)
    }

    /// A frame that overtakes waiting data.
    pub fn push_control(&mut self, frame: Bytes) {
        self.control_bytes += frame.len();
        self.control.push_back(frame);
    }

    /// An answer in its turn among the data. Never refused: the session bounds how many wait.
    pub fn push_answer(&mut self, frame: Bytes) {
        self.answer_bytes += frame.len();
        self.data_bytes += frame.len();
        self.data.push_back(frame);
    }

    /// A chunk of ledger data: whole frames. Gives it back when there is no room.
    pub fn push_data(&mut self, chunk: Bytes, bound: Bound) -> Result<(), Bytes> {
        let waiting = self.half_sent.len() + self.data_bytes;
        if waiting >= bound.low_water.max(1) && waiting + chunk.len() > bound.cap {
            return Err(chunk);
        }
        self.data_bytes += chunk.len();
        self.data.push_back(chunk);
        Ok(())
    }

    /// Keeps the unsent rest of a chunk of which the first bytes have left. Only when nothing
    /// else waits.
    pub fn keep_half_sent(&mut self, rest: Bytes) {
        debug_assert!(self.half_sent.is_empty(), "two chunks cannot be half sent");
        self.half_sent = rest;
    }

    /// Forgets waiting data, for a session that is closed: only the chunk that has begun and the
    /// control frames still go out.
    pub fn discard_data(&mut self) {
        self.data = VecDeque::new();
        self.data_bytes = 0;
        self.answer_bytes = 0;
    }

    /// Lists what goes out next, in order, and gives the number of entries filled.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let half_sent = (!self.half_sent.is_empty()).then_some(&self.half_sent);
        let waiting = half_sent.into_iter().chain(&self.control).chain(&self.data);
        let mut room = MAX_WRITE;
        let mut filled = 0;
        for (slot, chunk) in slices.iter_mut().zip(waiting) {
            if chunk.len() > room && filled > 0 {
                break;
            }
            room = room.saturating_sub(chunk.len());
            *slot = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// How many chunks wait.
    pub fn chunks(&self) -> usize {
        usize::from(!self.half_sent.is_empty()) + self.control.len() + self.data.len()
    }

    /// Takes out `sent` bytes from the front, as `gather` listed them.
    pub fn advance(&mut self, mut sent: usize) {
        if !self.half_sent.is_empty() {
            let from_it = sent.min(self.half_sent.len());
            self.half_sent.advance(from_it);
            sent -= from_it;
        }
        while sent > 0 {
            let from_control = !self.control.is_empty();
            let (queue, bytes) = if from_control {
                (&mut self.control, &mut self.control_bytes)
            } else {
                (&mut self.data, &mut self.data_bytes)
            };
            let Some(mut chunk) = queue.pop_front() else {
                debug_assert!(false, "more bytes sent than waited");
                break;
            };
            *bytes -= chunk.len();
            if chunk.len() > sent {
                chunk.advance(sent);
                self.half_sent = chunk;
                break;
            }
            sent -= chunk.len();
        }
        if self.half_sent.is_empty() {
            // An empty slice still holds its chunk's memory.
            self.half_sent = Bytes::new();
        }
        // What is gone cannot be answers any more; which of the rest is, nobody notes.
        self.answer_bytes = self.answer_bytes.min(self.data_bytes);
        if self.data.is_empty() {
            give_back(&mut self.data);
        }
        if self.control.is_empty() {
            give_back(&mut self.control);
        }
    }
}

fn give_back(queue: &mut VecDeque<Bytes>) {
    if queue.capacity() > KEPT_CHUNKS {
        *queue = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: Bound = Bound { cap: 1000, low_water: 250 };

    #[derive(Debug, Clone)]
    enum Step {
        Data(usize),
        Control(usize),
        Answer(usize),
        /// The socket takes this many bytes.
        Send(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1usize..400).prop_map(Step::Data),
            (1usize..20).prop_map(Step::Control),
            (1usize..50).prop_map(Step::Answer),
            (0usize..900).prop_map(Step::Send),
        ]
    }

    /// A chunk that carries its lane and number, repeated to its length.
    fn chunk(lane: u8, number: u32, length: usize) -> Bytes {
        let mark = [lane, (number >> 8) as u8, number as u8];
        mark.iter().copied().cycle().take(length.max(3)).collect::<Vec<u8>>().into()
    }

    fn send(outbox: &mut Outbox, room: usize, wire: &mut Vec<u8>) {
        let mut sent = Vec::new();
        {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = outbox.gather(&mut slices);
            for slice in &slices[..filled] {
                let take = slice.len().min(room - sent.len());
                sent.extend_from_slice(&slice[..take]);
            }
        }
        outbox.advance(sent.len());
        wire.extend(sent);
    }

    proptest! {
        /// Under any blocking: nothing accepted is lost, cut, doubled or out of order in its
        /// lane, counts are exact, and the bound holds.
        #[test]
        fn counts_are_exact_under_random_blocking(steps in proptest::collection::vec(step(), 1..200)) {
            let mut outbox = Outbox::default();
            let mut wire = Vec::new();
            let mut expected_data = Vec::new();
            let mut expected_control = Vec::new();
            let mut accepted = 0;
            for (number, step) in steps.into_iter().enumerate() {
                let number = number as u32;
                match step {
                    Step::Data(length) => {
                        let frame = chunk(b'd', number, length);
                        let before = outbox.half_sent.len() + outbox.data_bytes;
                        match outbox.push_data(frame.clone(), BOUND) {
                            Ok(()) => { accepted += frame.len(); expected_data.push(frame) }
                            Err(back) => {
                                prop_assert_eq!(&back, &frame);
                                prop_assert!(before >= BOUND.low_water && before + frame.len() > BOUND.cap);
                            }
                        }
                    }
                    Step::Control(length) => {
                        let frame = chunk(b'c', number, length);
                        accepted += frame.len();
                        outbox.push_control(frame.clone());
                        expected_control.push(frame);
                    }
                    Step::Answer(length) => {
                        let frame = chunk(b'a', number, length);
                        accepted += frame.len();
                        outbox.push_answer(frame.clone());
                        expected_data.push(frame);
                    }
                    Step::Send(room) => send(&mut outbox, room, &mut wire),
                }
                prop_assert_eq!(outbox.waiting() + wire.len(), accepted);
                let ledger_data = (outbox.half_sent.len() + outbox.data_bytes).saturating_sub(outbox.answer_bytes + 400);
                prop_assert!(ledger_data <= BOUND.cap);
            }
            while !outbox.is_empty() {
                send(&mut outbox, usize::MAX, &mut wire);
            }
            prop_assert_eq!(outbox.caused_by_client(), 0);
            // The wire is whole chunks, each lane in its order.
            let (mut data, mut control) = (expected_data.iter(), expected_control.iter());
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let expected = if rest[0] == b'c' { control.next() } else { data.next() };
                let expected = expected.expect("no more was accepted");
                prop_assert!(rest.starts_with(expected));
                rest = &rest[expected.len()..];
            }
            prop_assert!(data.next().is_none() && control.next().is_none());
        }
    }

    #[test]
    fn control_overtakes_data_but_cuts_no_chunk() {
        let mut outbox = Outbox::default();
        let mut wire = Vec::new();
        outbox.push_data(Bytes::from_static(b"dddd"), BOUND).unwrap();
        outbox.push_data(Bytes::from_static(b"eeee"), BOUND).unwrap();
        send(&mut outbox, 2, &mut wire);
        outbox.push_control(Bytes::from_static(b"pp"));
        send(&mut outbox, usize::MAX, &mut wire);
        assert_eq!(wire, b"ddddppeeee");
    }

    #[test]
    fn below_low_water_one_chunk_of_any_size_is_taken() {
        let mut outbox = Outbox::default();
        assert!(outbox.push_data(chunk(b'd', 0, 5000), BOUND).is_ok());
        assert!(outbox.push_data(chunk(b'd', 1, 3), BOUND).is_err());
        assert!(!outbox.is_low(BOUND));
    }

    #[test]
    fn closing_keeps_what_has_begun() {
        let mut outbox = Outbox::default();
        let mut wire = Vec::new();
        outbox.push_data(Bytes::from_static(b"dddd"), BOUND).unwrap();
        outbox.push_data(Bytes::from_static(b"eeee"), BOUND).unwrap();
        send(&mut outbox, 1, &mut wire);
        outbox.discard_data();
        outbox.push_control(Bytes::from_static(b"close"));
        send(&mut outbox, usize::MAX, &mut wire);
        assert_eq!(wire, b"ddddclose");
    }
}
