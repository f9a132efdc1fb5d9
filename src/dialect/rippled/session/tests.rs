//! What transcripts cannot say: the subscriptions that a session asks for, its size, hostile bytes.
//! Everything else is in `tests/data/rippled/`.

use super::*;
use crate::broker::{RenderingId, Renderings};
use crate::dialect::rippled::{Config, RippledMount};
use crate::dialect::{Call, Lane, MountContext};
use crate::event::{Body, Event, EventKind, Key, KindSet, LedgerFacts, Place};
use crate::source::xrpl::currency::{affected_key, book_key};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const ALICE: &str = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh";
const GATE: &str = "rhub8VRN55s94qWKDv6jmDy1pUykJzF3wq";
const FIRST: RenderingId = RenderingId(0);
const SECOND: RenderingId = RenderingId(1);

fn session_with(config: Config) -> Session {
    let context = MountContext { values_per_session: 1000, sources: 1, waiting_changes: 16, ..MountContext::default() };
    Session::new(RippledMount::new(config, context, &mut Renderings::default()).shared)
}

fn session() -> Session {
    session_with(Config::default())
}

fn handle(session: &mut Session, input: Input<'_>) -> Vec<Action> {
    let mut output = Output::default();
    session.handle(input, Duration::ZERO, &mut output);
    output.actions
}

fn say(session: &mut Session, request: &Value) -> Vec<Action> {
    handle(session, Input::Text(&request.to_string()))
}

/// The subscription that a request leads to; it takes effect.
#[track_caller]
fn change(session: &mut Session, request: Value) -> Subscription {
    let Some(Action::Subscribe(change)) = say(session, &request).pop() else { panic!("no change: {request}") };
    assert_eq!(change.start, Start::Head);
    assert!(handle(session, Input::Applied).is_empty());
    change.subscription
}

fn subjects(subscription: &Subscription) -> Vec<&str> {
    subscription.clauses.iter().flat_map(|clause| &clause.subjects).map(|key| &**key).collect()
}

fn usd() -> Value {
    json!({"currency": "USD", "issuer": GATE})
}

fn xrp() -> Value {
    json!({"currency": "XRP"})
}

#[test]
fn small_enough_for_ten_thousand() {
    assert!(size_of::<Session>() <= 48, "{}", size_of::<Session>());
    let mut session = session();
    for request in [
        json!({"command": "subscribe", "accounts": [ALICE]}),
        json!({"command": "unsubscribe", "accounts": [GATE]}),
        json!({"command": "ping"}),
    ] {
        say(&mut session, &request);
        handle(&mut session, Input::Applied);
        assert!(session.busy.is_none(), "nothing is kept of {request}");
    }
    // Accounts are in memory once, for the router and for the session.
    let subscription = change(&mut session, json!({"command": "subscribe", "accounts": [GATE]}));
    assert!(Arc::ptr_eq(&subscription.clauses, &session.subscription().clauses));
    // A call, too, leaves nothing behind.
    let asked = say(&mut session, &json!({"command": "fee"}));
    assert!(matches!(&asked[..], [Action::Call(Call { number: 1, method, .. })] if &**method == "fee"));
    let answered = handle(&mut session, Input::Answered { call: 1, outcome: Ok("{}") });
    assert!(matches!(answered[..], [Action::Send(Lane::Data, _)]));
    assert!(session.busy.is_none());
}

/// Only a `subscribe` sets the version, and it holds for all that the session has.
#[test]
fn the_version_is_that_of_the_last_subscribe() {
    let session = &mut session();
    let version = |session: &Session| session.subscription().rendering;
    let streams = change(session, json!({"command": "subscribe", "streams": ["transactions"], "api_version": 2}));
    assert_eq!(streams.rendering, SECOND);
    for request in [
        json!({"command": "ping"}),
        json!({"command": "ping", "api_version": 1}),
        json!({"command": "fee"}),
        json!({"command": "server_info"}),
        json!({"command": "subscribe", "streams": ["bogus"]}),
        json!({"command": "subscribe", "streams": ["ledger"], "api_version": 3}),
        json!({"command": "unsubscribe", "accounts": [ALICE], "api_version": 1}),
    ] {
        assert!(!say(session, &request).iter().any(|action| matches!(action, Action::Subscribe(_))), "{request}");
        assert_eq!(version(session), SECOND, "{request}");
    }
    let account = json!({"command": "subscribe", "accounts": [ALICE], "api_version": 2});
    assert_eq!(change(session, account).rendering, SECOND);
    let other = change(session, json!({"command": "unsubscribe", "streams": ["transactions"]}));
    assert_eq!(other.rendering, SECOND);
    // What was subscribed before changes with it.
    let first = change(session, json!({"command": "subscribe"}));
    assert_eq!((first.rendering, subjects(&first)), (FIRST, vec![&*affected_key(ALICE)]));
}

