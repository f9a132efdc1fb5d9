//! A client's socket, plain or TLS: the same to whoever reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Plain text that a TLS session takes before it must have been sent: a busy ledger in one go, and no more
/// than the kernel holds for a socket.
const TLS_BUFFER: usize = 128 << 10;

/// One client's socket.
pub enum Socket {
    /// Of `ws://`.
    Plain(TcpStream),
    /// Of `wss://`. Boxed: it is large, and paid for only by those who use it.
    Tls(Box<Tls>),
}

/// A TLS session over its socket.
pub struct Tls {
    stream: TlsStream<TcpStream>,
    /// Bytes that were taken since all had left: at most so many wait here.
    unsent: usize,
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Socket {
        Socket::Plain(socket)
    }
}

impl From<TlsStream<TcpStream>> for Socket {
    fn from(mut stream: TlsStream<TcpStream>) -> Socket {
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
        Socket::Tls(Box::new(Tls { stream, unsent: 0 }))
    }
}

impl Socket {
    /// Writes what the socket takes now. Bytes that count as written may still have to be flushed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Tls(tls) => {
                // What was taken before goes first, and must have left: else each client that does not
                // read would hold a whole buffer more.
                ready!(tls.poll_flush(cx))?;
                let written = ready!(Pin::new(&mut tls.stream).poll_write_vectored(cx, slices))?;
                tls.unsent += written;
                match tls.poll_flush(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    // What is left is flushed before the next write, or when the socket allows.
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(written)),
                }
            }
        }
    }

    /// Sends what was taken and has not left.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(_) => Poll::Ready(Ok(())),
            Socket::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Bytes that were taken and may not have left.
    pub fn unsent(&self) -> usize {
        match self {
            Socket::Plain(_) => 0,
            Socket::Tls(tls) => tls.unsent,
        }
    }

    /// Reads what has come.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buffer),
        }
    }

    /// Ends our side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }
}

impl Tls {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent > 0 {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unsent = 0;
        }
        Poll::Ready(Ok(()))
    }
}
