//! What transcripts cannot say: the change that a session asks for, its size, hostile bytes.
//! Everything else is in `tests/data/flow/`.

use super::*;
use crate::broker::{RenderingId, Renderings};
use crate::config::units::Time;
use crate::dialect::flow::{Config, FlowMount};
use crate::dialect::{Applied, MountContext};
use proptest::prelude::*;

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
    for input in [Input::Alarm, Input::Ending(Ending::TooSlow), Input::Ending(Ending::TooManyMessages)] {
        let actions = handle(&mut session(), input);
        assert!(matches!(actions[..], [Action::Send(Lane::Control, _), Action::Close { code: 1008, .. }]));
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