#[test]
fn subscriptions_add_up() {
    let session = &mut session();
    let streams =
        change(session, json!({"command": "subscribe", "streams": ["ledger", "book_changes", "transactions"]}));
    let kinds = [EventKind::Ledger, EventKind::BookChanges, EventKind::Transaction];
    assert_eq!(streams.everything_of(), Some(KindSet::of(&kinds)));
    let accounts = change(session, json!({"command": "subscribe", "accounts": [GATE, ALICE, GATE]}));
    let (alice, gate) = (affected_key(ALICE), affected_key(GATE));
    let mut expected = vec![&*alice, &*gate];
    expected.sort_unstable();
    assert_eq!(subjects(&accounts), expected);
    assert!(accounts.clauses.iter().all(|clause| clause.is_sorted() && !clause.kinds.is_empty()));
    let proposed = change(session, json!({"command": "subscribe", "accounts_proposed": [ALICE]}));
    assert_eq!(subjects(&proposed).len(), 3);
    let left = change(session, json!({"command": "unsubscribe", "streams": ["ledger"], "accounts": [ALICE, GATE]}));
    assert_eq!(subjects(&left), [&*affected_key(ALICE)], "the proposed ones are another list");
    let nothing =
        json!({"command": "unsubscribe", "streams": ["book_changes", "transactions"], "rt_accounts": [ALICE]});
    assert!(change(session, nothing).clauses.is_empty());
}

/// A book is found under the names that it has, as the source writes them.
#[test]
fn books_by_their_keys() {
    let session = &mut session();
    let hex = json!({"currency": "0000000000000000000000005553440000000000", "issuer": GATE});
    let name = format!("USD/{GATE}");
    let book = change(session, json!({"command": "subscribe", "books": [{"taker_pays": xrp(), "taker_gets": hex}]}));
    assert_eq!(subjects(&book), [&*book_key("XRP", &name, None)]);
    let both = json!({"taker_pays": usd(), "taker_gets": xrp(), "both": true, "domain": "ab".repeat(32)});
    let both = change(session, json!({"command": "subscribe", "books": [both]}));
    let domain = "AB".repeat(32);
    let mut expected: Vec<Key> = vec![
        book_key("XRP", &name, None),
        book_key("XRP", &name, Some(&domain)),
        book_key(&name, "XRP", Some(&domain)),
    ];
    expected.sort_unstable();
    assert_eq!(subjects(&both), expected.iter().map(|key| &**key).collect::<Vec<_>>());
    let one = json!({"command": "unsubscribe", "books": [{"taker_pays": xrp(), "taker_gets": usd(), "both": true}]});
    assert_eq!(subjects(&change(session, one)).len(), 2);
}

fn transaction(subjects: Vec<Key>) -> Event {
    Event {
        id: "id".into(),
        kind: EventKind::Transaction,
        place: Place::new(0, EventKind::Transaction, 0),
        transaction_hash: None,
        subjects,
        assets: Vec::new(),
        body: Body::Ledger(LedgerFacts { transaction_count: 0, successful_count: 0, operation_count: 0 }),
        native: None,
    }
}

/// How often one transaction is sent: once, or as the ledger's own servers do it.
#[test]
fn copies() {
    let name = format!("USD/{GATE}");
    let keys = [affected_key(ALICE), affected_key(GATE), book_key("XRP", &name, None), book_key(&name, "XRP", None)];
    let event = transaction(keys.to_vec());
    let book = json!({"taker_pays": xrp(), "taker_gets": usd()});
    let both = json!({"taker_pays": xrp(), "taker_gets": usd(), "both": true});
    for (request, copies) in [
        (json!({"accounts": [ALICE, GATE]}), 1),
        (json!({"accounts": [ALICE], "accounts_proposed": [ALICE]}), 1),
        (json!({"books": [both]}), 1),
        (json!({"streams": ["transactions"], "accounts": [ALICE]}), 2),
        (json!({"streams": ["transactions", "transactions_proposed"]}), 2),
        (json!({"streams": ["transactions"], "accounts": [ALICE], "books": [book]}), 3),
        (json!({"streams": ["ledger", "book_changes"]}), 0),
        (json!({"accounts": ["rDTXLQ7ZKZVKz33zJbHjgVShjsBnqMBhmN"]}), 0),
    ] {
        for (duplicates, expected) in [(Duplicates::Once, copies.min(1)), (Duplicates::PerSubscription, copies)] {
            let mut request = request.clone();
            request["command"] = "subscribe".into();
            let subscription = change(&mut session_with(Config { duplicates, ..Config::default() }), request.clone());
            assert_eq!(subscription.copies(subscription.mask(&event)), expected, "{duplicates:?} {request}");
        }
    }
}

