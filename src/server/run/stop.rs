//! Takes the parts of a server apart again, in the right order.

use super::Server;
use crate::broker::Drain;
use crate::consumer;
use crate::source::SourceHandle;
use std::time::{Duration, Instant};

/// What the journal gets to close, however long the drain took.
const SHORTEST_CLOSE: Duration = Duration::from_secs(1);
/// How often the end of the connections is looked at while draining.
const DRAIN_STEP: Duration = Duration::from_millis(20);

impl Server {
    /// Drains and ends: nobody new, no further ledger, all that was posted to everybody, close frames to the sessions
    /// one after the other, and bounded time from now on for the connections to end by themselves.
    pub async fn stop(self) {
        let started = Instant::now();
        self.admission.drain();
        if let Some(clients) = &self.clients {
            clients.pause().await;
        }
        // The sources before the sessions: the next life goes on after the last checkpoint, and who was closed before a
        // ledger that counts as posted would never get it. A disk that hangs holds up nobody's close frame.
        let stops = async {
            for source in &self.sources {
                source.stop().await;
            }
        };
        if tokio::time::timeout(self.deadline, stops).await.is_err() {
            log::warn!("the sources did not stop in time; a last checkpoint may be missing");
        }
        let is_routed = |source: &SourceHandle| {
            let newest = self.shared.history.routed_at(source.status.number, 1);
            newest.iter().all(|(_, routed)| routed.is_some())
        };
        while self.clients.is_some() && !self.sources.iter().all(is_routed) && started.elapsed() < self.deadline {
            tokio::time::sleep(DRAIN_STEP).await;
        }
        let sessions = self.sessions();
        for router in self.routers() {
            router.do_send(Drain { spread: self.spread });
        }
        while self.sessions() > 0 && started.elapsed() < self.deadline {
            tokio::time::sleep(DRAIN_STEP).await;
        }
        let left = self.sessions();
        log::info!(sessions, left, took_ms = started.elapsed().as_millis() as u64; "drained");
        self.finish_consumers(started).await;
        if let Some(clients) = &self.clients {
            clients.stop(true).await;
        }
        self.operators.stop(false).await;
        for upstream in &self.upstreams {
            upstream.stop();
        }
        self.broker.stop();
        self.followers.stop();
        if let Some(journal) = self.journal {
            // All that counts is on disk since the sources stopped. A thread of its own, since the runtime would wait for
            // its threads at the end: a disk that hangs shall not keep the process.
            let (done, closed) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new().name("journal-close".to_owned());
            let closing = thread.spawn(move || {
                journal.close();
                // Nobody waits any more where it took too long.
                let _ = done.send(());
            });
            let left = self.deadline.saturating_sub(started.elapsed()).max(SHORTEST_CLOSE);
            if closing.is_err() || tokio::time::timeout(left, closed).await.is_err() {
                log::warn!("the journal did not close in time; what it has on disk is whole");
            }
        }
    }

    /// What was posted shall be written, as far as there is time; the next life goes on after what is.
    async fn finish_consumers(&self, started: Instant) {
        // All at once: one that hangs takes nobody's time but its own.
        self.consumers.iter().for_each(consumer::Running::ask);
        for consumer in &self.consumers {
            let left = self.deadline.saturating_sub(started.elapsed());
            if tokio::time::timeout(left, consumer.finish()).await.is_err() {
                log::warn!("a consumer has not written all that was posted; it goes on after the next start");
            }
        }
    }
}
