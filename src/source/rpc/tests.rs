use super::*;
use crate::source::testing::{Reply, serve};
use serde_json::{Value, json};

fn client(urls: &[&str], max_response: usize) -> RpcClient {
    let urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    RpcClient::new(Settings { urls, headers: HeaderMap::new(), timeout: Duration::from_millis(300), max_response })
        .unwrap()
}

async fn error_of(reply: fn() -> Reply) -> SourceError {
    let url = serve(move |_, _| reply()).await;
    client(&[&url], 1000).call::<Value>("getHealth", &json!({})).await.unwrap_err()
}

#[actix::test]
async fn each_fault_has_its_name() {
    assert_eq!(error_of(|| Reply::Cut).await.kind(), "transport");
    assert_eq!(error_of(|| Reply::Silence).await.kind(), "timeout");
    assert_eq!(error_of(|| Reply::Body(vec![b' '; 1001])).await.kind(), "too_large");
    let redirect = error_of(|| Reply::Status(302, "location: http://127.0.0.1:1/\r\n")).await;
    assert!(matches!(redirect, SourceError::Status { status: 302, .. }), "{redirect}");
    let limited = error_of(|| Reply::Status(429, "retry-after: 7\r\n")).await;
    assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
    let refused = error_of(|| Reply::Error(-32600, "line\nbreak".into())).await;
    assert_eq!(refused.rpc_code(), Some(-32600));
    assert!(refused.to_string().ends_with("line break"));
}

#[actix::test]
async fn answers_are_hostile_until_proven() {
    for body in
        ["", "[]", "null", "{", r#"{"id":1}"#, r#"{"id":2,"result":1}"#, r#"{"id":"1","result":1}"#, r#"{"result":1}"#]
    {
        let url = serve(move |_, _| Reply::Body(body.into())).await;
        let error = client(&[&url], 1000).call::<Value>("m", &json!({})).await.unwrap_err();
        assert_eq!(error.kind(), "malformed", "{body}");
    }
    let deep = || Reply::Body(format!(r#"{{"id":1,"result":{}1{}}}"#, "[".repeat(400), "]".repeat(400)).into());
    assert_eq!(error_of(deep).await.kind(), "malformed");
    let typed = serve(|_, _| Reply::Result(json!("text"))).await;
    assert_eq!(client(&[&typed], 1000).call::<u32>("m", &json!({})).await.unwrap_err().kind(), "malformed");
    // An error object is believed even where the server could not read the id.
    let error = || Reply::Body(br#"{"id":null,"error":{"code":-32700,"message":"parse"}}"#.to_vec());
    assert_eq!(error_of(error).await.rpc_code(), Some(-32700));
}

/// `{"id":1,"result":"xxx…"}` with 5,000 times `x`, gzipped.
const GZIPPED: [u8; 65] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 177, 13, 128, 32, 0, 4, 192, 93, 190, 182, 177, 101, 30, 44, 76, 168,
    20, 19, 19, 194, 238, 76, 65, 119, 119, 35, 119, 77, 57, 143, 60, 215, 251, 181, 158, 146, 31, 0, 0, 0, 0, 216, 46,
    115, 1, 93, 31, 29, 196, 156, 19, 0, 0,
];

#[actix::test]
async fn the_size_counts_after_decompression() {
    let url = serve(|_, _| Reply::Gzip(GZIPPED.into())).await;
    assert_eq!(client(&[&url], 6000).call::<String>("m", &json!({})).await, Ok("x".repeat(5000)));
    assert_eq!(client(&[&url], 5000).call::<String>("m", &json!({})).await.unwrap_err().kind(), "too_large");
}

#[actix::test]
async fn another_node_takes_over() {
    let bad = serve(|_, _| Reply::Status(500, "")).await;
    let good = serve(|_, _| Reply::Result(json!(7))).await;
    let mut client = client(&[&bad, &good], 1000);
    assert!(client.call::<u32>("m", &json!({})).await.is_err());
    assert_eq!(client.endpoint(), 1);
    assert_eq!(client.call::<u32>("m", &json!({})).await, Ok(7));
    // A refused position is an answer, not a fault of the node; another refusal is one.
    let refusing = serve(|_, _| Reply::Error(-32602, "no".into())).await;
    let mut client = self::client(&[&refusing, &good], 1000);
    assert!(client.call::<u32>("getLedgers", &json!({})).await.is_err());
    assert_eq!(client.endpoint(), 0);
    assert!(client.call::<u32>("getNetwork", &json!({})).await.is_err());
    assert_eq!(client.endpoint(), 1);
}

#[test]
fn secret_headers() {
    let (name, value) = header("X-Api-Key: abc", "authorization").unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap(), value.is_sensitive()), ("x-api-key", "abc", true));
    let (name, value) = header("Bearer abc", "authorization").unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer abc"));
    assert!(header("", "authorization").is_none());
}
