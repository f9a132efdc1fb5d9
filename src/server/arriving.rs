//! The stream of a connection that is no WebSocket yet: what the HTTP stack leaves unbounded is bounded here.
//!
//! The stack's own deadline holds for a connection's first request, and it reads on while its answers
//! wait; and a header whose name is longer than 65,535 bytes makes it panic. So a whole connection has a
//! deadline, one read is judged before the next, nothing is read while the client does not take its
//! answers, and there is an end to what is read without one.

use crate::session::Socket;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes that are read of what gets no answer: no header that the stack panics at fits.
const MOST_UNANSWERED: usize = 0xffff;
/// What is said then, best effort, as the stack does.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A stream until its WebSocket is open.
pub(super) struct Arriving<T> {
    stream: T,
    deadline: Pin<Box<Sleep>>,
    /// Something was read that may not have been judged yet.
    has_read: bool,
    /// The client does not take an answer.
    is_blocked: bool,
    /// Bytes read since the last answer.
    unanswered: usize,
}

impl<T> Arriving<T> {
    /// The stream ends after this time, whatever was asked for.
    pub fn new(stream: T, at_most: Duration) -> Arriving<T> {
        let deadline = Box::pin(tokio::time::sleep(at_most));
        Arriving { stream, deadline, has_read: false, is_blocked: false, unanswered: 0 }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Notes whether the client takes its answers.
    fn wrote<R>(&mut self, polled: Poll<R>, cx: &mut Context<'_>) -> Poll<R> {
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
}

impl<T: Into<Socket>> From<Arriving<T>> for Socket {
    fn from(arriving: Arriving<T>) -> Socket {
        arriving.stream.into()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Arriving<T> {
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
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.has_read = polled.is_ready();
        self.unanswered += buffer.filled().len() - before;
        if self.unanswered > MOST_UNANSWERED {
            let mut stream = Pin::new(&mut self.stream);
            if stream.as_mut().poll_write(cx, TOO_LARGE).is_ready() {
                let _ = stream.poll_flush(cx);
            }
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Arriving<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_deadline(cx)?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(cx)?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
