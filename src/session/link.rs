//! What the connection task, the session actor and the Router of one socket share.
//!
//! All three live on one thread, so this is plain cells. The Router writes at once when the socket
//! takes it, under the connection task's waker; what does not fit waits in the outbox and the
//! connection task goes on when the socket allows. What always holds: while bytes wait, either the
//! last write said "not now", so the connection task will be woken, or that task is about to run.

use super::scanner::{Fault, Item};
use super::socket::Socket;
use super::transport::Trouble;
use super::worker::Worker;
use crate::broker::{MAX_CHUNKS, Outbox};
use crate::server::access::TokenId;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::io::ReadBuf;

/// Chunks that most writes have at most; more take the longer way.
const FEW_CHUNKS: usize = 16;

/// How far a connection's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In use.
    Open,
    /// A close frame is queued; since this second of the worker's clock.
    Closing(u32),
    /// The socket is of no more use.
    Over,
}

/// A message that has begun and not ended.
#[derive(Debug, Clone, Copy)]
pub struct UnderWay {
    /// Bytes kept of it.
    pub held: usize,
    /// Since this second of the worker's clock.
    pub since: u32,
}

/// The shared part of one connection.
pub struct Link {
    socket: RefCell<Socket>,
    outbox: RefCell<Outbox>,
    /// The connection task's, from its first turn on.
    waker: RefCell<Option<Waker>>,
    /// What was read and not handled yet; bounded by one read of the socket.
    pub(super) inbound: RefCell<VecDeque<Result<Item, Fault>>>,
    /// Bytes of the client's messages whose changes of subscription have not taken effect yet.
    pub(super) unapplied: Cell<usize>,
    message: Cell<Option<UnderWay>>,
    /// No more will be read.
    pub(super) inbound_ended: Cell<bool>,
    pub(super) trouble: Cell<Option<Trouble>>,
    phase: Cell<Phase>,
    /// Seconds of the worker's clock: last sign of life, last ping, last progress in writing.
    heard: Cell<u32>,
    pinged: Cell<u32>,
    progressed: Cell<u32>,
    /// When the handshake was done.
    pub opened: Instant,
    /// Who the client is, for logs.
    pub peer: IpAddr,
    /// The access token that let the client in.
    pub token: Option<Box<TokenId>>,
}

impl Link {
    /// A link over a socket on which the handshake is done; `first` is what the handshake left to
    /// be written.
    pub fn new(socket: impl Into<Socket>, first: Bytes, peer: IpAddr, now: u32) -> Link {
        let mut outbox = Outbox::default();
        outbox.push_control(first);
        Link {
            socket: RefCell::new(socket.into()),
            outbox: RefCell::new(outbox),
            waker: RefCell::new(None),
            inbound: RefCell::default(),
            unapplied: Cell::new(0),
            message: Cell::new(None),
            inbound_ended: Cell::new(false),
            trouble: Cell::new(None),
            phase: Cell::new(Phase::Open),
            heard: Cell::new(now),
            pinged: Cell::new(now),
            progressed: Cell::new(now),
            opened: Instant::now(),
            peer,
            token: None,
        }
    }

    /// How far the connection's life has come.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Seconds since the client gave a sign of life.
    pub fn silent_for(&self, now: u32) -> u32 {
        now.saturating_sub(self.heard.get())
    }

    /// Seconds since the last ping. Whatever the client says: it may take missing pings for our end.
    pub fn unpinged_for(&self, now: u32) -> u32 {
        now.saturating_sub(self.pinged.get())
    }

    /// Seconds for which bytes have waited and none has left.
    pub fn stalled_for(&self, now: u32) -> u32 {
        if self.waiting() == 0 { 0 } else { now.saturating_sub(self.progressed.get()) }
    }

    /// Bytes that wait for the socket.
    pub fn waiting(&self) -> usize {
        self.sum(&self.outbox.borrow())
    }

    /// In the outbox and in what a TLS socket has taken.
    fn sum(&self, outbox: &Outbox) -> usize {
        outbox.waiting() + self.socket.borrow().unsent()
    }

    /// Counts what waits since before there was a worker to count for.
    pub(super) fn begin_count(&self, worker: &Worker) {
        worker.waiting.moved(0, self.waiting());
    }

    /// The connection is over: nothing waits any more.
    pub(super) fn end_count(&self, worker: &Worker) {
        worker.waiting.moved(self.waiting(), 0);
        self.outbox.take();
    }

