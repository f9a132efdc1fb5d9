//! The methods, except getEvents. Limits and texts are those of the real server.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::encode::{Stored, toid};
use super::super::history::{Network, View};
use super::super::ledger::PROTOCOL;
use super::json::{ledger_as_json, transaction_as_json};
use super::{Answer, Failure, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, events};

/// Ledgers or transactions on a page: most, and if nothing is asked for.
const MAX_LIMIT: u64 = 200;
const DEFAULT_LIMIT: u64 = 50;

/// Answers one call.
pub(super) fn call(network: &Network, method: &str, params: Option<Value>) -> Answer {
    match method {
        "getHealth" => Ok(health(network)),
        "getNetwork" => Ok(network_info(network)),
        "getVersionInfo" => Ok(version_info()),
        "getLatestLedger" => latest_ledger(network, read(params)?),
        "getLedgers" => ledgers(network, read(params)?),
        // This method alone takes its parameters also by position.
        "getTransactions" => transactions(network, read_any(params)?),
        "getTransaction" => transaction(network, read(params)?),
        "getEvents" => events::events(network, read(params)?),
        _ => Err(Failure {
            code: METHOD_NOT_FOUND,
            message: "method not found".to_owned(),
            data: Some(method.to_owned()),
        }),
    }
}

/// The form in which XDR values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Base64,
    Json,
}

