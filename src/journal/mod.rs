//! Closed ledgers on disk.

mod form;
#[cfg(test)]
mod tests;
