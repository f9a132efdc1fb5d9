use super::*;
use crate::source::testing::{Reply as Said, serve};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Bytes.
const LARGEST_ANSWER: usize = 1 << 20;

fn upstream(urls: &[&str]) -> XrplUpstream {
    let config: Config = serde_json::from_value(json!({ "rpc_urls": urls, "timeout": "400ms" })).unwrap();
    XrplUpstream::new(&config, LARGEST_ANSWER).unwrap()
}

/// An address at which nobody listens.
fn nobody() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", socket.local_addr().unwrap())
}

const INFO: &str =
    r#"{"info":{"build_version":"2.0.0","complete_ledgers":"1-5","validated_ledger":{"age":3,"base_fee_xrp":1e-05}}}"#;

fn info() -> Said {
    Said::Body(format!(r#"{{"result":{INFO}}}"#).into_bytes())
}

#[actix::test]
async fn a_call_is_passed_on_as_it_is_and_so_is_its_answer() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let url = serve(move |method, params| {
        seen.lock().unwrap().push((method.to_owned(), params.clone()));
        Said::Body(br#"{"result":{"drops":100000000000000001,"x":1.10,"status":"success"}}"#.to_vec())
    })
    .await;
    let answer = upstream(&[&url]).call("account_info", r#"{"account":"rA","api_version":2}"#).await.unwrap();
    assert_eq!(&*answer, r#"{"drops":100000000000000001,"x":1.10,"status":"success"}"#);
    let expected: (String, Value) = ("account_info".into(), json!([{ "account": "rA", "api_version": 2 }]));
    assert_eq!(*asked.lock().unwrap(), [expected]);
    let refused = upstream(&[&url]).call("account_info", "{").await;
    assert_eq!(refused, Err(CallError::Unreachable), "never anything that is no object");
}

#[actix::test]
async fn what_a_server_says_in_http_is_said_to_the_client_in_its_own_words() {
    let answer = async |reply: fn() -> Said| {
        let url = serve(move |_, _| reply()).await;
        upstream(&[&url]).call("tx", "{}").await.map(|answer| serde_json::from_str::<Value>(&answer).unwrap())
    };
    assert_eq!(answer(|| Said::Text(400, "invalid_API_version")).await.unwrap()["error"], "invalid_API_version");
    assert_eq!(answer(|| Said::Text(403, "Forbidden")).await.unwrap()["error_code"], 6);
    assert_eq!(answer(|| Said::Text(400, "params unparsable")).await.unwrap()["error"], "invalidParams");
    let refused = || Said::Result(json!({ "error": "txnNotFound", "status": "error" }));
    assert_eq!(answer(refused).await.unwrap()["error"], "txnNotFound");
    assert_eq!(answer(|| Said::Text(503, "Server is overloaded")).await, Err(CallError::Busy));
    assert_eq!(answer(|| Said::Body(vec![b' '; LARGEST_ANSWER + 1])).await, Err(CallError::TooLarge));
    for unusable in [
        (|| Said::Cut) as fn() -> Said,
        || Said::Silence,
        || Said::Body(b"<html>".to_vec()),
        || Said::Body(format!(r#"{{"result":{{"a":{}{}}}}}"#, "[".repeat(900), "]".repeat(900)).into()),
    ] {
        assert_eq!(answer(unusable).await, Err(CallError::Unreachable));
    }
}

#[actix::test]
async fn the_next_server_is_asked_where_one_fails() {
    let good = serve(|_, _| Said::Result(json!({ "from": "good" }))).await;
    let refusing = serve(|_, _| Said::Result(json!({ "error": "noNetwork", "status": "error" }))).await;
    let upstream = upstream(&[&nobody(), &refusing, &good]);
    for _ in 0..2 {
        assert_eq!(&*upstream.call("fee", "{}").await.unwrap(), r#"{"from":"good"}"#);
    }
    assert_eq!(upstream.servers.current.get(), 2, "and is kept");
    let all_refuse = self::upstream(&[&refusing]);
    assert!(all_refuse.call("fee", "{}").await.unwrap().contains("noNetwork"), "an answer all the same");
}

#[actix::test]
async fn the_next_server_is_asked_where_one_has_not_the_ledger() {
    let good = serve(|_, _| Said::Result(json!({ "offers": [] }))).await;
    let lacking = serve(|_, _| Said::Result(json!({ "error": "lgrNotFound", "status": "error" }))).await;
    let refusing = serve(|_, _| Said::Result(json!({ "error": "noNetwork", "status": "error" }))).await;
    let upstream = upstream(&[&lacking, &good]);
    assert_eq!(&*upstream.call("book_offers", "{}").await.unwrap(), r#"{"offers":[]}"#);
    assert_eq!(upstream.servers.current.get(), 0, "what one ledger lacks is no trouble");
    for others in [[&refusing, &nobody()], [&nobody(), &refusing]] {
        let upstream = self::upstream(&[others[0], &lacking, others[1]]);
        let answer = upstream.call("book_offers", "{}").await.unwrap();
        assert!(answer.contains("lgrNotFound"), "it can be asked again: {answer}");
    }
}

#[actix::test]
async fn a_state_is_never_told_that_was_long_ago() {
    let state = Arc::new(Mutex::new(0));
    let seen = state.clone();
    let url = serve(move |_, _| match *seen.lock().unwrap() {
        0 => Said::Result(json!({ "state": { "server_state": "full" }, "status": "success" })),
        1 => Said::Cut,
        2 => Said::Result(json!({ "error": "noNetwork", "status": "error" })),
        _ => Said::Result(json!({ "error": "unknownCmd", "status": "error" })),
    })
    .await;
    let upstream = upstream(&[&url]);
    let ask = || upstream.call("server_state", r#"{"api_version":2}"#);
    let good = ask().await.unwrap();
    for now in 1..=3 {
        *state.lock().unwrap() = now;
        upstream.state.last.borrow_mut().as_mut().unwrap().1 = Instant::now();
        assert_eq!(ask().await.as_ref(), Ok(&good), "it is fresh");
        upstream.state.last.borrow_mut().as_mut().unwrap().1 -= FRESH * 2;
        match now {
            3 => assert!(ask().await.unwrap().contains("unknownCmd")),
            // In each API version it has another word.
            _ => assert_eq!(ask().await, Err(CallError::Unreachable)),
        }
    }
    *state.lock().unwrap() = 0;
    assert_eq!(ask().await, Ok(good));
}

#[actix::test]
async fn many_who_ask_at_once_are_one_question() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let url = serve(move |_, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        info()
    })
    .await;
    let upstream = upstream(&[&url]);
    let all = futures_util::join!(
        upstream.call("server_info", "{}"),
        upstream.call("server_info", r#"{"api_version":2}"#),
        upstream.call("server_info", "{}"),
    );
    for answer in [all.0, all.1, all.2, upstream.call("server_info", "{}").await] {
        assert_eq!(&*answer.unwrap(), INFO);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    upstream.call("server_state", "{}").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each method for itself");
}

#[actix::test]
async fn while_no_server_answers_the_last_answer_grows_older() {
    let up = Arc::new(Mutex::new(true));
    let state = up.clone();
    let url = serve(move |_, _| if *state.lock().unwrap() { info() } else { Said::Silence }).await;
    let upstream = upstream(&[&url]);
    assert_eq!(&*upstream.call("server_info", "{}").await.unwrap(), INFO);
    *up.lock().unwrap() = false;
    // As if it had been a minute ago.
    let known = &upstream.info;
    let minute_ago = Instant::now() - Duration::from_secs(60);
    known.last.borrow_mut().as_mut().unwrap().1 = minute_ago;
    for _ in 0..2 {
        let asked = Instant::now();
        let answer = upstream.call("server_info", "{}").await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        let value: Value = serde_json::from_str(&answer).unwrap();
        let age = value["info"]["validated_ledger"]["age"].as_u64().unwrap();
        assert!((63..90).contains(&age), "{answer}");
        assert!(answer.contains(r#""base_fee_xrp":1e-05"#), "nothing else is touched: {answer}");
    }
    *up.lock().unwrap() = true;
    crate::source::testing::until("it is down for certain", || known.asking.get().is_none()).await;
    let mut answer = upstream.call("server_info", "{}").await.unwrap();
    for _ in 0..100 {
        if &*answer == INFO {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = upstream.call("server_info", "{}").await.unwrap();
    }
    panic!("it never comes back: {answer}");
}

#[actix::test]
async fn before_the_first_answer_nothing_is_known() {
    let silent = serve(|_, _| Said::Silence).await;
    let refusing = serve(|_, _| Said::Result(json!({ "error": "noNetwork", "status": "error" }))).await;
    for url in [nobody(), silent, refusing] {
        assert_eq!(upstream(&[&url]).call("server_info", "{}").await, Err(CallError::NotReady));
    }
}

#[test]
fn only_an_age_that_is_there_is_made_older() {
    assert_eq!(aged("{}", 5), None);
    assert_eq!(aged(r#"{"info":{"validated_ledger":{"seq":1}}}"#, 5), None);
    let told = r#"{"a":1,"info":{"x":0.10,"validated_ledger":{"seq":1,"age":2}},"status":"success"}"#;
    let expected = r#"{"a":1,"info":{"x":0.10,"validated_ledger":{"seq":1,"age":7}},"status":"success"}"#;
    assert_eq!(aged(told, 5).as_deref(), Some(expected));
}
