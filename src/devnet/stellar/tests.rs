//! What a reader makes of the ledgers, from their XDR alone.

use stellar_xdr::{
    ContractEventBody, GeneralizedTransactionSet, Hash, LedgerCloseMeta, LedgerCloseMetaV2, LedgerHeaderHistoryEntry,
    Limits, Memo, ReadXdr, TransactionEventStage, TransactionMeta, WriteXdr,
};

use super::count::{Count, PASSPHRASE, count, envelopes, inner};
use super::history::Network;
use super::ledger::Contents;
use super::world::{World, sha256};

/// A network with this many ledgers.
pub(super) fn network(seed: u64, events: usize, ledgers: u64) -> Network {
    let network = Network::new(World::new(seed, 20, PASSPHRASE).unwrap(), Contents::Mixed { events }, 100_000);
    for ledger in 0..ledgers {
        network.close_next(1_800_000_000 + ledger).unwrap();
    }
    network
}

/// The ledgers as getLedgers gives them.
fn ledgers(network: &Network) -> Vec<LedgerCloseMetaV2> {
    let decode = |base64: &String| match LedgerCloseMeta::from_xdr_base64(base64, Limits::none()) {
        Ok(LedgerCloseMeta::V2(meta)) => meta,
        other => panic!("{other:?}"),
    };
    network.view().from(0).map(|ledger| decode(&ledger.metadata)).collect()
}
#[test]
fn every_ledger_holds_exactly_the_events_asked_for() {
    for events in [0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 20, 21, 100, 101, 1_000] {
        for meta in ledgers(&network(3, events, 6)) {
            let mut found = Count::default();
            count(&meta, &mut found);
            assert_eq!(found.total(), events.max(1), "{found:?}");
        }
    }
}

#[test]
fn payments_in_turn_reach_each_account_once() {
    let contents = Contents::Payments { count: 7 };
    let network = Network::new(World::new(1, 21, PASSPHRASE).unwrap(), contents, 100);
    for ledger in 0..3 {
        network.close_next(1_800_000_000 + ledger).unwrap();
    }
    // Their order is in the turns; ledger 1,000 is the first.
    let (mut receivers, mut accounts) = (Vec::new(), network.world.addresses());
    for meta in ledgers(&network) {
        let mut found = Count::default();
        for envelope in envelopes(&meta).values() {
            for operation in inner(envelope, &mut found).operations.iter() {
                let stellar_xdr::OperationBody::Payment(payment) = &operation.body else { panic!("{operation:?}") };
                receivers.push(payment.destination.to_string());
            }
        }
        count(&meta, &mut found);
        assert_eq!((found.kinds["payment"], found.total()), (7, 1 + 2 + 2 * 7));
    }
    accounts.rotate_left(7_000 % 21);
    assert_eq!(receivers, accounts);
}

#[test]
fn the_mixture_has_everything_that_a_reader_must_know() {
    let mut found = Count::default();
    for meta in ledgers(&network(1, 2_000, 12)) {
        count(&meta, &mut found);
    }
    for kind in ["ledger", "transaction", "contract_event", "payment", "trade"] {
        assert!(found.kinds[kind] > 0, "{kind}");
    }
    for what in [
        "0 topics",
        "1 topics",
        "2 topics",
        "3 topics",
        "4 topics",
        "Contract",
        "System",
        "diagnostics",
        "failed",
        "fee bump",
        "forged transfer",
        "token transfer",
        "fee BeforeAllTxs",
        "fee AfterTx",
        "fee AfterAllTxs",
        "atom V0",
        "atom OrderBook",
        "atom LiquidityPool",
        "atom without amounts",
        "largest amount",
        "smallest amount",
        "memo None",
        "memo Text",
        "memo Id",
        "memo Hash",
        "memo Return",
        "muxed destination",
        "unified transfer",
        "unified mint",
        "unified burn",
        "unified fee",
        "unified clawback",
        "unified set_authorized",
        "unified with receiver id",
        "Payment",
        "CreateAccount",
        "AccountMerge",
        "PathPaymentStrictSend",
        "PathPaymentStrictReceive",
        "ManageSellOffer",
        "ManageBuyOffer",
        "CreatePassiveSellOffer",
        "CreateClaimableBalance",
        "ClaimClaimableBalance",
        "Clawback",
        "SetTrustLineFlags",
        "InvokeHostFunction",
    ] {
        assert!(found.seen.contains_key(what), "{what} is missing in {:#?}", found.seen);
    }
}

#[test]
fn each_ledger_names_the_one_before() {
    let network = network(5, 30, 10);
    let mut previous = Hash([0; 32]);
    let view = network.view();
    let pairs = ledgers(&network).into_iter().zip(view.from(0));
    for (sequence, (meta, stored)) in (1_000..).zip(pairs) {
        let entry = &meta.ledger_header;
        assert_eq!(entry.header.previous_ledger_hash, previous);
        assert_eq!(entry.header.ledger_seq, sequence);
        assert_eq!(entry.hash, sha256(&entry.header).unwrap());
        assert_eq!(entry.header.scp_value.tx_set_hash, sha256(&meta.tx_set).unwrap());
        assert_eq!(stored.hash, entry.hash.to_string());
        let GeneralizedTransactionSet::V1(set) = &meta.tx_set;
        assert_eq!(set.previous_ledger_hash, previous);
        let header = LedgerHeaderHistoryEntry::from_xdr_base64(&stored.header, Limits::none()).unwrap();
        assert_eq!(&header, entry);
        previous = entry.hash.clone();
    }
}

