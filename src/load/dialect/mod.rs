//! What the load generator must know of a protocol: how to ask for events, what each message is, where an event
//! stands in the stream, and whether it fits the filters.
//!
//! Written apart from the server's own code for the same protocol, so that a mistake there is found here. Adding a
//! dialect: one folder, and one line in [`TABLE`].

mod flow;

use serde_json::Value;

/// The dialects by the names that `--dialect` takes.
pub const TABLE: &[(&str, &dyn Dialect)] = &[("flow", &flow::Flow)];

/// One message of a server, read whole.
#[derive(Debug)]
pub enum Said {
    /// Something that happened on the ledger.
    Event(Event),
    /// The subscription holds from here on.
    Registered {
        /// Events that the server did not keep until then, by its own words.
        dropped: u64,
    },
    /// The row of ledgers broke: these are missing for everybody.
    Gap {
        /// The first missing one.
        from: u64,
        /// The last missing one.
        to: u64,
    },
    /// The ledger began anew.
    Reset,
    /// A fault, by its code.
    Error(String),
    /// Something that needs no attention.
    Greeting,
    /// Nothing that a server of this dialect may say.
    Unreadable,
}

/// An event, as far as every dialect has it.
#[derive(Debug)]
pub struct Event {
    /// The network; empty where the server serves only one.
    pub network: String,
    /// The ledger that it happened in.
    pub ledger: u64,
    /// Where it stands in its ledger: unique, and larger for what comes later.
    pub place: u64,
    /// Whether it tells the close of a ledger: such events make a row without holes.
    pub is_ledger: bool,
    /// All of it.
    pub json: Value,
}

/// Whether an event fits a client's filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Yes,
    /// It should never have been sent.
    No,
    /// The message does not hold what the filter asks for.
    Unknown,
}

/// A protocol as its clients know it.
pub trait Dialect: Sync {
    /// The message that asks for what these filters (a JSON object) let through.
    fn subscribe(&self, filters: &str) -> String;

    /// Reads one message.
    fn read(&self, text: &[u8]) -> Said;

    /// Judges an event by a client's filters.
    fn fits(&self, filters: &Value, event: &Event) -> Fit;
}

/// The dialect of this name.
pub fn find(name: &str) -> Option<&'static dyn Dialect> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, dialect)| *dialect)
}
