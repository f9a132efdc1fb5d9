//! The only file that names the WebSocket stack: a session is an actor of actix-web-actors, with
//! its `StreamHandler` for messages, inside our own connection task.
//!
//! The crate is deprecated upstream in favour of actix-ws; replacing it means replacing this file.

use super::actor::Session;
use super::link::Link;
use super::scanner::{Fault, Item};
use crate::dialect::Input;
use actix::{ActorContext, AsyncContext, StreamHandler};
use actix_web_actors::ws;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::Stream;
use futures_util::stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The context in which a session lives.
pub type SessionContext = ws::WebsocketContext<Session>;

/// What a session hears.
pub type Inbound = Result<ws::Message, ws::ProtocolError>;

/// The actor's own output: whole frames, until it has ended.
pub(super) type ActorOutput = Pin<Box<dyn Stream<Item = Result<Bytes, actix_web::Error>>>>;

/// The link's queue of inbound items, as the actor's stream. It has no waker of its own: the
/// connection task fills the queue and polls the actor afterwards.
struct InboundStream(Rc<Link>);

impl Stream for InboundStream {
    type Item = Inbound;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let link = &self.0;
        let mut queue = link.inbound.borrow_mut();
        let next = queue.pop_front();
        if queue.is_empty() && queue.capacity() > 0 {
            // An idle session holds no buffer.
            *queue = VecDeque::new();
        }
        drop(queue);
        let item = match next {
            Some(item) => item,
            None if link.inbound_ended.get() => return Poll::Ready(None),
            None => return Poll::Pending,
        };
        let no_message = |trouble, error| {
            link.trouble.set(Some(trouble));
            Err(error)
        };
        Poll::Ready(Some(match item {
            Ok(Item::Text(text)) => Ok(ws::Message::Text(ByteString::from(text))),
            Ok(Item::Binary(bytes)) => Ok(ws::Message::Binary(bytes)),
            Ok(Item::Ping(payload)) => Ok(ws::Message::Ping(payload)),
            Ok(Item::Pong) => Ok(ws::Message::Pong(Bytes::new())),
            Ok(Item::Close(code)) => {
                Ok(ws::Message::Close(code.map(|code| ws::CloseReason::from(ws::CloseCode::from(code)))))
            }
            // The stack's own errors have no close codes; the session reads ours from the link.
            Ok(Item::Discarded(size)) => no_message(Trouble::Discarded(size), ws::ProtocolError::Overflow),
            Err(fault) => no_message(Trouble::Fault(fault), ws::ProtocolError::BadOpCode),
        }))
    }
}

/// What the client sent that is no message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// A message over the limit was read past.
    Discarded(u64),
    /// Nothing more is read.
    Fault(Fault),
}

/// Starts the actor of a connection. Nothing of it runs before its output is polled.
pub(super) fn start(session: Session, link: Rc<Link>) -> ActorOutput {
    // Frames are read by our scanner, so the context's own decoder gets nothing to read.
    let unused = stream::pending::<Result<Bytes, actix_web::error::PayloadError>>();
    Box::pin(SessionContext::with_factory(unused, |ctx| {
        ctx.add_stream(InboundStream(link));
        session
    }))
}

impl StreamHandler<Inbound> for Session {
    fn handle(&mut self, inbound: Inbound, ctx: &mut SessionContext) {
        match inbound {
            Ok(ws::Message::Text(text)) => self.message(Input::Text(&text), ctx),
            Ok(ws::Message::Binary(bytes)) => self.message(Input::Binary(&bytes), ctx),
            Ok(ws::Message::Ping(payload)) => self.pinged(&payload, ctx),
            Ok(ws::Message::Close(reason)) => self.client_closes(reason.map(|reason| reason.code.into()), ctx),
            Ok(ws::Message::Pong(_) | ws::Message::Nop | ws::Message::Continuation(_)) => {}
            Err(_) => self.trouble(ctx),
        }
    }

    fn finished(&mut self, ctx: &mut SessionContext) {
        // The client is gone without a close frame.
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    /// A burst of small frames must not cost its connection memory for ever.
    #[actix::test]
    async fn an_emptied_queue_keeps_no_memory() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let link = Rc::new(Link::new(socket, Bytes::new(), peer.ip(), 0));
        link.inbound.borrow_mut().extend((0..2700).map(|_| Ok(Item::Pong)));
        assert!(link.inbound.borrow().capacity() >= 2700);
        let mut stream = InboundStream(link.clone());
        for _ in 0..2700 {
            assert!(stream.next().await.is_some());
        }
        assert_eq!(link.inbound.borrow().capacity(), 0);
    }
}
