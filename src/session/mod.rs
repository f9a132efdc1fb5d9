//! One actor for each WebSocket, on the transport that lets it live while its client does not read.
//!
//! In: a socket that the HTTP server has upgraded, and the mount it asked for. Out: the client's
//! messages to its dialect, the dialect's actions carried out, bytes to the socket.
//!
//! Who owns what: a [`Connection`] task owns the reading side and the actor; the [`Link`] is what
//! task, actor and Router share: the socket, the outbox, what was heard last. The [`Worker`] is
//! what all sessions of a thread share.
//!
//! What always holds:
//! * a frame's header is judged before its payload is kept ([`scanner`]);
//! * the actor is never frozen: its inbound frames come from a queue that is read only while the
//!   actor keeps up, its output goes to the outbox's control lane;
//! * a connection ends in bounded time: after the close frame is queued it has [`CLOSING`] seconds;
//! * what waits in all outboxes of a thread is counted at every step and bounded ([`Waiting`]);
//! * an idle session holds no buffer and no timer.

mod actor;
mod connection;
mod link;
pub mod scanner;
mod socket;
mod transport;
mod waiting;
mod worker;

pub use actor::{ChangeApplied, End, Held, Ring, Session, StillAllowed};
pub use connection::{Connection, Handover, spawn};
pub use link::{Link, Phase, UnderWay};
pub use socket::Socket;
pub use waiting::Waiting;
pub use worker::{Counters, SessionLimits, Shared, Worker};

/// Seconds between the close frame and the end of the connection, whatever the client does.
pub const CLOSING: u32 = 5;