#[test]
fn a_ledgers_own_events_come_once() {
    let config = Config { duplicates: Duplicates::PerSubscription, ..Config::default() };
    let streams = ["ledger", "book_changes", "transactions", "transactions_proposed"];
    let request = json!({"command": "subscribe", "streams": streams, "accounts": [ALICE]});
    let subscription = change(&mut session_with(config), request);
    for kind in [EventKind::Ledger, EventKind::BookChanges] {
        let event = Event { kind, ..transaction(Vec::new()) };
        assert_eq!(subscription.copies(subscription.mask(&event)), 1);
    }
}

#[test]
fn nothing_after_the_close() {
    let mut session = session();
    say(&mut session, &json!({"command": "fee"}));
    assert!(!handle(&mut session, Input::Ending(Ending::Shutdown)).is_empty());
    for input in [
        Input::Text(r#"{"command":"ping"}"#),
        Input::Text("?"),
        Input::Alarm,
        Input::Applied,
        Input::TooManyChanges,
        Input::Answered { call: 1, outcome: Ok("{}") },
    ] {
        assert!(handle(&mut session, input).is_empty());
    }
}

/// A last word must not stand behind data that a client does not read.
#[test]
fn last_words_overtake_waiting_data() {
    let actions = handle(&mut session(), Input::Ending(Ending::TooManyMessages));
    assert!(matches!(actions[..], [Action::Send(Lane::Control, _), Action::Close { code: 1008, .. }]));
}

/// Inputs that nothing was asked for change nothing.
#[test]
fn what_comes_unasked() {
    let mut session = session();
    let applied = Applied::default();
    for input in [
        Input::Opened,
        Input::Applied,
        Input::Held(&applied),
        Input::Alarm,
        Input::TooManyChanges,
        Input::Answered { call: 7, outcome: Err(CallError::Busy) },
    ] {
        assert!(handle(&mut session, input).is_empty());
        assert!(session.busy.is_none());
    }
}

/// The type of the message in a frame. What a client wrote may stand in it, also escapes that are half a character.
fn kind(frame: &[u8]) -> String {
    let header = match frame[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    let message: BTreeMap<String, &RawValue> = serde_json::from_slice(&frame[header..]).unwrap();
    serde_json::from_str(message["type"].get()).unwrap()
}

const NAMES: [&str; 9] =
    ["id", "api_version", "streams", "accounts", "rt_accounts", "books", "url", "secret", "\\u0069d"];
const COMMANDS: [&str; 8] = ["subscribe", "unsubscribe", "ping", "fee", "server_info", "submit", "bogus", "version"];

/// Texts that look like requests.
fn request() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(r#"["ledger"]"#.to_owned()),
        Just(format!(r#"["{ALICE}"]"#)),
        Just(r#"[{"taker_pays":{"currency":"XRP"},"taker_gets":{"currency":"USD","issuer":"rhub8VRN55s94qWKDv6jmDy1pUykJzF3wq"},"both":true,"snapshot":true}]"#.to_owned()),
        Just(r#"[{"taker_pays":null,"taker_gets":{}}]"#.to_owned()),
        Just("2".to_owned()),
        Just("null".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just("[".repeat(300) + &"]".repeat(300)),
        "[ -~]{0,12}",
    ];
    let field = (proptest::sample::select(&NAMES[..]), value);
    (proptest::sample::select(&COMMANDS[..]), proptest::collection::vec(field, 0..4)).prop_map(|(command, fields)| {
        let fields: String = fields.iter().map(|(name, value)| format!(r#","{name}":{value}"#)).collect();
        format!(r#"{{"command":"{command}"{fields}}}"#)
    })
}

#[derive(Debug, Clone)]
enum Happening {
    Said(Vec<u8>),
    Applied,
    Held,
    Answered(u32, Result<String, CallError>),
    Alarm,
    NotTaken,
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome = prop_oneof![
        Just(Err(CallError::Busy)),
        Just(Err(CallError::Unreachable)),
        Just(Ok(r#"{"offers":[1]}"#.to_owned())),
        Just(Ok(r#"{"error":"x","status":"error"}"#.to_owned())),
        Just(Ok(r#"{"error":"lgrNotFound","status":"error"}"#.to_owned())),
        "[ -~]{0,12}".prop_map(Ok),
    ];
    prop_oneof![
        8 => request().prop_map(|text| Happening::Said(text.into_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Happening::Said),
        3 => Just(Happening::Applied),
        2 => Just(Happening::Held),
        3 => (1u32..20, outcome).prop_map(|(call, outcome)| Happening::Answered(call, outcome)),
        1 => Just(Happening::Alarm),
        1 => Just(Happening::NotTaken),
    ]
}

proptest! {
    /// Whatever is said and happens: every message is answered, once; what waits is bounded; in the end nothing is
    /// under way.
    #[test]
    fn anything_is_answered(happenings in proptest::collection::vec(happening(), 0..60)) {
        let mut session = session();
        let (mut said, mut answered) = (0usize, 0usize);
        // Changes and holds (true) in their order, and calls.
        let mut waiting = VecDeque::new();
        let (mut held, mut calls) = (false, BTreeSet::new());
        let ledger = newest_for_tests();
        let (mut now, mut alarm) = (Duration::ZERO, None);
        let mut steps: VecDeque<_> = happenings.into();
        loop {
            let step = steps.pop_front().unwrap_or_else(|| match (waiting.front(), calls.first()) {
                _ if held => Happening::Alarm,
                (Some(true), _) => Happening::Held,
                (Some(false), _) => Happening::Applied,
                (None, Some(call)) => Happening::Answered(*call, Err(CallError::Busy)),
                (None, None) => Happening::NotTaken,
            });
            if waiting.is_empty() && calls.is_empty() && !held && matches!(step, Happening::NotTaken) && steps.is_empty() {
                break;
            }
            let mut output = Output::default();
            match &step {
                Happening::Said(bytes) => {
                    said += 1;
                    session.handle(Input::Binary(bytes), now, &mut output);
                }
                Happening::Applied => {
                    if held || waiting.front() != Some(&false) {
                        continue;
                    }
                    waiting.pop_front();
                    answered += 1;
                    session.handle(Input::Applied, now, &mut output);
                }
                Happening::Held => {
                    if held || waiting.front() != Some(&true) {
                        continue;
                    }
                    waiting.pop_front();
                    held = true;
                    session.handle(Input::Held(&ledger), now, &mut output);
                }
                Happening::Answered(call, outcome) => {
                    if !calls.remove(call) {
                        continue;
                    }
                    let outcome = outcome.as_deref().map_err(|error| *error);
                    session.handle(Input::Answered { call: *call, outcome }, now, &mut output);
                }
                Happening::Alarm => {
                    // A held session has always asked for one.
                    prop_assert!(alarm.is_some() || !held);
                    now = alarm.take().unwrap_or(now);
                    session.handle(Input::Alarm, now, &mut output);
                }
                // The server says so at once or not at all; that is `not_taken`, in the transcripts.
                Happening::NotTaken => continue,
            }
            let mut actions: VecDeque<_> = output.actions.into();
            while let Some(action) = actions.pop_front() {
                match action {
                    Action::Send(lane, frame) => {
                        prop_assert!(lane != Lane::Control);
                        prop_assert!(["response", "error"].contains(&&*kind(&frame)));
                        answered += 1;
                    }
                    Action::Subscribe(change) => {
                        prop_assert!(change.subscription.clauses.iter().all(|clause| clause.is_sorted()));
                        waiting.push_back(false);
                    }
                    Action::Hold => waiting.push_back(true),
                    Action::Release(release) => {
                        prop_assert!(std::mem::take(&mut held));
                        prop_assert_eq!(kind(&release.answer), "response");
                        answered += 1;
                        // As the server does, after what was asked for meanwhile.
                        let mut output = Output::default();
                        session.handle(Input::Applied, now, &mut output);
                        actions.extend(output.actions);
                    }
                    Action::Call(call) => prop_assert!(calls.insert(call.number), "a number twice"),
                    Action::Alarm(at) => alarm = at,
                    Action::Close { .. } => prop_assert!(false, "nothing closes"),
                }
                prop_assert!(waiting.len() <= 16 && calls.len() <= 8, "{} {}", waiting.len(), calls.len());
            }
        }
        prop_assert_eq!(said, answered);
        prop_assert!(session.busy.is_none());
    }
}

fn newest_for_tests() -> Applied {
    use crate::event::{LedgerBatch, LedgerRef, Native};
    let native = Ledger {
        hash: "AB".into(),
        close_time: 1,
        close_time_iso: "".into(),
        transactions: 0,
        fee_base: 10,
        reserve_base: 1,
        reserve_increment: 1,
        network_id: None,
        validated_ledgers: "1-7".into(),
    };
    let batch = LedgerBatch {
        source: 0,
        network: "xrpl".into(),
        epoch: 0,
        ledger: LedgerRef { index: 7, hash: None, parent: None, closed_at: 0 },
        continuity: None,
        events: Vec::new(),
        native: Some(Native::new(native, 0)),
    };
    let entry = crate::broker::StreamEntry::new(batch, 1, 0, std::time::Instant::now(), 0, Arc::default());
    Applied { ledger: Some(Arc::new(entry)), ..Applied::default() }
}
