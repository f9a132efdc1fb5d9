//! The mapping, by what is mapped. Here is what its tests share.

use super::*;
use crate::event::{Amount, Hash};
use crate::source::stellar::assets::{contract_of, network_hash, parse};
use crate::source::stellar::decode::{self, AppliedTransaction};
use crate::source::stellar::testing::{account, envelope, muxed, native_event, paid, payment, recorded, succeeded};
use crate::source::stellar::{PUBNET, TESTNET, methods};
use serde_json::Value;
use stellar_xdr::*;

mod payments;
mod recorded;
mod trades;
mod versions;

fn closed(index: u32, transactions: Vec<AppliedTransaction>) -> ClosedLedger {
    let [hash, parent, results_hash] = [1, 0, 2].map(|byte| Hash([byte; 32]));
    ClosedLedger { index, hash, parent, closed_at: 1_700_000_000, transactions, results_hash }
}

fn map(passphrase: &str, index: u32, transactions: Vec<AppliedTransaction>) -> Vec<Event> {
    let events = events(&closed(index, transactions), &mut AssetContracts::new(network_hash(passphrase))).unwrap();
    assert!(events.windows(2).all(|pair| pair[0].place < pair[1].place));
    let mut ids: Vec<_> = events.iter().map(|event| &event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "an id twice");
    events
}

fn of_kind(events: &[Event], kinds: &[EventKind]) -> Vec<Event> {
    events.iter().filter(|event| kinds.contains(&event.kind)).cloned().collect()
}

fn applied(
    order: u32,
    memo: Memo,
    sent: Vec<(Operation, OperationResult)>,
    operations: Vec<OperationMetaV2>,
) -> AppliedTransaction {
    let (sent, results) = sent.into_iter().unzip();
    AppliedTransaction {
        order,
        hash: Hash([order as u8; 32]),
        envelope: envelope(order.into(), memo, sent),
        result: succeeded(results),
        meta: TransactionMeta::V4(TransactionMetaV4 {
            operations: operations.try_into().unwrap(),
            ..Default::default()
        }),
    }
}

fn operation(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

fn inner(result: OperationResultTr) -> OperationResult {
    OperationResult::OpInner(result)
}

fn usdc() -> Asset {
    parse("USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN").unwrap()
}
