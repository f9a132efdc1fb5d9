//! What flows: a closed ledger as one [`LedgerBatch`], its happenings as [`Event`]s.
//!
//! In: what a source decoded from its ledger's RPC. Out: shared, immutable values that the
//! broker keeps in history, routers match and dialects render.
//!
//! Who owns what: a source makes a batch and gives it away whole; from then on nobody changes it.
//! What always holds:
//! * a batch is a whole ledger, with its events in ledger order ([`Place`] rises strictly);
//! * an event lists every key under which it can be found, so filters never expand;
//! * amounts are exact ([`Amount`]) and paired with the keys of their asset;
//! * ids and places come from the chain and never from an index into the batch, so that settings
//!   which restrict a source do not move them.

mod amount;
mod batch;
mod body;
mod cursor;
mod family;
mod kind;
mod replay;
pub mod stored;

pub use amount::{Amount, AmountError};
pub use batch::{AssetKeys, Continuity, ContinuityKind, Event, Hash, LedgerBatch, LedgerRef, Native, Place};
pub use body::{Asset, Body, ContractEvent, LedgerFacts, Movement, Payment, Trade, Transaction};
pub use cursor::{Cursor, CursorEntry, CursorError, EventCursor, Mark};
pub use family::Family;
pub use kind::{EventKind, KindSet};
pub use replay::{Replay, Speed, SpeedError};
pub use stored::NativeForm;

/// A namespaced key such as `account:G…`, `contract:C…` or, for assets, `native`, `USDC`,
/// `USDC:G…`. Shared, since one account stands in many events of a ledger.
pub type Key = std::sync::Arc<str>;

/// The number of a configured source, given at start in the order of the configuration.
pub type SourceNumber = u16;
