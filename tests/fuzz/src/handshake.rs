//! What is read of a request's head.

use actix_http::header::{HeaderName, HeaderValue};
use actix_http::{Method, RequestHead, StatusCode};
use ledgercast::config::Network;
use ledgercast::server::handshake;
use std::net::IpAddr;

/// Whose `X-Forwarded-For` is believed.
const TRUSTED: [&str; 3] = ["10.0.0.0/8", "192.0.2.9", "fd00::/8"];

/// A method, the peer's address, then headers: one to a line.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut head = RequestHead::default();
    let Some(method) = lines.next().and_then(|line| Method::from_bytes(line).ok()) else { return };
    head.method = method;
    let peer = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let peer: IpAddr = peer.unwrap_or(IpAddr::from([10, 0, 0, 1]));
    for line in lines.take(100) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..at]);
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            head.headers_mut().append(name, value);
        }
    }

    match handshake::check(&head) {
        Ok(()) => assert_eq!(handshake::accept(&head, None).status(), StatusCode::SWITCHING_PROTOCOLS),
        Err(refusal) => {
            let status = refusal.response().status();
            assert!(status.is_client_error() || status.is_server_error());
        }
    }

    let trusted: Vec<Network> = TRUSTED.iter().map(|network| network.parse().expect("a network")).collect();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    assert_eq!(handshake::client(&head, peer, &[]), peer, "nobody is believed");
    let client = handshake::client(&head, peer, &trusted);
    let lines =
        head.headers().get_all("x-forwarded-for").flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let hops: Vec<&str> = lines.map(|hop| std::str::from_utf8(hop).unwrap_or("no text").trim()).collect();
    if !is_trusted(&peer) {
        assert_eq!(client, peer);
    } else if client != peer {
        // It stands in the header, and all after it are ours.
        let at = hops.iter().rposition(|hop| hop.parse::<IpAddr>().is_ok_and(|hop| !is_trusted(&hop)));
        let at = at.unwrap_or(0);
        assert!(is_trusted(&client) || hops[at].parse() == Ok(client), "{client} of {hops:?}");
    }
}
