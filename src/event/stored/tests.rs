use super::*;
use crate::event::{
    Amount, Asset, AssetKeys, Body, ContractEvent, Event, EventKind, Hash, Key, LedgerFacts, LedgerRef, Movement,
    Payment, Place, Trade, Transaction,
};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// A native form that says nothing.
impl Stored for () {
    fn write(&self, _: &mut Writer) {}

    fn read(_: &mut Reader<'_>) -> Result<(), Corrupt> {
        Ok(())
    }
}

impl NativeForm for () {
    const NAME: &'static str = "test.nothing";
}

/// One whose parts are shared and stand in each other.
#[derive(Debug, PartialEq)]
struct Nested {
    name: Arc<str>,
    lists: Arc<[Arc<[Arc<str>]>]>,
    number: i64,
}

stored_struct!(Nested { name, lists, number });

impl NativeForm for Nested {
    const NAME: &'static str = "test.nested";
}

const NATIVES: NativeKinds = &[&[NativeKind::of::<()>()], &[NativeKind::of::<Nested>()]];

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,3}", "\\PC{0,20}"]
}

fn key() -> impl Strategy<Value = Key> {
    text().prop_map(Into::into)
}

fn maybe_text() -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of(text().prop_map(Into::into))
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn amount() -> impl Strategy<Value = Amount> {
    let digits = any::<(bool, i32)>().prop_flat_map(|(negative, power)| {
        "[0-9]{1,78}".prop_map(move |digits| Amount::from_digits(negative, &digits, power % 200).unwrap())
    });
    prop_oneof![digits, (any::<i128>(), 0u32..40).prop_map(|(units, scale)| Amount::from_units(units, scale))]
}

fn asset() -> impl Strategy<Value = Arc<Asset>> {
    let parts = (key(), key(), proptest::option::of(key()), 0usize..3, any::<Option<u8>>());
    parts.prop_map(|(id, code, issuer, kind, decimals)| {
        Arc::new(Asset { id, code, issuer, kind: ["native", "erc20", "credit_alphanum4"][kind], decimals })
    })
}

fn body() -> impl Strategy<Value = Body> {
    let amount = || proptest::option::of(amount());
    let json = || text().prop_map(|text| RawValue::from_string(serde_json::json!([text]).to_string()).unwrap());
    prop_oneof![
        any::<(u32, u32, u32)>().prop_map(|(transaction_count, successful_count, operation_count)| {
            Body::Ledger(LedgerFacts { transaction_count, successful_count, operation_count })
        }),
        Just(Body::BookChanges),
        (key(), key(), any::<(bool, u32, u32)>(), amount(), maybe_text()).prop_map(
            |(source, fee, rest, charged, memo)| {
                Body::Transaction(Box::new(Transaction {
                    source_account: source,
                    fee_account: fee,
                    successful: rest.0,
                    fee_charged: charged.unwrap_or(Amount::ZERO),
                    operation_count: rest.1,
                    memo,
                    application_order: rest.2,
                }))
            }
        ),
        (key(), key()).prop_map(|(contract, deployer)| Body::Deploy { contract, deployer }),
        (json(), json(), any::<(u32, u32, bool)>(), asset(), amount(), proptest::option::of(key())).prop_map(
            |(topics, data, rest, asset, amount, to)| {
                let from = to.clone();
                Body::ContractEvent(Box::new(ContractEvent {
                    contract: to.clone(),
                    topics,
                    data,
                    transaction_index: rest.0,
                    operation_index: rest.1,
                    in_successful_call: rest.2,
                    movement: rest.2.then_some(Movement { name: "mint", asset, amount, from, to }),
                }))
            }
        ),
        (key(), key(), [maybe_text(), maybe_text()], asset(), amount(), maybe_text(), any::<bool>()).prop_map(
            |(from, to, [from_muxed_id, to_muxed_id], asset, amount, memo, named)| {
                let operation = named.then_some("payment");
                Body::Payment(Box::new(Payment {
                    from,
                    to,
                    from_muxed_id,
                    to_muxed_id,
                    asset,
                    amount,
                    memo,
                    operation,
                }))
            }
        ),
        (key(), key(), asset(), asset(), amount(), maybe_text(), proptest::option::of(key())).prop_map(
            |(seller, buyer, sold, bought, amount, offer, pool)| {
                Body::Trade(Box::new(Trade {
                    seller,
                    buyer,
                    sold,
                    sold_amount: amount.clone(),
                    bought,
                    bought_amount: amount,
                    price: offer.clone().map(|price| (price.clone(), price)),
                    offer,
                    pool,
                }))
            }
        ),
    ]
}

fn native() -> impl Strategy<Value = Option<Native>> {
    let nested = (key(), proptest::collection::vec(key(), 0..3), any::<i64>()).prop_map(|(name, list, number)| {
        let list: Arc<[Arc<str>]> = list.into();
        Some(Native::new(Nested { name, lists: vec![list.clone(), list].into(), number }, 7))
    });
    prop_oneof![Just(None), Just(Some(Native::new((), 3))), nested]
}

