//! One client's life: connect at the planned time, register, read until told otherwise.

use super::connect::Stream;
use super::frames::{self, Item, Reader};
use super::latency::Read;
use super::shared::Shared;
use super::verify::Taken;
use crate::source::monotonic_nanos;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// A server that does not answer a close in this time is left.
const GOODBYE: Duration = Duration::from_secs(2);
/// What a slow client takes: so many bytes, so often, through a receive buffer of this size.
const SIP: usize = 2 << 10;
const SIP_EVERY: Duration = Duration::from_millis(250);
const SLOW_BUFFER: u32 = 16 << 10;
/// A slow client reads at the end what is there: until nothing comes for this long, or so long in all.
const QUIET: Duration = Duration::from_millis(500);
const LAST_SIPS: Duration = Duration::from_secs(3);

/// How a session ended.
enum End {
    /// It was told to leave, and shall come back.
    Left,
    /// For good.
    Over,
}

/// When a session was to begin.
#[derive(Clone, Copy)]
struct Planned {
    /// Nanoseconds of the monotonic clock.
    at: u64,
    /// Whether it is the client's first.
    first: bool,
}

/// What one read brought beside events.
#[derive(Default)]
struct Brought {
    answers: Vec<u8>,
    closed: Option<Option<u16>>,
    fault: bool,
}

/// A client that reads all the time.
pub async fn run(shared: Rc<Shared>, number: usize, planned: Instant) {
    tokio::time::sleep_until(planned).await;
    let mut planned =
        Planned { at: monotonic_nanos().saturating_sub(planned.elapsed().as_nanos() as u64), first: true };
    while let End::Left = Box::pin(session(&shared, number, planned)).await {
        planned = Planned { at: monotonic_nanos(), first: false };
        shared.verifier.borrow_mut().leave(number);
        shared.tally.borrow_mut().came_back += 1;
    }
}

async fn session(shared: &Shared, number: usize, planned: Planned) -> End {
    let Some((mut stream, rest)) = open(shared, number, None).await else { return End::Over };
    let mut reader = Reader::default();
    let mut planned = Some(planned);
    let mut brought = take(shared, number, &mut reader, &rest, &mut planned);
    drop(rest);
    let control = &shared.controls[number];
    loop {
        if !brought.answers.is_empty() && stream.write_all(&brought.answers).await.is_err() {
            brought.closed.get_or_insert(None);
        }
        if let Some(code) = brought.closed {
            let code = if brought.fault { "protocol fault".to_owned() } else { name_of(code) };
            *shared.tally.borrow_mut().closed.entry(code).or_default() += 1;
            shared.verifier.borrow_mut().leave(number);
            return End::Over;
        }
        tokio::select! {
            biased;
            () = control.notify.notified() => {
                goodbye(shared, &mut stream).await;
                return if control.ends.get() { End::Over } else { End::Left };
            }
            read = shared_read(shared, &mut stream, |bytes| take(shared, number, &mut reader, bytes, &mut planned)) => {
                brought = read.unwrap_or(Brought { closed: Some(None), ..Brought::default() });
            }
        }
    }
}

/// Opens a connection and asks for events; a failure is counted.
async fn open(shared: &Shared, number: usize, receive_buffer: Option<u32>) -> Option<(Stream, Vec<u8>)> {
    let opened = {
        let _door = shared.doors.acquire().await;
        shared.target.open(number, receive_buffer).await
    };
    let register = frames::text(&shared.dialect.subscribe(&shared.template.fill(number)));
    let reason = match opened {
        Ok((mut stream, rest)) => match stream.write_all(&register).await {
            Ok(()) => return Some((stream, rest)),
            Err(error) => error.kind().to_string(),
        },
        Err(reason) => reason,
    };
    *shared.tally.borrow_mut().failures.entry(reason).or_default() += 1;
    None
}

/// Takes what one read brought. `planned` is taken when the registration is answered.
fn take(shared: &Shared, number: usize, reader: &mut Reader, bytes: &[u8], planned: &mut Option<Planned>) -> Brought {
    let now = monotonic_nanos();
    let mut brought = Brought::default();
    let mut verifier = shared.verifier.borrow_mut();
    let mut run: Option<Read> = None;
    let note = |run: &mut Option<Read>| {
        if let Some(read) = run.take() {
            shared.latencies.borrow_mut().read(read);
        }
    };
    let read = reader.read(bytes, |item| {
        match item {
            Item::Text(text) => match verifier.take(number, text, now) {
                Taken::Event { stream, ledger } => match &mut run {
                    Some(read) if (read.stream, read.ledger) == (stream, ledger) => read.events += 1,
                    _ => {
                        note(&mut run);
                        run = Some(Read { stream, ledger, client: number, at: now, events: 1 });
                    }
                },
                Taken::Registered => {
                    if let Some(planned) = planned.take() {
                        let mut tally = shared.tally.borrow_mut();
                        tally.connected += 1;
                        tally.arrived += u64::from(planned.first);
                        tally.connecting.saturating_record(now.saturating_sub(planned.at));
                    }
                }
                Taken::Other => {}
            },
            Item::Binary(_) => verifier.counts.unreadable += 1,
            Item::Ping(payload) => brought.answers.extend(frames::pong(payload)),
            Item::Pong => {}
            Item::Close(code) => {
                brought.answers.extend(frames::close(code.unwrap_or(1000)));
                brought.closed = Some(code);
                return false;
            }
        }
        true
    });
    note(&mut run);
    shared.tally.borrow_mut().bytes += bytes.len() as u64;
    if read.is_err() {
        brought.fault = true;
        brought.closed = Some(None);
    }
    brought
}

