//! What the tests of this folder share.

mod forms;
mod ledgers;
