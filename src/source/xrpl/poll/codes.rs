//! The numbers of results that are newer than our table: told by the servers, or else those of their class.

use super::SOON;
use crate::source::xrpl::client::Client;
use crate::source::xrpl::decode::ClosedLedger;
use crate::source::xrpl::{results, server};
use crate::source::{SourceStatus, cut};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Questions before a ledger goes on with the numbers of classes: no ledger waits for long.
const TRIES: usize = 3;
/// What no server told is asked again after this long.
const AGAIN: Duration = Duration::from_secs(600);
/// More results are not remembered.
const MOST: usize = 256;

/// Results that are newer than our table.
#[derive(Default)]
pub(super) struct Codes {
    /// Their numbers; of those that no server told, when it was asked for.
    pub(super) told: HashMap<Box<str>, Result<i32, Instant>>,
    /// When no server answered the question itself.
    pub(super) unanswered: Option<Instant>,
}

/// Whether it is time to ask again for what was asked for in vain.
fn is_due(asked: Instant) -> bool {
    asked.elapsed() >= AGAIN
}

impl Codes {
    /// The number of a result and what servers say about it.
    pub fn of(&self, result: &str) -> (i32, &'static str) {
        let told = || self.told.get(result).and_then(|told| told.ok());
        results::known(result).unwrap_or_else(|| (told().unwrap_or_else(|| results::of_class(result)), ""))
    }

    /// Asks for the number of each result in a ledger that nobody told yet. Never an error: with the number of its
    /// class a transaction is at least told of.
    pub async fn learn(&mut self, client: &mut Client, ledger: &ClosedLedger, status: &SourceStatus) {
        let unknown = |result: &&str| match self.told.get(*result) {
            None => results::known(result).is_none() && self.told.len() < MOST,
            Some(told) => told.is_err_and(is_due),
        };
        let results = ledger.transactions.iter().map(|applied| &*applied.result);
        let results: BTreeSet<&str> = results.filter(unknown).take(MOST).collect();
        if results.is_empty() {
            return;
        }
        let asked = Instant::now();
        let (codes, why) = match self.unanswered {
            Some(before) if !is_due(before) => (None, "`server_definitions` is not to be had".to_owned()),
            before => {
                // What was asked for in vain before holds no ledger up again.
                let tries = if before.is_some() { 1 } else { TRIES };
                match ask(client, tries, &results).await {
                    Ok(codes) => (Some(codes), "no server knows it".to_owned()),
                    Err(why) => (None, why),
                }
            }
        };
        match (&codes, self.unanswered) {
            (Some(_), _) => self.unanswered = None,
            (None, Some(before)) if !is_due(before) => {}
            (None, _) => self.unanswered = Some(asked),
        }
        for (at, result) in results.iter().enumerate() {
            let code = codes.as_ref().and_then(|codes| codes[at]);
            let before = self.told.insert((*result).into(), code.ok_or(asked));
            let shown = cut((*result).to_owned());
            match code {
                Some(code) => {
                    status.notice(&format!("the result {shown} is newer than this program; its number is {code}"));
                }
                // Said once.
                None if before.is_some() => {}
                None => status.notice(&format!(
                    "the result {shown} is newer than this program and its number is not to be had ({why}); it is sent \
                     with {}, that of its class, and asked for again every {} min",
                    results::of_class(result),
                    AGAIN.as_secs() / 60
                )),
            }
        }
    }
}

/// Asks the servers in turn; the error says what the last one said.
async fn ask(client: &mut Client, tries: usize, results: &BTreeSet<&str>) -> Result<Vec<Option<i32>>, String> {
    let mut why = String::new();
    for attempt in 0..tries {
        if attempt > 0 {
            tokio::time::sleep(SOON).await;
        }
        match server::result_codes(client, results).await {
            Ok(codes) => return Ok(codes),
            Err(error) => why = error.to_string(),
        }
        client.ask_another();
    }
    Err(why)
}
