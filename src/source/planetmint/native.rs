//! What a dialect of this family needs beside the facts that are the same for all families.

use crate::event::NativeForm;
use crate::event::stored::{NativeKind, stored_struct};
use std::sync::Arc;

/// How the forms are read from where ledgers are kept.
pub const NATIVES: &[NativeKind] =
    &[NativeKind::of::<Block>(), NativeKind::of::<Transaction>(), NativeKind::of::<Parties>()];

/// A block, with its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The application hash after the block, hex; empty where the node tells none. It stays the same over an empty
    /// block, so it is no key.
    pub app_hash: Box<str>,
    /// Whether the close time is the time of receiving, since the node tells none.
    pub time_received: bool,
}

/// A transaction, with its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// As the network tells it: the JSON of the whole transaction.
    pub text: Box<str>,
    /// The asset that it is about: its own id where it makes one, else the first of [`Transaction::asset_ids`].
    pub asset_id: Arc<str>,
    /// For each entry of its assets the id, or its own where the entry has none.
    pub asset_ids: Box<[Arc<str>]>,
}

/// Who is in a payment beside its first sender and its first receiver, with its event; only where there are such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// All who sign the inputs; which of them paid which output cannot be told. Empty: issued. One list for
    /// all payments of a transaction.
    pub senders: Arc<[Arc<str>]>,
    /// All who own the output together.
    pub owners: Box<[Arc<str>]>,
}

impl NativeForm for Block {
    const NAME: &'static str = "planetmint.block";
}
impl NativeForm for Transaction {
    const NAME: &'static str = "planetmint.transaction";
}
impl NativeForm for Parties {
    const NAME: &'static str = "planetmint.parties";
}

stored_struct!(Block { app_hash, time_received });
stored_struct!(Transaction { text, asset_id, asset_ids });
stored_struct!(Parties { senders, owners });
