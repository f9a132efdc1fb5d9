//! What a server says of itself: its newest ledger, those that it has, its network and its fees.

use super::client::Client;
use super::fees::{Fees, drops};
use super::json::Fields;
use crate::source::{Refusal, SourceError};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::time::Duration;

/// Small questions have small answers.
pub const SMALL: Duration = Duration::from_secs(10);
/// No ledger waits long for what is told beside it: fees, for which those known last do, and the numbers of results.
const SIDE: Duration = Duration::from_secs(3);
/// The warning that the server can no longer follow the network.
const AMENDMENT_BLOCKED: u64 = 1002;
/// Longer lists of ledgers are not read.
const LONGEST_LIST: usize = 64 << 10;

/// The newest validated ledger of a server, and what it tells beside it.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its number.
    pub seq: u32,
    /// Seconds since it was validated.
    pub age: Option<u64>,
    /// The ledgers that the server has.
    pub complete: Complete,
    /// The network's number.
    pub network: Option<u32>,
    /// What it says of the fees here, as XRP.
    pub fees: Option<Fees>,
}

#[derive(Deserialize)]
struct ServerInfo {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    complete_ledgers: String,
    network_id: Option<u32>,
    #[serde(default)]
    server_state: String,
    #[serde(default)]
    amendment_blocked: bool,
    #[serde(default)]
    warnings: Vec<Warning>,
    validated_ledger: Option<Validated>,
}

#[derive(Deserialize)]
struct Warning {
    #[serde(default)]
    id: u64,
}

#[derive(Deserialize)]
struct Validated {
    seq: u32,
    age: Option<serde_json::Number>,
    base_fee_xrp: Option<Box<RawValue>>,
    reserve_base_xrp: Option<Box<RawValue>>,
    reserve_inc_xrp: Option<Box<RawValue>>,
}

impl Validated {
    fn fees(&self) -> Option<Fees> {
        let read = |xrp: &Option<Box<RawValue>>| drops(xrp.as_ref()?);
        Some(Fees {
            base: read(&self.base_fee_xrp)?,
            reserve_base: read(&self.reserve_base_xrp)?,
            reserve_increment: read(&self.reserve_inc_xrp)?,
        })
    }
}

/// Asks a server for its head. One that has none, or cannot follow the network, is an error.
pub async fn head(client: &Client) -> Result<Head, SourceError> {
    let result = client.call("server_info", json!({}), SMALL).await?;
    let ServerInfo { info } =
        serde_json::from_str(result.get()).map_err(|error| client.malformed("server_info", error.to_string()))?;
    let refused = |error: &str, message: String, refusal| SourceError::Refused {
        url: client.shown().to_owned(),
        method: "server_info".to_owned(),
        error: error.to_owned(),
        message,
        refusal,
        wait: None,
    };
    if info.amendment_blocked || info.warnings.iter().any(|warning| warning.id == AMENDMENT_BLOCKED) {
        let message = "it lacks an amendment that the network has".to_owned();
        return Err(refused("amendmentBlocked", message, Refusal::Blocked));
    }
    let Some(validated) = info.validated_ledger else {
        let message =
            format!("it has no validated ledger yet; its state is \"{}\"", crate::source::cut(info.server_state));
        return Err(refused("notReady", message, Refusal::NotSynced));
    };
    Ok(Head {
        seq: validated.seq,
        age: validated.age.as_ref().and_then(serde_json::Number::as_u64),
        complete: Complete::parse(&info.complete_ledgers),
        network: info.network_id,
        fees: validated.fees(),
    })
}

/// Asks a server for the fees in drops. `None`: it does not tell them so.
pub async fn fees(client: &Client) -> Option<Fees> {
    #[derive(Deserialize)]
    struct ServerState {
        state: State,
    }
    #[derive(Deserialize)]
    struct State {
        validated_ledger: Fees,
    }
    let result = client.call("server_state", json!({}), SIDE).await.ok()?;
    serde_json::from_str::<ServerState>(result.get()).ok().map(|answer| answer.state.validated_ledger)
}

/// Asks a server for the numbers of these results. `None` for one: it does not know it either.
pub async fn result_codes(client: &Client, results: &BTreeSet<&str>) -> Result<Vec<Option<i32>>, SourceError> {
    let answer = client.call("server_definitions", json!({}), SIDE).await?;
    let definitions = Fields::of(answer.get());
    let codes = definitions.and_then(|fields| Fields::of(fields.get("TRANSACTION_RESULTS")?.get()));
    let codes = codes.ok_or_else(|| client.malformed("server_definitions", "no TRANSACTION_RESULTS".to_owned()))?;
    Ok(results.iter().map(|result| codes.get(result)?.get().parse().ok()).collect())
}

/// A list of ledgers, such as `24900901-24900984,24901116`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complete(Vec<(u32, u32)>);

impl Complete {
    /// Reads a list; what cannot be read is none.
    pub fn parse(text: &str) -> Complete {
        if text.len() > LONGEST_LIST {
            return Complete::default();
        }
        let row = |row: &str| {
            let (first, last) = row.split_once('-').unwrap_or((row, row));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last).then_some((first, last))
        };
        let rows: Option<Vec<(u32, u32)>> = text.split(',').map(row).collect();
        let mut rows = rows.unwrap_or_default();
        rows.sort_unstable();
        Complete(rows)
    }

    /// The first ledger of all.
    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|(first, _)| *first)
    }

    /// Where the row without holes begins that `ledger` is in, or else the newest row.
    pub fn row_of(&self, ledger: u32) -> Option<u32> {
        let within = |(first, last): &&(u32, u32)| (*first..=*last).contains(&ledger);
        self.0.iter().find(within).or(self.0.last()).map(|(first, _)| *first)
    }

    /// The first ledger after `ledger` that is there.
    pub fn after(&self, ledger: u32) -> Option<u32> {
        self.0.iter().find(|(_, last)| *last > ledger).map(|(first, _)| (*first).max(ledger + 1))
    }

    /// The list, its last row made longer to hold `ledger` if it ends before it.
    pub fn up_to(&self, ledger: u32) -> String {
        let mut rows = self.0.clone();
        match rows.last_mut() {
            None => rows.push((ledger, ledger)),
            Some((_, last)) => *last = ledger.max(*last),
        }
        Complete(rows).to_string()
    }
}

impl std::fmt::Display for Complete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("empty");
        }
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ledgers() {
        let list = Complete::parse("24900901-24900984,24901116-24901158,24901160");
        assert_eq!((list.first(), list.row_of(24_901_120)), (Some(24_900_901), Some(24_901_116)));
        assert_eq!((list.row_of(1), list.row_of(30_000_000)), (Some(24_901_160), Some(24_901_160)));
        assert_eq!((list.after(24_900_984), list.after(24_901_117)), (Some(24_901_116), Some(24_901_118)));
        assert_eq!((list.after(5), list.after(24_901_160)), (Some(24_900_901), None));
        assert_eq!(list.up_to(24_901_200), "24900901-24900984,24901116-24901158,24901160-24901200");
        assert_eq!(list.up_to(24_900_950), list.to_string());
        for none in ["empty", "", "x", "5-4", "1-", "-1", "1,,2", "99999999999"] {
            assert_eq!(Complete::parse(none), Complete::default(), "{none}");
        }
        assert_eq!((Complete::default().up_to(7), Complete::default().to_string()), ("7".into(), "empty".into()));
    }
}