    /// Whatever changes what waits goes through here: so the thread's sum stays exact.
    fn with_outbox<R>(&self, worker: &Worker, change: impl FnOnce(&mut Outbox) -> R) -> R {
        let mut outbox = self.outbox.borrow_mut();
        let before = self.sum(&outbox);
        let result = change(&mut outbox);
        worker.waiting.moved(before, self.sum(&outbox));
        result
    }

    /// Whether a lagging session can be fed. While the thread's outboxes are crowded, only straight to
    /// the socket, so that what others free is not taken at once.
    pub fn can_take(&self, worker: &Worker) -> bool {
        let outbox = self.outbox.borrow();
        let room = outbox.is_empty() || !worker.waiting.is_crowded();
        self.phase.get() == Phase::Open && room && outbox.is_low(worker.shared.limits.outbox)
    }

    /// Sends ledger data: writes at once what the socket takes, keeps what the outbox and all of
    /// the thread's together have room for, and tells how many chunks of the row were taken. The
    /// rest is the session's to read from history later.
    pub fn deliver(&self, chunks: &[Bytes], worker: &Worker) -> usize {
        if self.phase.get() != Phase::Open {
            return chunks.len();
        }
        self.with_outbox(worker, |outbox| {
            let before = self.sum(outbox);
            let mut taken = 0;
            if before == 0 {
                self.progressed.set(worker.clock.get());
            }
            if outbox.is_empty() {
                taken = self.write_directly(chunks, outbox, worker);
            }
            for chunk in &chunks[taken..] {
                if !worker.waiting.has_room(before, self.sum(outbox) + chunk.len())
                    || outbox.push_data(chunk.clone(), worker.shared.limits.outbox).is_err()
                {
                    break;
                }
                taken += 1;
            }
            taken
        })
    }

    /// The fast way: nothing waits, so the chunks go to the socket without entering the outbox.
    fn write_directly(&self, chunks: &[Bytes], outbox: &mut Outbox, worker: &Worker) -> usize {
        let mut taken = 0;
        while taken < chunks.len() {
            if chunks[taken].is_empty() {
                // A write of nothing would look like the end of the socket.
                taken += 1;
                continue;
            }
            let row = &chunks[taken..];
            let written = if let [single] = row {
                self.write(&[IoSlice::new(single)], worker)
            } else {
                gathered(row.len(), |slices| {
                    for (slice, chunk) in slices.iter_mut().zip(row) {
                        *slice = IoSlice::new(chunk);
                    }
                    self.write(&slices[..row.len().min(slices.len())], worker)
                })
            };
            let Some(mut written) = written else { break };
            while taken < chunks.len() && written >= chunks[taken].len() {
                written -= chunks[taken].len();
                taken += 1;
            }
            if written > 0 {
                outbox.keep_half_sent(chunks[taken].slice(written..));
                taken += 1;
                // Mostly the socket is full now, and this arms the waker. If it took the rest after all,
                // nobody is armed: what follows must be written as well, or it would wait for ever.
                if !self.drain(outbox, worker) {
                    break;
                }
            }
        }
        taken
    }

    /// A frame that overtakes waiting data.
    pub fn push_control(&self, frame: Bytes, worker: &Worker) {
        self.push(frame, worker, Outbox::push_control);
    }

    /// An answer in its turn among the data.
    pub fn push_answer(&self, frame: Bytes, worker: &Worker) {
        self.push(frame, worker, Outbox::push_answer);
    }

    fn push(&self, frame: Bytes, worker: &Worker, into: fn(&mut Outbox, Bytes)) {
        if self.phase.get() != Phase::Open {
            return;
        }
        self.with_outbox(worker, |outbox| {
            if self.sum(outbox) == 0 {
                self.progressed.set(worker.clock.get());
            }
            into(outbox, frame);
        });
    }

    /// Sends a ping and notes when.
    pub fn ping(&self, frame: Bytes, worker: &Worker) {
        self.pinged.set(worker.clock.get());
        self.push_control(frame, worker);
        self.flush(worker);
    }

    /// Queues the last frame. With `after_data` what waits goes first, else it is forgotten. An
    /// empty frame: nothing more is said.
    pub fn close(&self, frame: Bytes, after_data: bool, worker: &Worker) {
        if self.phase.get() != Phase::Open {
            return;
        }
        if frame.is_empty() {
            self.phase.set(Phase::Closing(worker.clock.get()));
            return;
        }
        if after_data {
            self.push_answer(frame, worker);
        } else {
            self.with_outbox(worker, Outbox::discard_data);
            self.push_control(frame, worker);
        }
        self.phase.set(Phase::Closing(worker.clock.get()));
    }

