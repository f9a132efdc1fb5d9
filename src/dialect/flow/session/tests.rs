//! What transcripts cannot say: the change that a session asks for, its size, hostile bytes.
//! Everything else is in `tests/data/flow/`.

use super::*;
use crate::broker::{RenderingId, Renderings};
use crate::config::units::Time;
use crate::dialect::flow::{Config, FlowMount};
use crate::dialect::{Applied, MountContext};
use proptest::prelude::*;
use serde_json::json;

fn session() -> Session {
    let config = Config { max_queue_size: 7, registration_timeout: Time::secs(3), ..Config::default() };
    Session::new(
        FlowMount::new(
            config,
            MountContext { values_per_session: 1000, sources: 1, ..MountContext::default() },
            &mut Renderings::default(),
        )
        .shared,
    )
}

fn handle(session: &mut Session, input: Input<'_>) -> Vec<Action> {
    let mut output = Output::default();
    session.handle(input, Duration::ZERO, &mut output);
    output.actions
}

#[test]
fn small_enough_for_ten_thousand() {
    assert!(size_of::<Session>() <= 32, "{}", size_of::<Session>());
}

#[test]
fn the_timer_runs_until_the_first_register() {
    let mut session = session();
    let opened = handle(&mut session, Input::Opened);
    assert!(matches!(
        opened[..],
        [Action::Send(Lane::Control, _), Action::Alarm(Some(at))] if at == Duration::from_secs(3)
    ));
    assert!(matches!(handle(&mut session, Input::Text("?"))[..], [Action::Send(Lane::Data, _)]));
    let first = handle(&mut session, Input::Text(r#"{"type":"register"}"#));
    assert!(matches!(first[..], [Action::Alarm(None), Action::Subscribe(_)]));
    let later = handle(&mut session, Input::Text(r#"{"type":"register"}"#));
    assert!(matches!(later[..], [Action::Subscribe(_)]));
}

#[test]
fn the_first_change_begins_in_the_queue() {
    let mut session = session();
    let register = r#"{"type":"register","filters":{"types":["trade"],"asset_codes":["XLM"]}}"#;
    let Some(Action::Subscribe(change)) = handle(&mut session, Input::Text(register)).pop() else { panic!() };
    assert_eq!(change.start, Start::Opened { at_most: 7 });
    assert_eq!(change.subscription.rendering, RenderingId(0));
    assert!(!change.subscription.copy_per_tag);
    assert_eq!(change.subscription.clauses.len(), 1);
    let answer = |dropped| {
        let Some(Action::Subscribe(change)) = handle(&mut self::session(), Input::Text(register)).pop() else {
            panic!()
        };
        let frame = (change.answer)(&Applied { dropped, ..Applied::default() }).unwrap();
        String::from_utf8(frame[4..].to_vec()).unwrap()
    };
    assert!(answer(3).contains(r#""dropped":3"#));
    assert!(!answer(0).contains("dropped"));
}

/// Of several networks each may have gone on in another way.
#[test]
fn everything_is_told_of_how_a_client_goes_on() {
    let told = |resumed: Resumed| -> serde_json::Value {
        let Some(Action::Subscribe(change)) = handle(&mut session(), Input::Text(r#"{"type":"register"}"#)).pop()
        else {
            panic!()
        };
        let frame = (change.answer)(&Applied { resumed: Some(resumed), ..Applied::default() }).unwrap();
        let mut told: serde_json::Value = serde_json::from_slice(&frame[frame.len().min(4)..]).unwrap();
        for field in ["type", "message", "filters"] {
            told.as_object_mut().unwrap().remove(field).unwrap();
        }
        told
    };
    let lost = vec![Lost { network: "a".into(), from_ledger: 3, to_ledger: 5 }];
    let parted = vec![Parted { network: "b".into(), last_common_ledger: 8 }];
    let gap = json!({ "network": "a", "from_ledger": 3, "to_ledger": 5, "oldest_ledger": 6 });
    let reorg = json!({ "network": "b", "last_common_ledger": 8 });
    let resumed = json!({ "ledgers": 2, "events_before_filter": 9 });
    let all = Resumed { ledgers: 2, events: 9, lost, parted, from_head: vec!["c".into()] };
    let of = |resumed: &Resumed| resumed.clone();
    assert_eq!(told(of(&all)), json!({ "gap": gap, "reorg": reorg, "from_head": ["c"] }));
    assert_eq!(told(Resumed { parted: Vec::new(), ..of(&all) }), json!({ "gap": gap, "from_head": ["c"] }));
    let whole = Resumed { lost: Vec::new(), parted: Vec::new(), ..all };
    assert_eq!(told(of(&whole)), json!({ "resumed": resumed, "from_head": ["c"] }));
    assert_eq!(told(Resumed { from_head: Vec::new(), ..whole }), json!({ "resumed": resumed }));
}

#[test]
fn filters_that_can_match_nothing_are_no_clause() {
    let register = r#"{"type":"register","filters":{"types":["unheard_of"]}}"#;
    let Some(Action::Subscribe(change)) = handle(&mut session(), Input::Text(register)).pop() else { panic!() };
    assert!(change.subscription.clauses.is_empty());
}

#[test]
fn nothing_after_the_close() {
    let mut session = session();
    assert!(!handle(&mut session, Input::Ending(Ending::Shutdown)).is_empty());
    for input in [Input::Text(r#"{"type":"register"}"#), Input::Text("?"), Input::Alarm, Input::TooManyChanges] {
        assert!(handle(&mut session, input).is_empty());
    }
}

/// A last word must not stand behind data that a client does not read.
#[test]
fn last_words_overtake_waiting_data() {
    for input in [
        Input::Alarm,
        Input::Ending(Ending::TooSlow),
        Input::Ending(Ending::Unreadable),
        Input::Ending(Ending::TooManyMessages),
    ] {
        let actions = handle(&mut session(), input);
        assert!(matches!(actions[..], [Action::Send(Lane::Control, _), Action::Close { code: 1008 | 1012, .. }]));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_safe(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let mut session = session();
        for message in &messages {
            let mut output = Output::default();
            session.handle(Input::Binary(message), Duration::ZERO, &mut output);
            prop_assert!(output.actions.iter().all(|action| matches!(action, Action::Send(Lane::Data, _))));
        }
    }
}
