//! What is counted of the journal.

use super::{Metrics, gauge, registered};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Its metrics.
pub(super) struct Journal {
    ledgers: Counter,
    written_bytes: Counter,
    failures: Counter,
    lost: Counter,
    bytes: Gauge,
    waiting: Gauge,
    reach: Gauge,
}

impl Journal {
    pub(super) fn registered(r: &mut Registry) -> Journal {
        Journal {
            ledgers: registered(r, "journal_ledgers", "Ledgers written to the journal"),
            written_bytes: registered(r, "journal_written_bytes", "Bytes of the ledgers written to the journal"),
            failures: registered(r, "journal_failures", "Transactions of the journal that failed"),
            lost: registered(
                r,
                "journal_lost_ledgers",
                "Ledgers that could not be kept, since the disk failed, was slow or damaged them",
            ),
            bytes: registered(r, "journal_bytes", "Disk space of the ledgers kept"),
            waiting: registered(r, "journal_waiting_bytes", "Memory of the ledgers that are not on disk yet"),
            reach: registered(r, "journal_reach_seconds", "Age of the oldest ledger kept"),
        }
    }
}

impl Metrics {
    /// Ledgers are on disk, in so many bytes.
    pub fn journal_written(&self, ledgers: u64, bytes: u64) {
        self.journal.ledgers.inc_by(ledgers);
        self.journal.written_bytes.inc_by(bytes);
    }

    /// A transaction failed; why is told with the source's checkpoint.
    pub fn journal_failed(&self) {
        self.journal.failures.inc();
    }

    /// Ledgers were given up before they could be written.
    pub fn journal_lost(&self, ledgers: u64) {
        self.journal.lost.inc_by(ledgers);
    }

    /// How large the journal is, what waits for it in memory, and how far it reaches back.
    pub fn journal_size(&self, bytes: u64, waiting: usize, reach: Duration) {
        self.journal.bytes.set(gauge(bytes));
        self.journal.waiting.set(gauge(waiting));
        self.journal.reach.set(gauge(reach.as_secs()));
    }
}
