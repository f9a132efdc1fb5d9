//! A connection that is no WebSocket yet: what the HTTP stack leaves unbounded is bounded here.
//!
//! The stack's own deadline holds for a connection's first request, and it reads on while its answers
//! wait; and a header whose name is longer than 65,535 bytes makes it panic. So a whole connection has a
//! deadline, one read is judged before the next, nothing is read while the client does not take its
//! answers, and there is an end to what is read without one.

use super::admission::Arrival;
use super::metrics::Metrics;
use crate::session::Socket;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes that are read of what gets no answer: no header that the stack panics at fits.
const MOST_UNANSWERED: usize = 0xffff;
/// What is said then, best effort, as the stack does.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A connection's place among those that are no WebSockets, from the moment it is accepted.
pub(super) struct Arrived {
    _arrival: Arrival,
    metrics: Arc<Metrics>,
    asked: Asked,
}

/// Whether a connection has asked for something; for the stack's data of that connection.
#[derive(Clone, Default)]
pub(super) struct Asked(Rc<Cell<bool>>);

impl Arrived {
    /// Counts a connection.
    pub fn new(arrival: Arrival, metrics: Arc<Metrics>) -> Arrived {
        metrics.connection_arrived();
        Arrived { _arrival: arrival, metrics, asked: Asked::default() }
    }
}

impl Asked {
    /// Notes that it has.
    pub fn note(&self) {
        self.0.set(true);
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.metrics.connection_left(self.asked.0.get());
    }
}

/// The stream of a connection until its WebSocket is open.
pub(super) struct Arriving {
    socket: Socket,
    arrived: Arrived,
    deadline: Pin<Box<Sleep>>,
    /// Something was read that may not have been judged yet.
    has_read: bool,
    /// The client does not take an answer.
    is_blocked: bool,
    /// Bytes read since the last answer.
    unanswered: usize,
}

impl Arriving {
    /// The stream ends after this time, whatever was asked for.
    pub fn new(socket: Socket, arrived: Arrived, at_most: Duration) -> Arriving {
        let deadline = Box::pin(tokio::time::sleep(at_most));
        Arriving { socket, arrived, deadline, has_read: false, is_blocked: false, unanswered: 0 }
    }

    /// Where it is noted that the client has asked for something.
    pub fn asked(&self) -> Asked {
        self.arrived.asked.clone()
    }

    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl From<Arriving> for Socket {
    fn from(arriving: Arriving) -> Socket {
        arriving.socket
    }
}

impl AsyncRead for Arriving {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        if self.is_blocked {
            return Poll::Pending;
        }
        if std::mem::take(&mut self.has_read) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = self.socket.poll_read(cx, buffer);
        self.has_read = polled.is_ready();
        self.unanswered += buffer.filled().len() - before;
        if self.unanswered > MOST_UNANSWERED {
            if self.socket.poll_write(cx, &[IoSlice::new(TOO_LARGE)]).is_ready() {
                let _ = self.socket.poll_flush(cx);
            }
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl AsyncWrite for Arriving {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(cx)?;
        let polled = self.socket.poll_write(cx, slices);
        let was_blocked = std::mem::replace(&mut self.is_blocked, polled.is_pending());
        if was_blocked && !self.is_blocked {
            // The stack may have asked for more meanwhile.
            cx.waker().wake_by_ref();
        }
        if polled.is_ready() {
            self.unanswered = 0;
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        self.socket.poll_shutdown(cx)
    }
}