fn event() -> impl Strategy<Value = Event> {
    let keys = || proptest::collection::vec(key(), 0..4);
    let assets = (keys(), proptest::option::of(amount())).prop_map(|(keys, amount)| AssetKeys { keys, amount });
    let place = any::<(u32, u8, u64)>().prop_map(|(transaction, rank, sub)| Place { transaction, rank, sub });
    let first = (text(), 0usize..8, place, proptest::option::of(hash()));
    (first, keys(), proptest::collection::vec(assets, 0..3), body(), native()).prop_map(
        |((id, kind, place, transaction_hash), subjects, assets, body, native)| Event {
            id: id.into(),
            kind: EventKind::ALL[kind],
            place,
            transaction_hash,
            subjects,
            assets,
            body,
            native,
        },
    )
}

fn batch() -> impl Strategy<Value = LedgerBatch> {
    let ledger = (any::<u64>(), proptest::option::of(hash()), proptest::option::of(hash()), any::<i64>());
    let ledger = ledger.prop_map(|(index, hash, parent, closed_at)| LedgerRef { index, hash, parent, closed_at });
    let kinds = [crate::event::ContinuityKind::Gap, crate::event::ContinuityKind::Reset];
    let continuity = (any::<(bool, u64, u64)>(), text()).prop_map(move |((kind, from_ledger, to_ledger), reason)| {
        crate::event::Continuity { kind: kinds[usize::from(kind)], from_ledger, to_ledger, reason }
    });
    let events = proptest::collection::vec(event(), 0..12);
    (key(), any::<u32>(), ledger, proptest::option::of(continuity), events, native()).prop_map(
        |(network, epoch, ledger, continuity, events, native)| LedgerBatch {
            source: 5,
            network,
            epoch,
            ledger,
            continuity,
            events,
            native,
        },
    )
}

/// The native forms, which `Debug` does not show.
fn natives(batch: &LedgerBatch) -> Vec<Option<&Nested>> {
    batch.events.iter().map(|event| &event.native).chain([&batch.native]).map(|it| it.as_ref()?.get()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_ledger_comes_back(batch in batch()) {
        let bytes = encode(&batch);
        let again = decode(&bytes, 5, NATIVES).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{batch:?}"));
        prop_assert_eq!(natives(&again), natives(&batch));
        prop_assert_eq!(again.weight(), batch.weight());
        prop_assert_eq!(encode(&again), bytes);
    }

    #[test]
    fn what_is_cut_or_changed_is_safe(batch in batch(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = encode(&batch);
        let at = at.index(bytes.len());
        prop_assert!(decode(&bytes[..at], 0, NATIVES).is_err());
        bytes[at] = with;
        let _ = decode(&bytes, 0, NATIVES);
    }

    #[test]
    fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, 0, NATIVES);
    }
}

#[test]
fn what_stands_often_is_kept_once() {
    let name: Arc<str> = "G".repeat(1000).into();
    let list: Arc<[Arc<str>]> = vec![name.clone(); 5].into();
    let nested = Nested { name: name.clone(), lists: vec![list; 50].into(), number: -1 };
    let mut writer = Writer::default();
    nested.write(&mut writer);
    assert!(writer.bytes.len() < 1100, "{}", writer.bytes.len());
    let mut batch = crate::broker::testing::batch(0, 1, 0);
    batch.native = Some(Native::new(nested, 0));
    let again = decode(&encode(&batch), 0, NATIVES).unwrap();
    let nested = again.native.as_ref().unwrap().get::<Nested>().unwrap();
    assert!(Arc::ptr_eq(&nested.lists[0], &nested.lists[49]) && Arc::ptr_eq(&nested.lists[0][0], &nested.name));
}

#[test]
fn lists_that_claim_too_much_take_no_memory() {
    let mut writer = Writer::default();
    writer.number(u64::MAX);
    let mut reader = Reader {
        left: &writer.bytes,
        natives: NATIVES,
        texts: Vec::new(),
        words: Vec::new(),
        shared: Vec::new(),
        memory: 1000,
        depth: 0,
    };
    assert_eq!(reader.list::<Event>().unwrap_err(), Corrupt::Length);
    let many = [[100].as_slice(), &[0; 200]].concat();
    reader.left = &many;
    assert_eq!(reader.list::<Event>().unwrap_err(), Corrupt::TooLarge);
}

#[test]
fn an_unknown_native_form_is_named() {
    let mut batch = crate::broker::testing::batch(0, 1, 0);
    batch.native = Some(Native::new((), 0));
    let error = decode(&encode(&batch), 0, crate::source::NATIVES).unwrap_err();
    assert!(error.to_string().contains("`test.nothing`"), "{error}");
}

#[test]
fn every_native_form_has_a_name_of_its_own() {
    let mut names: Vec<_> = crate::source::NATIVES.iter().copied().flatten().map(NativeKind::name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
