//! The connection task: one for each socket, from the handshake to the last byte.
//!
//! A turn polls the actor, takes its output into the control lane, flushes the outbox, and reads
//! the socket as long as the actor keeps up. When the actor has ended it flushes what is left,
//! shuts its side down and swallows input until the client does the same, or time is up.

use super::actor::Session;
use super::link::{Link, Phase};
use super::scanner::{Limit, Scanner};
use super::socket::Socket;
use super::transport::{self, ActorOutput};
use super::worker::Worker;
use crate::broker::{MountEntry, SessionRef};
use crate::dialect::{Dialect, Oversize};
use crate::event::{Mark, Replay};
use crate::server::access::TokenId;
use bytes::Bytes;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Reads of one turn, so that a client that sends without end leaves the thread to others.
const MAX_READS: usize = 4;

/// One socket's task.
pub struct Connection {
    worker: Rc<Worker>,
    link: Rc<Link>,
    /// Until it has ended.
    actor: Option<ActorOutput>,
    scanner: Scanner,
    number: SessionRef,
    limit: Limit,
    /// The client's side of the socket is shut.
    eof: bool,
    /// Our side of the socket is shut.
    shut: bool,
    /// Counts the connection until the task is over; kept for its `Drop`.
    _place: Box<dyn std::any::Any>,
}

/// What the handshake hands over.
pub struct Handover {
    /// The socket.
    pub socket: Socket,
    /// Bytes of the handshake still to be written: the 101 and answers before it.
    pub to_write: Bytes,
    /// Bytes that came behind the request.
    pub read: Bytes,
    /// Who the client is.
    pub peer: IpAddr,
    /// The access token that let it in.
    pub token: Option<Box<TokenId>>,
    /// Where it goes on, and how.
    pub mark: Option<(Mark, Replay)>,
    /// Released when the connection is over.
    pub place: Box<dyn std::any::Any>,
}

/// Starts the task of a connection on this thread.
pub fn spawn(worker: &Rc<Worker>, mount: Arc<MountEntry>, dialect: Box<dyn Dialect>, handover: Handover) {
    let mut link = Link::new(handover.socket, handover.to_write, handover.peer, worker.clock.get());
    link.token = handover.token;
    let link = Rc::new(link);
    link.begin_count(worker);
    let sources = dialect.sources().unwrap_or(&mount.sources).clone();
    let (number, opened) = worker.sessions.borrow_mut().open(worker.number, link.clone(), mount.clone(), sources);
    let manners = mount.dialect.manners();
    let discard_up_to = match manners.oversize {
        Oversize::Close => 0,
        Oversize::Discard { up_to } => up_to,
    };
    worker.shared.metrics.session_opened(manners.name, number, &link.peer);
    let limit = Limit { max_message: mount.dialect.max_message(), discard_up_to };
    let session = Session::new(worker.clone(), link.clone(), mount, dialect, number, opened, handover.mark);
    let mut connection = Connection {
        worker: worker.clone(),
        actor: Some(transport::start(session, link.clone())),
        link,
        scanner: Scanner::default(),
        number,
        limit,
        eof: false,
        shut: false,
        _place: handover.place,
    };
    connection.scan(&handover.read);
    actix::spawn(connection);
}

impl Connection {
    /// Frames out of bytes, into the actor's queue.
    fn scan(&mut self, mut bytes: &[u8]) {
        self.read_frames(&mut bytes);
        self.link.note_message(self.scanner.held(), &self.worker);
    }

    fn read_frames(&mut self, bytes: &mut &[u8]) {
        let mut inbound = self.link.inbound.borrow_mut();
        while !self.link.inbound_ended.get() {
            match self.scanner.next(bytes, self.limit) {
                Ok(Some(item)) => inbound.push_back(Ok(item)),
                Ok(None) => break,
                Err(fault) => {
                    inbound.push_back(Err(fault));
                    self.link.inbound_ended.set(true);
                }
            }
        }
    }

    /// Takes the actor's output; true if there was any, or the actor has ended.
    fn poll_actor(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Some(actor) = &mut self.actor {
            match actor.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.link.push_control(bytes, &self.worker),
                Poll::Ready(None | Some(Err(_))) => {
                    self.actor = None;
                    // Without a close frame there is nothing to wait for but what is queued.
                    self.link.close(Bytes::new(), true, &self.worker);
                }
                Poll::Pending => return progress,
            }
            progress = true;
        }
        progress
    }

    /// One read of the socket. False when there is nothing to read now.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> bool {
        let worker = self.worker.clone();
        let mut buffer = worker.read_buffer.borrow_mut();
        match self.link.poll_read(cx, &mut buffer) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.link.heard_now(&worker);
                if self.actor.is_some() && !self.link.inbound_ended.get() {
                    self.scan(&buffer[..count]);
                }
                true
            }
            Poll::Ready(_) => {
                self.eof = true;
                self.link.inbound_ended.set(true);
                true
            }
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.link.set_waker(cx.waker());
        if self.link.inbound_ended.get() && self.scanner.held() > 0 {
            // Nothing more is read, so what it has of a message is of no use.
            self.scanner = Scanner::default();
            self.link.note_message(0, &self.worker);
        }
        let mut reads = 0;
        loop {
            let mut progress = self.poll_actor(cx);
            let empty = self.link.flush(&self.worker);
            match self.link.phase() {
                Phase::Over => return Poll::Ready(()),
                Phase::Closing(_) if self.actor.is_none() && empty => {
                    if !self.shut {
                        match self.link.poll_shutdown(cx) {
                            Poll::Ready(Ok(())) => self.shut = true,
                            Poll::Ready(Err(_)) => return Poll::Ready(()),
                            Poll::Pending => {}
                        }
                    }
                    if self.eof && self.shut {
                        return Poll::Ready(());
                    }
                }
                Phase::Closing(_) => {}
                Phase::Open => {
                    if self.link.can_take(&self.worker) {
                        self.worker.hungry(self.number.slot);
                    }
                }
            }
            // Without an actor input is swallowed, so that the close is not turned into a reset.
            let wanted = !self.link.inbound_ended.get() && self.link.may_read(&self.worker);
            if !self.eof && (self.actor.is_none() || wanted) {
                progress |= self.poll_socket(cx);
                reads += 1;
            }
            if reads == MAX_READS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // First the actor, whose `stopped` looks its slot up.
        self.actor = None;
        self.link.end_count(&self.worker);
        self.link.note_message(0, &self.worker);
        self.worker.sessions.borrow_mut().close(self.number);
    }
}
