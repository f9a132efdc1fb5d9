//! What transcripts cannot say: the change that a session asks for, ids, lanes, keys that are taken back, hostile
//! bytes. Everything else is in `tests/data/maticvigil/`.

use super::*;
use crate::broker::Renderings;
use crate::dialect::maticvigil::{Config, MaticVigilMount};
use crate::dialect::{Action, Applied, Lane, Mount, MountContext};
use proptest::prelude::*;
use serde_json::json;

const BOARD: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
const ID: &str = "00000000-0000-4000-8000-00000000002a";

fn mount(keys: Value) -> MaticVigilMount {
    let config: Config = serde_json::from_value(json!({ "keys": keys })).unwrap();
    MaticVigilMount::new(config, MountContext::default(), &mut Renderings::default())
}

fn session() -> Session {
    let keys = json!([{ "key": "good", "contracts": [BOARD] }, { "key": "other" }]);
    Session::new(mount(keys).shared, Id(42))
}

fn handle(session: &mut Session, input: Input<'_>) -> Vec<Action> {
    let mut output = Output::default();
    session.handle(input, Duration::ZERO, &mut output);
    output.actions
}

fn say(session: &mut Session, message: Value) -> Vec<Action> {
    handle(session, Input::Text(&message.to_string()))
}

fn registered() -> Session {
    let mut session = session();
    say(&mut session, json!({ "command": "register", "key": "good" }));
    handle(&mut session, Input::Applied);
    session
}

/// The payload of a short frame.
fn payload(frame: &[u8]) -> Value {
    serde_json::from_slice(&frame[2..]).unwrap()
}

#[test]
fn small_enough_for_ten_thousand() {
    assert!(size_of::<Session>() <= 48, "{}", size_of::<Session>());
}

#[test]
fn ids_are_random_uuids() {
    assert_eq!(Id(42).to_string(), ID);
    assert_eq!(Id(u128::MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    let id = Id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).to_string();
    assert_eq!(id, "01234567-89ab-4def-8123-456789abcdef");
}

#[test]
fn the_acknowledgement_is_the_answer_to_the_change() {
    let mut session = session();
    let opened = handle(&mut session, Input::Opened);
    assert!(matches!(opened[..], [Action::Alarm(Some(at))] if at == Duration::from_secs(10)));
    let mut actions = say(&mut session, json!({ "command": "register", "key": "good" }));
    let Some(Action::Subscribe(change)) = actions.pop() else { panic!() };
    assert!(matches!(actions[..], [Action::Alarm(None)]));
    assert_eq!(change.start, Start::Head);
    assert_eq!(change.subscription.clauses.len(), 2);
    let answer = (change.answer)(&Applied::default()).unwrap();
    assert_eq!(payload(&answer), json!({ "command": "register:ack", "sessionID": ID }));
}

/// Clients take the next frame for the answer to their heartbeat.
#[test]
fn later_answers_overtake_data() {
    let mut session = registered();
    for message in [json!({ "command": "heartbeat", "sessionID": ID }), json!({ "command": "register", "key": "good" })]
    {
        let actions = say(&mut session, message);
        let [Action::Send(Lane::Control, frame)] = &actions[..] else { panic!() };
        assert_eq!(payload(frame)["sessionID"], ID);
    }
}

/// Also for a client that does not wait for it.
#[test]
fn the_acknowledgement_comes_before_the_end() {
    let mut session = session();
    say(&mut session, json!({ "command": "register", "key": "good" }));
    let actions = say(&mut session, json!({ "command": "unregister", "key": "good" }));
    let [Action::Send(Lane::Control, ack), Action::Send(Lane::Control, end), Action::Close { code: 1000, .. }] =
        &actions[..]
    else {
        panic!()
    };
    assert_eq!(payload(ack)["command"], "register:ack");
    assert_eq!(payload(end), json!({ "command": "unregister:ack" }));
    assert!(handle(&mut session, Input::Applied).is_empty());
    assert!(say(&mut session, json!({ "command": "register", "key": "good" })).is_empty());
}

#[test]
fn what_means_nothing_is_counted() {
    for (message, word) in [
        (json!({ "command": "heartbeat", "sessionID": Id(43).to_string() }), "heartbeat_of_another"),
        (json!({ "command": "heartbeat" }), "heartbeat_of_another"),
        (json!({ "command": "unregister", "key": "other" }), "unregister_of_another"),
        (json!({ "command": "unregister" }), "unregister_of_another"),
        (json!({ "command": "subscribe" }), "unknown_message"),
        (json!({ "command": 1 }), "unknown_message"),
        (json!([]), "unknown_message"),
    ] {
        let mut output = Output::default();
        registered().handle(Input::Text(&message.to_string()), Duration::ZERO, &mut output);
        assert!(output.actions.is_empty(), "{message}");
        assert_eq!(output.protocol_error, Some(word), "{message}");
    }
}

#[test]
fn a_key_can_be_taken_back() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "good\n").unwrap();
    let mount = mount(json!([{ "key_file": file.path(), "contracts": [BOARD] }]));
    mount.read_files().unwrap();
    let mut session = Session::new(mount.shared.clone(), Id(42));
    assert!(session.still_allowed());
    let register = json!({ "command": "register", "key": "good" });
    say(&mut session, register.clone());
    handle(&mut session, Input::Applied);
    assert!(session.still_allowed());
    std::fs::write(file.path(), "new").unwrap();
    mount.read_files().unwrap();
    assert!(!session.still_allowed());
    let actions = say(&mut session, register);
    assert!(matches!(actions[..], [Action::Send(Lane::Control, _), Action::Close { code: 1008, .. }]));
}

proptest! {
    /// Anything is answered by nothing, by one frame, or by one and the end; only the key opens.
    #[test]
    fn any_text_is_safe(texts in prop::collection::vec(prop_oneof![
        "\\PC{0,60}",
        "[{\\[]{0,200}",
        "\\{\"command\":\"(register|heartbeat|unregister|x)\",\"(key|sessionID)\":(\"(other|good|x)\"|1|null|\\[\\])\\}",
    ], 1..8), registered in any::<bool>()) {
        let mut session = if registered { self::registered() } else { session() };
        let mut closed = false;
        for text in texts {
            let actions = handle(&mut session, Input::Text(&text));
            prop_assert!(!closed || actions.is_empty());
            prop_assert!(actions.len() <= 3);
            let opens = actions.iter().any(|action| matches!(action, Action::Subscribe(_)));
            prop_assert!(!opens || text.contains("good") || text.contains("other"));
            closed |= actions.iter().any(|action| matches!(action, Action::Close { .. }));
            handle(&mut session, Input::Binary(text.as_bytes()));
            closed |= session.state == State::Closed;
        }
    }
}
