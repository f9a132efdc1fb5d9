//! Clients that come back to far away, again and again, on a thread that yields to everybody.

use crate::common::{connect, masked, monotonic};
use crate::frames::Stream;
use crate::past::FIRST;
use rustix::process::setpriority_process;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// As much as a client library reads at a time.
const BUFFER: usize = 256 << 10;

/// What they read, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Told {
    pub events: AtomicU64,
    /// Ledgers that were missing, cut, repeated, or a connection that ended.
    pub wrong: AtomicU64,
    /// How often one had read all of the past and came back.
    pub rounds: AtomicU64,
}

/// Some of them, until they are stopped.
pub struct Replays {
    pub told: Arc<Told>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Replays {
    /// Each begins as far from the others as the past allows. `events`: what each ledger of the past has.
    pub fn start(address: SocketAddr, count: u64, events: u32, nice: i32) -> Replays {
        let (told, stop) = (Arc::<Told>::default(), Arc::<AtomicBool>::default());
        let (of_thread, is_over) = (told.clone(), stop.clone());
        let run = move || {
            // On Linux a thread has a priority of its own.
            setpriority_process(None, nice).expect("one may always yield");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut all = JoinSet::new();
                for number in 0..count {
                    // The last of them has still a tenth of it before it.
                    let from = 2 + number * (FIRST - 2) * 9 / 10 / count;
                    all.spawn(returns(address, from, events, of_thread.clone(), is_over.clone()));
                }
                all.join_all().await;
            });
        };
        let thread = std::thread::Builder::new().name("replays".to_owned()).spawn(run).expect("a thread");
        Replays { told, stop, thread: Some(thread) }
    }
}

impl Drop for Replays {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

async fn returns(address: SocketAddr, from: u64, events: u32, told: Arc<Told>, stop: Arc<AtomicBool>) {
    let mut buffer = vec![0; BUFFER];
    while !stop.load(Relaxed) {
        let mut socket = connect(address).await;
        let register = format!(r#"{{"type":"register","filters":{{}},"from_ledger":{from}}}"#);
        socket.write_all(&masked(&register)).await.expect("it is open");
        let mut stream = Stream::default();
        let read_all = |stream: &Stream| stream.seen.last().is_some_and(|seen| u64::from(seen.ledger) >= FIRST);
        while !stop.load(Relaxed) && !read_all(&stream) {
            let kept = stream.rest.len();
            buffer[..kept].copy_from_slice(&stream.rest);
            let read = tokio::time::timeout(Duration::from_millis(500), socket.read(&mut buffer[kept..])).await;
            let count = match read {
                Ok(Ok(count)) if count > 0 => count,
                Err(_) => continue,
                Ok(_) => {
                    told.wrong.fetch_add(1, Relaxed);
                    break;
                }
            };
            let came = stream.take(&buffer[..kept + count], monotonic());
            told.events.fetch_add(came.frames, Relaxed);
        }
        told.rounds.fetch_add(read_all(&stream).into(), Relaxed);
        told.wrong.fetch_add(wrong(&stream, from, events), Relaxed);
    }
}

/// Ledgers that do not follow the one before, and those of the past that are not whole.
fn wrong(stream: &Stream, from: u64, events: u32) -> u64 {
    let begins = stream.seen.first().is_none_or(|first| u64::from(first.ledger) == from);
    let torn = stream.seen.windows(2).filter(|two| {
        two[1].ledger != two[0].ledger + 1 || (u64::from(two[0].ledger) < FIRST && two[0].frames != events)
    });
    torn.count() as u64 + u64::from(!begins)
}