    /// The socket is of no more use: the connection task ends at its next turn.
    pub fn give_up(&self) {
        self.phase.set(Phase::Over);
        self.wake();
    }

    /// Writes what waits until the socket takes no more. True when nothing waits any more.
    pub fn flush(&self, worker: &Worker) -> bool {
        self.with_outbox(worker, |outbox| self.drain(outbox, worker))
    }

    fn drain(&self, outbox: &mut Outbox, worker: &Worker) -> bool {
        while !outbox.is_empty() {
            let written = gathered(outbox.chunks(), |slices| {
                let filled = outbox.gather(slices);
                self.write(&slices[..filled], worker)
            });
            match written {
                Some(written) => outbox.advance(written),
                None => return false,
            }
        }
        self.flush_socket(worker)
    }

    /// Sends what the socket has taken and not sent: TLS keeps some. True when it has all left.
    fn flush_socket(&self, worker: &Worker) -> bool {
        let mut socket = self.socket.borrow_mut();
        if socket.unsent() == 0 {
            return true;
        }
        let waker = self.waker.borrow();
        let Some(waker) = waker.as_ref() else { return false };
        match socket.poll_flush(&mut Context::from_waker(waker)) {
            Poll::Ready(Ok(())) => {
                self.progressed.set(worker.clock.get());
                true
            }
            Poll::Ready(Err(_)) => {
                self.phase.set(Phase::Over);
                waker.wake_by_ref();
                false
            }
            Poll::Pending => false,
        }
    }

    /// One write to the socket. `None`: it takes nothing now (the connection task will be woken),
    /// or never again.
    fn write(&self, slices: &[IoSlice<'_>], worker: &Worker) -> Option<usize> {
        let waker = self.waker.borrow();
        // Before the connection task's first turn there is nobody to wake.
        let mut context = Context::from_waker(waker.as_ref()?);
        let mut socket = self.socket.borrow_mut();
        match socket.poll_write(&mut context, slices) {
            Poll::Ready(Ok(written)) if written > 0 => {
                self.progressed.set(worker.clock.get());
                worker.counters.wrote(written);
                Some(written)
            }
            Poll::Ready(_) => {
                self.phase.set(Phase::Over);
                context.waker().wake_by_ref();
                None
            }
            Poll::Pending => None,
        }
    }

    /// Notes the connection task's waker, for writes by others.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Whether the client may cause more work: the actor has handled what was read, its changes
    /// take effect, and it reads its answers.
    pub fn may_read(&self, worker: &Worker) -> bool {
        let caused = self.outbox.borrow().caused_by_client() + self.unapplied.get();
        // In the middle of a long message while there are too many such.
        let must_wait = self.message.get().is_some() && worker.under_way.is_crowded();
        self.inbound.borrow().is_empty() && caused < worker.shared.limits.inbound && !must_wait
    }

    /// Notes how much is kept of a message that has not ended.
    pub(super) fn note_message(&self, held: usize, worker: &Worker) {
        let before = self.message.get();
        worker.under_way.moved(before.map_or(0, |message| message.held), held);
        let since = before.map_or(worker.clock.get(), |message| message.since);
        self.message.set((held > 0).then_some(UnderWay { held, since }));
    }

    /// What is kept of a message that has not ended.
    pub fn message(&self) -> Option<UnderWay> {
        self.message.get()
    }

    /// The message under way is not taken: the session ends. Once.
    pub fn refuse_message(&self) {
        if !self.inbound_ended.replace(true) {
            self.inbound.borrow_mut().push_back(Err(Fault::Crowded));
            self.wake();
        }
    }

    /// Has the connection task look again.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = self.socket.borrow_mut().poll_read(cx, &mut buffer);
        polled.map_ok(|()| buffer.filled().len())
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.borrow_mut().poll_shutdown(cx)
    }

    /// Any inbound frame is life.
    pub fn heard_now(&self, worker: &Worker) {
        self.heard.set(worker.clock.get());
    }
}

/// Calls `with` with room for so many slices, on the stack: small for the ordinary case.
fn gathered<'a, R>(chunks: usize, with: impl FnOnce(&mut [IoSlice<'a>]) -> R) -> R {
    if chunks <= FEW_CHUNKS {
        with(&mut [IoSlice::new(&[]); FEW_CHUNKS])
    } else {
        with(&mut [IoSlice::new(&[]); MAX_CHUNKS])
    }
}

#[cfg(test)]
mod tests;