#[test]
fn transactions_say_the_same_as_their_ledgers() {
    let network = network(9, 120, 4);
    for (meta, stored) in ledgers(&network).into_iter().zip(network.view().from(0)) {
        let envelopes = envelopes(&meta);
        assert_eq!(meta.tx_processing.len(), stored.transactions.len());
        for (order, (processing, item)) in meta.tx_processing.iter().zip(&stored.transactions).enumerate() {
            let json: serde_json::Value = serde_json::from_str(&format!("{{{}}}", item.members)).unwrap();
            let result = &processing.result;
            assert_eq!(json["txHash"], result.transaction_hash.to_string());
            assert_eq!(json["applicationOrder"], order + 1);
            assert_eq!(json["ledger"], stored.sequence);
            assert_eq!(json["envelopeXdr"], envelopes[&result.transaction_hash].to_xdr_base64(Limits::none()).unwrap());
            assert_eq!(json["resultXdr"], result.result.to_xdr_base64(Limits::none()).unwrap());
            let meta = &processing.tx_apply_processing;
            assert_eq!(json["resultMetaXdr"], meta.to_xdr_base64(Limits::none()).unwrap());
        }
    }
}

#[test]
fn the_seed_decides_all_transactions() {
    let hashes = |seed, close: u64| {
        let network = Network::new(World::new(seed, 20, PASSPHRASE).unwrap(), Contents::Mixed { events: 50 }, 100);
        for ledger in 0..4 {
            network.close_next(close + ledger).unwrap();
        }
        let view = network.view();
        let transactions = view.from(0).flat_map(|l| l.transactions.iter());
        let hashes: Vec<String> = transactions.map(|t| t.members.clone()).collect();
        (hashes, view.latest().hash.clone())
    };
    let (first, second, other) = (hashes(1, 10), hashes(1, 99), hashes(2, 10));
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1, "close times are part of the hash");
    assert_ne!(first.0, other.0);
    assert_eq!(first, hashes(1, 10));
}

#[test]
fn history_is_bounded_and_time_never_goes_back() {
    let network = Network::new(World::new(1, 2, PASSPHRASE).unwrap(), Contents::Mixed { events: 10 }, 3);
    for time in [100, 101, 50, 102, 103] {
        network.close_next(time).unwrap();
    }
    let view = network.view();
    assert_eq!((view.oldest().sequence, view.latest().sequence), (1_002, 1_004));
    assert_eq!(view.oldest().close_time, 101);
    assert!(view.get(1_001).is_none() && view.get(1_002).is_some() && view.get(1_005).is_none());
}

#[test]
fn memos_may_hold_bytes_that_are_no_text() {
    let mut odd = 0;
    for meta in ledgers(&network(1, 2_000, 4)) {
        for envelope in envelopes(&meta).values() {
            if let Memo::Text(text) = inner(envelope, &mut Count::default()).memo {
                odd += usize::from(std::str::from_utf8(text.as_slice()).is_err());
            }
        }
    }
    assert!(odd > 0);
}

#[test]
fn events_say_the_same_as_their_ledgers() {
    let network = network(4, 400, 4);
    let view = network.view();
    for (meta, stored) in ledgers(&network).into_iter().zip(view.from(0)) {
        // (transaction, operation, group, event); groups are in the order of ids.
        let (mut before, mut during, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (order, processing) in (1..).zip(meta.tx_processing.iter()) {
            let TransactionMeta::V4(meta) = &processing.tx_apply_processing else { panic!() };
            for (operation, meta) in (0..).zip(meta.operations.iter()) {
                let events = (0..).zip(meta.events.iter());
                during.extend(events.map(|(n, event)| (order, operation, n, event.clone())));
            }
            for staged in meta.events.iter() {
                let event = staged.event.clone();
                match staged.stage {
                    TransactionEventStage::BeforeAllTxs => before.push((0, 0, before.len(), event)),
                    TransactionEventStage::AfterTx => during.push((order, 4_095, 0, event)),
                    TransactionEventStage::AfterAllTxs => after.push((1_048_575, 0, after.len(), event)),
                }
            }
        }
        let all: Vec<_> = before.into_iter().chain(during).chain(after).collect();
        assert_eq!(all.len(), stored.events.len());
        for ((transaction, operation, index, event), item) in all.into_iter().zip(&stored.events) {
            let toid = u64::from(stored.sequence) << 32 | transaction << 12 | operation;
            let ContractEventBody::V0(body) = event.body;
            let json: serde_json::Value = serde_json::from_str(&item.json).unwrap();
            assert_eq!(json["id"], format!("{toid:019}-{index:010}"));
            assert_eq!(json["value"], body.data.to_xdr_base64(Limits::none()).unwrap());
            let topics: Vec<String> = body.topics.iter().map(|t| t.to_xdr_base64(Limits::none()).unwrap()).collect();
            assert_eq!(item.topics, topics);
        }
    }
}
