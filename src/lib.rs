//! ledgercast polls ledgers and pushes what happens on them to many WebSocket clients, each in the
//! protocol that it already speaks.
//!
//! # The way of an event
//!
//! ```text
//! ledger RPC ──poll──▶ Source actor ──one message per ledger──▶ Broker actor ──one per worker──▶ Router actor
//!                      (own thread)                             (own thread:                     (one per worker:
//!                                                                order, history,                  filter index,
//!                                                                attach points)                   its sessions)
//!                                                                                                     │
//!                               socket ◀── Outbox (bounded) ◀── Session actor (one per WebSocket, one Dialect)
//! ```
//!
//! * [`source`]: one actor for each ledger turns its RPC into [`event::LedgerBatch`]es: whole, in
//!   order, never twice, never skipping silently.
//! * [`broker`]: the central actor gives each batch its place in the stream, keeps recent history,
//!   and decides where in the stream a subscription begins. Its Router in each worker thread holds
//!   the filter index and writes into the outboxes of the sessions of that thread.
//! * [`journal`]: each ledger that the broker took, on disk together with where its source stands: what restarts and
//!   clients that were long away go on from.
//! * [`session`]: one actor for each WebSocket, on a connection task of our own.
//! * [`dialect`]: what each protocol says and understands: pure state machines.
//! * [`consumer`]: what keeps every ledger elsewhere, at its own pace: PostgreSQL.
//! * [`server`]: listeners, mounts, health, metrics, drain. [`config`] and [`cli`] say what to run.
//! * [`devnet`]: embedded ledgers behind real RPC on the loopback, for demos, tests and loads.
//! * [`source::recording`]: ledgers as files of lines, which `ledgercast export` writes and `replay` serves.
//! * [`load`]: many clients that check what they get, and how long it takes.
//!
//! # Words
//!
//! **Source**, **ledger** (a block), **event**, **kind**, **batch** (a ledger's events),
//! **broker**, **router**, **session**, **filter**, **outbox** (what waits for one socket),
//! **history** (recent batches, in memory), **journal** (those on disk), **backlog** (what is only in the journal),
//! **position** (broker sequence and event index; never public),
//! **cursor** (the public position), **replay** (a session in the past that says how fast and until where), **gap**, **drain**, **mount** (a dialect at a path of a
//! listener), **dialect** (the wire protocol of one family of clients).
//!
//! # The heart: a session is a subscription and a position
//!
//! Being live means that the position is the head. A session that has not registered yet, one that
//! is slow and one that comes back are the same case: the position lies behind the head, and the
//! Router feeds the session from shared history, filtered, in bounded steps, as fast as its socket
//! takes it. Nothing is copied for a client. A slow client costs one bounded outbox and loses
//! nothing as long as history, or the backlog behind it, reaches its position; past that it is
//! told, and closed. A replay is fed the same way, but no ledger before it is due.
//!
//! # The laws of the hot path
//!
//! 1. A ledger is one message from Source to Broker, one from Broker to each Router, and one
//!    vectored write to each client while its socket takes all. Never event by event.
//! 2. Nothing that a peer can make grow is unbounded.
//! 3. The session actor lives while its client does not read.
//! 4. No session delays another, and none delays a Source.
//! 5. Order per session is ledger order. No repeat, no hole that is not announced.
//! 6. `do_send` only where the receiver always drains and its queue is bounded by design: Broker
//!    (untaken batches, one registration for each session), Routers (one unanswered head, one
//!    change for each session), sessions (commands). Ledger data reaches a session only through
//!    its bounded Outbox.
//! 7. Rendering, matching and counting allocate nothing for a session.
//!
//! # Where we left the plan
//!
//! * [`event::Amount`] keeps decimal digits and an exponent instead of a fixed-width decimal: a
//!   filter's minimum may have 78 digits on each side of the point, which no 256-bit coefficient
//!   holds, and amounts are only compared and printed, never calculated with.
//! * Frames are read whole by [`session::scanner`], and the actor gets finished messages through
//!   its stream. Passing bytes to the stack's own decoder would keep the buffer of the largest
//!   message alive for as long as the connection, and would hide the close code of a fault.
//! * Stellar's transactions are taken from the metadata of `getLedgers`, one call for each ledger;
//!   `getTransactions` is asked where a node sends no metadata.
//! * Kinds are no part of the index's keys but kept with its entries: an unrestricted list of kinds
//!   then costs one entry and not one for each kind.
//! * TLS is spoken in front of the HTTP stack and not inside of it (actix-tls): so a connection is counted and
//!   limited before its handshake, and nobody's silent handshakes stop the listeners of a thread.
//! * The journal's queue gives up ledgers when the disk fails or is too slow for long, and readers are told which: a
//!   source that is catching up waits for a slow disk, nobody at the tip does, and nobody for a broken one.
//! * A consumer has one connection to its database, so there is no pool (deadpool); TLS to it is a page over the
//!   tokio-rustls that is here anyway ([`consumer::postgres`]).
//! * Until its WebSocket is open, a connection's stream is wrapped (`server::arriving`): the HTTP stack has a
//!   deadline for the first request only, reads on while its answers are not taken, and panics at some headers.

pub mod broker;
pub mod cli;
pub mod config;
pub mod consumer;
pub mod devnet;
pub mod dialect;
pub mod event;
pub mod journal;
pub mod load;
pub mod logging;
pub mod server;
pub mod session;
pub mod source;
