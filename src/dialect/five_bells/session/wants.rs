//! What a session is subscribed to.

use super::super::ledger::Ledger;
use super::super::render::KINDS;
use crate::broker::Clause;
use crate::event::Key;
use std::sync::Arc;

/// What happens to transfers that sources tell: they tell none before it is final.
const TOLD: &str = "transfer.update";

/// What a session is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wants {
    /// Sorted, each once.
    accounts: Vec<Key>,
    all: bool,
}

impl Wants {
    /// These accounts and nothing else.
    pub fn of(event_type: &str, mut accounts: Vec<Key>) -> Wants {
        if !matches(event_type, TOLD) {
            accounts.clear();
        }
        accounts.sort_unstable();
        accounts.dedup();
        Wants { accounts, all: false }
    }

    /// These and all accounts.
    pub fn and_all(&self, event_type: &str) -> Wants {
        Wants { accounts: self.accounts.clone(), all: self.all || matches(event_type, TOLD) }
    }

    /// As the router has them.
    pub fn clauses(&self, ledger: &Ledger) -> Arc<[Clause]> {
        let assets: Vec<Key> = ledger.asset_key().into_iter().collect();
        let clause = |subjects| Clause { subjects, assets: assets.clone(), ..Clause::everything(KINDS) };
        match (self.all, self.accounts.is_empty()) {
            (true, _) => [clause(Vec::new())].into(),
            // A list that is empty would mean everybody.
            (false, true) => Arc::default(),
            (false, false) => [clause(self.accounts.clone())].into(),
        }
    }
}

/// Whether a subscription to `wanted` is one to `event`.
fn matches(wanted: &str, event: &str) -> bool {
    let kind = event.rsplit_once('.').map_or(event, |(kind, _)| kind);
    wanted == "*" || wanted == event || wanted.strip_suffix(".*") == Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for wanted in ["*", "transfer.*", "transfer.update"] {
            assert!(matches(wanted, TOLD), "{wanted}");
        }
        for wanted in
            ["", "transfer", "**", "transfer.*.*", "transfer.create", "message.*", ".*", "transfer.", "TRANSFER.*"]
        {
            assert!(!matches(wanted, TOLD), "{wanted}");
        }
        assert!(matches("message.*", "message.send") && matches("transfer.create", "transfer.create"));
    }
}
