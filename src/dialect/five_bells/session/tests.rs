//! What no list of transcripts can say: that nothing that a client sends goes unanswered or does harm.

use super::super::{Config, FiveBellsMount};
use crate::broker::Renderings;
use crate::dialect::{Action, Applied, Dialect, Entry, Input, Mount, MountContext, MountedSource, Opening, Output};
use crate::event::Family;
use crate::source::Coin;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const URL: &str = "http://l.example";
/// Of the password `alice`, for next to nothing.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$bGVkZ2VyY2FzdC10ZXN0cw$XjYQND83E7v7aJGgGM3CpA";
const VALUES: usize = 3;
const WAITING: u32 = 2;

/// Alice's session, who has one account.
fn session() -> Box<dyn Dialect> {
    let config: Config = serde_json::from_value(json!({
        "ledgers": { "xrp": { "source": "s" } },
        "users": [{ "name": "alice", "password_hash": HASH, "accounts": ["xrp:own"] }],
    }))
    .unwrap();
    let coins = vec![Coin { id: "XRP".to_owned(), code: "XRP".to_owned(), decimals: Some(6) }];
    let context = MountContext {
        url: URL.to_owned(),
        values_per_session: VALUES,
        waiting_changes: WAITING as usize,
        mounted: vec![MountedSource { number: 0, name: "s".to_owned(), family: Family::Xrpl, coins }],
        ..MountContext::default()
    };
    let mount = FiveBellsMount::new(config, context, &mut Renderings::default());
    let shown = format!("Basic {}", STANDARD.encode("alice:alice"));
    match mount.open(Opening { authorization: Some(&shown), ..Opening::at("/websocket", "") }) {
        Some(Entry::Asking(answer)) => actix::System::new().block_on(answer).unwrap(),
        _ => panic!("a password takes its time"),
    }
}

/// An order, good or nearly so.
fn order() -> impl Strategy<Value = Value> {
    let account = prop_oneof![
        5 => Just(format!("{URL}/accounts/own")),
        1 => Just(format!("{URL}/accounts/other")),
        1 => "\\PC{0,20}",
    ];
    let params = prop_oneof![
        4 => ("[a-z.*]{0,9}", prop::collection::vec(account, 0..5), any::<bool>()).prop_map(|(event, accounts, list)| {
            let params = json!({ "eventType": event, "accounts": accounts });
            if list { json!([params]) } else { params }
        }),
        1 => prop::sample::select(vec![json!(null), json!([]), json!({}), json!([1]), json!("x")]),
    ];
    let id = prop_oneof![
        3 => any::<i32>().prop_map(Value::from),
        1 => "\\PC{0,9}".prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let method = prop::sample::select(vec!["subscribe_account", "subscribe_account", "subscribe_all_accounts", "x"]);
    (id, method, params, prop::option::weighted(0.1, "[a-z]{1,7}")).prop_map(|(id, method, params, extra)| {
        let mut order = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if let Some(extra) = extra {
            order[extra] = json!(1);
        }
        order
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => order().prop_map(|order| order.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (order(), 0usize..200).prop_map(|(order, cut)| {
            let mut bytes = order.to_string().into_bytes();
            bytes.truncate(cut);
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_message_is_answered_once_and_nobody_gets_more_than_their_own(
        messages in prop::collection::vec((message(), any::<bool>()), 1..20),
    ) {
        let mut session = session();
        let mut waiting = 0;
        for (message, applies) in messages {
            let mut output = Output::default();
            session.handle(Input::Binary(&message), Duration::ZERO, &mut output);
            prop_assert_eq!(output.actions.len(), 1, "{:?}", String::from_utf8_lossy(&message));
            match output.actions.remove(0) {
                Action::Send(_, frame) => prop_assert!(frame.len() < 4096, "not much more than was sent"),
                Action::Subscribe(change) => {
                    for clause in change.subscription.clauses.iter() {
                        prop_assert!(clause.is_sorted());
                        prop_assert_eq!(&clause.subjects, &["account:own".into()]);
                    }
                    prop_assert!((change.answer)(&Applied::default()).is_some());
                    waiting += 1;
                }
                _ => prop_assert!(false, "another action"),
            }
            prop_assert!(waiting <= WAITING);
            if applies && waiting > 0 {
                waiting -= 1;
                session.handle(Input::Applied, Duration::ZERO, &mut Output::default());
            }
        }
    }
}