/// One read into the buffer that all clients share, so that an idle client holds no memory for it. `None`: the
/// connection is over.
async fn shared_read<T>(shared: &Shared, stream: &mut Stream, mut take: impl FnMut(&[u8]) -> T) -> Option<T> {
    poll_fn(|context| {
        let mut buffer = shared.buffer.borrow_mut();
        let mut read = ReadBuf::new(&mut buffer);
        Poll::Ready(match std::task::ready!(Pin::new(&mut *stream).poll_read(context, &mut read)) {
            Ok(()) if !read.filled().is_empty() => Some(take(read.filled())),
            _ => None,
        })
    })
    .await
}

fn name_of(code: Option<u16>) -> String {
    code.map_or("none".to_owned(), |code| code.to_string())
}

/// Closes politely: what still comes is not looked at.
async fn goodbye(shared: &Shared, stream: &mut Stream) {
    let polite = async {
        if stream.write_all(&frames::close(1000)).await.is_ok() {
            while shared_read(shared, stream, |_| ()).await.is_some() {}
        }
    };
    let _ = timeout(GOODBYE, polite).await;
}

/// A client that hardly reads, or not at all. What it gets is not compared with what others get; what the server
/// tells it is counted.
pub async fn run_slow(shared: Rc<Shared>, number: usize, planned: Instant, never: bool) {
    tokio::time::sleep_until(planned).await;
    let Some((mut stream, rest)) = Box::pin(open(&shared, number, Some(SLOW_BUFFER))).await else { return };
    shared.tally.borrow_mut().slow.connected += 1;
    let mut reader = Reader::default();
    let mut over = sip(&shared, &mut reader, &rest, &mut Vec::new());
    let control = &shared.controls[number];
    while !over {
        tokio::select! {
            () = control.notify.notified() => break,
            () = sleep(SIP_EVERY), if !never => {
                over = next_sip(&shared, &mut reader, &mut stream, Duration::from_millis(1)).await.unwrap_or(false);
            }
        }
    }
    let last_sips = async {
        while !over {
            over = next_sip(&shared, &mut reader, &mut stream, QUIET).await.unwrap_or(true);
        }
    };
    let _ = timeout(LAST_SIPS, last_sips).await;
}

/// Whether the connection is over; `None`: nothing came in time.
async fn next_sip(shared: &Shared, reader: &mut Reader, stream: &mut Stream, patience: Duration) -> Option<bool> {
    let mut buffer = [0; SIP];
    let read = timeout(patience, stream.read(&mut buffer)).await.ok()?;
    Some(match read {
        Ok(count) if count > 0 => {
            let mut pongs = Vec::new();
            let over = sip(shared, reader, &buffer[..count], &mut pongs);
            // Who reads also answers; a failure shows at the next read.
            let _ = timeout(patience, stream.write_all(&pongs)).await;
            over
        }
        _ => {
            *shared.tally.borrow_mut().slow.closed.entry(name_of(None)).or_default() += 1;
            true
        }
    })
}

/// Counts what came. True: the server has closed.
fn sip(shared: &Shared, reader: &mut Reader, bytes: &[u8], pongs: &mut Vec<u8>) -> bool {
    let slow = &mut shared.tally.borrow_mut().slow;
    let goes_on = reader.read(bytes, |item| match item {
        Item::Text(text) => {
            let said = shared.dialect.read(text);
            slow.events += u64::from(matches!(said, super::dialect::Said::Event(_)));
            slow.told.count(&said);
            true
        }
        Item::Close(code) => {
            *slow.closed.entry(name_of(code)).or_default() += 1;
            false
        }
        Item::Ping(payload) => {
            pongs.extend(frames::pong(payload));
            true
        }
        _ => true,
    });
    !goes_on.unwrap_or_else(|_| {
        *slow.closed.entry("protocol fault".to_owned()).or_default() += 1;
        false
    })
}