impl Format {
    pub fn of(name: Option<&str>) -> Result<Self, Failure> {
        match name {
            None | Some("" | "base64") => Ok(Self::Base64),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(Failure::new(
                INVALID_PARAMS,
                format!("expected base64 or json for optional 'xdrFormat', got {other}"),
            )),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FormatOnly {
    xdr_format: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ByHash {
    hash: String,
    xdr_format: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    start_ledger: u32,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pagination {
    pub cursor: Option<String>,
    /// 0 stands for the default.
    pub limit: u64,
}

/// Parameters by name.
fn read<T: DeserializeOwned + Default>(params: Option<Value>) -> Result<T, Failure> {
    match params {
        Some(Value::Array(_)) => Err(Failure::new(INVALID_PARAMS, "invalid parameters: array is not supported")),
        params => read_any(params),
    }
}

fn read_any<T: DeserializeOwned + Default>(params: Option<Value>) -> Result<T, Failure> {
    match params {
        None | Some(Value::Null) => Ok(T::default()),
        Some(params) => serde_json::from_value(params)
            .map_err(|error| Failure::new(INVALID_PARAMS, format!("invalid parameters: {error}"))),
    }
}

impl Page {
    /// Checked as both paged methods do: the cursor if there is one, and the limit.
    fn check(&self, view: &View) -> Result<(Option<&str>, usize), Failure> {
        let cursor = self.pagination.as_ref().and_then(|page| page.cursor.as_deref());
        // An empty cursor is the same as none.
        let cursor = cursor.filter(|cursor| !cursor.is_empty());
        let limit = self.pagination.as_ref().map_or(0, |page| page.limit);
        let start = self.start_ledger;
        if let (Some(cursor), 1..) = (cursor, start) {
            return Err(Failure::new(
                INVALID_REQUEST,
                format!("startLedger ({start}) and cursor ({cursor}) cannot both be set"),
            ));
        }
        let (oldest, latest) = (view.oldest().sequence, view.latest().sequence);
        if cursor.is_none() && !(oldest..=latest).contains(&start) {
            return Err(Failure::new(
                INVALID_REQUEST,
                format!(
                    "start ledger ({start}) must be between the oldest ledger: {oldest} and the latest ledger: {latest} for this rpc instance"
                ),
            ));
        }
        if limit > MAX_LIMIT {
            return Err(Failure::new(INVALID_REQUEST, format!("limit must not exceed {MAX_LIMIT}")));
        }
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        // At most MAX_LIMIT.
        Ok((cursor, limit as usize))
    }
}

fn health(network: &Network) -> String {
    let view = network.view();
    let (latest, oldest) = (view.latest(), view.oldest());
    format!(
        r#"{{"status":"healthy","latestLedger":{},"latestLedgerCloseTime":{},"oldestLedger":{},"oldestLedgerCloseTime":{},"ledgerRetentionWindow":{}}}"#,
        latest.sequence, latest.close_time, oldest.sequence, oldest.close_time, network.retention
    )
}

fn network_info(network: &Network) -> String {
    let passphrase = Value::from(network.world.passphrase.as_str());
    format!(r#"{{"passphrase":{passphrase},"protocolVersion":{PROTOCOL}}}"#)
}

fn version_info() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"version":"{version}-ledgercast-devnet","commitHash":"","buildTimestamp":"","captiveCoreVersion":"","protocolVersion":{PROTOCOL}}}"#
    )
}

fn latest_ledger(network: &Network, params: FormatOnly) -> Answer {
    let format = Format::of(params.xdr_format.as_deref())?;
    let view = network.view();
    let Stored { sequence, close_time, hash, .. } = view.latest();
    let xdr = ledger_xdr(view.latest(), format)?;
    Ok(format!(
        r#"{{"id":"{hash}","protocolVersion":{PROTOCOL},"sequence":{sequence},"closeTime":"{close_time}",{xdr}}}"#
    ))
}

/// The header and metadata members of a ledger.
fn ledger_xdr(ledger: &Stored, format: Format) -> Answer {
    match format {
        Format::Base64 => {
            let Stored { header, metadata, .. } = ledger;
            Ok(format!(r#""headerXdr":"{header}","metadataXdr":"{metadata}""#))
        }
        Format::Json => ledger_as_json(ledger),
    }
}

fn ledgers(network: &Network, params: Page) -> Answer {
    let view = network.view();
    let (cursor, limit) = params.check(&view)?;
    let format = Format::of(params.xdr_format.as_deref())?;
    let start = match cursor {
        None => u64::from(params.start_ledger),
        Some(cursor) => {
            let last: u32 = cursor
                .parse()
                .map_err(|error| Failure::new(INVALID_PARAMS, format!("parsing \"{cursor}\": {error}")))?;
            let start = u64::from(last) + 1;
            // At the tip this is an error and no empty page: so does the real server.
            if view.get(start).is_none() {
                let (oldest, latest) = (view.oldest().sequence, view.latest().sequence);
                return Err(Failure::new(
                    INVALID_PARAMS,
                    format!(
                        "cursor ('{cursor}') must be between the oldest ledger: {oldest} and the latest ledger: {latest} for this rpc instance"
                    ),
                ));
            }
            start
        }
    };
    let mut items = Vec::with_capacity(limit);
    let mut last = start.saturating_sub(1);
    for ledger in view.from(start).take(limit) {
        let Stored { hash, sequence, close_time, .. } = ledger;
        let xdr = ledger_xdr(ledger, format)?;
        items.push(format!(r#"{{"hash":"{hash}","sequence":{sequence},"ledgerCloseTime":"{close_time}",{xdr}}}"#));
        last = u64::from(*sequence);
        network.serves(*sequence);
    }
    let (latest, oldest) = (view.latest(), view.oldest());
    Ok(format!(
        r#"{{"ledgers":[{}],"latestLedger":{},"latestLedgerCloseTime":{},"oldestLedger":{},"oldestLedgerCloseTime":{},"cursor":"{last}"}}"#,
        items.join(","),
        latest.sequence,
        latest.close_time,
        oldest.sequence,
        oldest.close_time
    ))
}

fn transactions(network: &Network, params: Page) -> Answer {
    let view = network.view();
    let (cursor, limit) = params.check(&view)?;
    let format = Format::of(params.xdr_format.as_deref())?;
    let (start, skip) = match cursor {
        None => (u64::from(params.start_ledger), 0),
        Some(cursor) => {
            let position: i64 = cursor
                .parse()
                .map_err(|error| Failure::new(INVALID_PARAMS, format!("parsing \"{cursor}\": {error}")))?;
            let position = u64::try_from(position)
                .map_err(|_| Failure::new(INVALID_PARAMS, "cursor ledger sequence cannot be negative"))?;
            (position >> 32, (position >> 12 & 0xf_ffff) as usize)
        }
    };
    let latest = u64::from(view.latest().sequence);
    // Past the tip nothing is read, and the answer's cursor is 0: so does the real server.
    let mut end = 0;
    let mut items = Vec::with_capacity(limit);
    'ledgers: for sequence in start..=latest {
        let Some(ledger) = view.get(sequence) else {
            return Err(Failure::new(
                INVALID_PARAMS,
                format!("database does not contain metadata for ledger: {sequence}"),
            ));
        };
        // With nothing new the cursor points back to the start of the latest ledger, before the
        // cursor that was sent: so does the real server.
        end = toid(ledger.sequence, 0, 1);
        let skip = if sequence == start { skip } else { 0 };
        for (index, transaction) in ledger.transactions.iter().enumerate().skip(skip) {
            end = toid(ledger.sequence, index as u64 + 1, 1);
            let members = members(&transaction.members, format)?;
            items.push(format!(r#"{{{members},"createdAt":{}}}"#, ledger.close_time));
            if items.len() == limit {
                break 'ledgers;
            }
        }
    }
    let (latest, oldest) = (view.latest(), view.oldest());
    Ok(format!(
        r#"{{"transactions":[{}],"latestLedger":{},"latestLedgerCloseTimestamp":{},"oldestLedger":{},"oldestLedgerCloseTimestamp":{},"cursor":"{end}"}}"#,
        items.join(","),
        latest.sequence,
        latest.close_time,
        oldest.sequence,
        oldest.close_time
    ))
}

fn members(members: &str, format: Format) -> Answer {
    match format {
        Format::Base64 => Ok(members.to_owned()),
        Format::Json => transaction_as_json(members),
    }
}

fn transaction(network: &Network, params: ByHash) -> Answer {
    let format = Format::of(params.xdr_format.as_deref())?;
    let hash = params.hash;
    if hash.len() / 2 != 32 {
        let message = format!("unexpected hash length ({})", hash.len());
        return Err(Failure::new(INVALID_PARAMS, message));
    }
    if let Some(wrong) = hash.chars().find(|c| !c.is_ascii_hexdigit()) {
        let message = format!("incorrect hash: encoding/hex: invalid byte: {wrong:?}");
        return Err(Failure::new(INVALID_PARAMS, message));
    }
    let wanted = hash.to_ascii_lowercase();
    let view = network.view();
    let (latest, oldest) = (view.latest(), view.oldest());
    let range = format!(
        r#""latestLedger":{},"latestLedgerCloseTime":"{}","oldestLedger":{},"oldestLedgerCloseTime":"{}""#,
        latest.sequence, latest.close_time, oldest.sequence, oldest.close_time
    );
    // Newest first, since mostly young transactions are asked for; there is no index to keep.
    let found = view.newest_first().find_map(|ledger| {
        let found = ledger.transactions.iter().find(|t| t.hash == wanted);
        found.map(|transaction| (ledger.close_time, transaction))
    });
    match found {
        Some((close_time, transaction)) => {
            let members = members(&transaction.members, format)?;
            Ok(format!(r#"{{{range},{members},"createdAt":"{close_time}"}}"#))
        }
        None => Ok(format!(
            r#"{{{range},"status":"NOT_FOUND","txHash":"{hash}","applicationOrder":0,"feeBump":false,"events":{{}},"ledger":0,"createdAt":"0"}}"#
        )),
    }
}

/// A JSON object's members without its braces, to be joined with others.
pub(super) fn without_braces(object: Map<String, Value>) -> String {
    let json = Value::Object(object).to_string();
    json[1..json.len() - 1].to_owned()
}
