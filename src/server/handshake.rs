//! What a WebSocket handshake must be, and whether we take it: plain functions of the request's
//! head, so that they hold whichever way a request came in.

use super::access::{BEARER, offers_bearer};
use crate::config::Network;
use crate::dialect::ResumeError;
use crate::event::{Cursor, CursorError, Mark, Replay, SpeedError};
use actix_http::{Method, RequestHead, Response, StatusCode, Version, body::BoxBody, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only GET opens a WebSocket.
    #[error("only GET opens a WebSocket")]
    Method,
    /// HTTP/1.1 only.
    #[error("a WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// No `Connection: Upgrade`.
    #[error("header `connection: upgrade` is missing")]
    Connection,
    /// The one version is 13.
    #[error("only version 13 of the WebSocket protocol is spoken here")]
    WebSocketVersion,
    /// Not one key of 16 bytes in base64.
    #[error("header `sec-websocket-key` is missing, there twice or not 16 bytes in base64")]
    Key,
    /// A handshake has no body.
    #[error("a WebSocket handshake has no body")]
    Body,
    /// No mount there.
    #[error("no WebSocket is at this path")]
    Path,
    /// `limits.header_bytes` are passed.
    #[error("the request's headers are too large")]
    Headers,
    /// Not one of the mount's `allowed_origins`.
    #[error("pages of this origin may not connect; the operator lists those that may as `allowed_origins`")]
    Origin,
    /// None of the mount's tokens.
    #[error("a token is needed, as `authorization: Bearer …`, subprotocols `bearer, …` or `?token=…`")]
    Token,
    /// The dialect does not let the client in, and says so itself.
    #[error("the mount's dialect does not let the client in")]
    Dialect,
    /// Whether the client may come in was not known in time.
    #[error("too busy to see who you are; try again later")]
    Unanswered,
    /// As many connections of this address as may be open have not asked for anything yet.
    #[error("too many connections from your address that ask for nothing")]
    HandshakesPerAddress,
    /// Closed, or timed out, without having asked for anything.
    #[error("no request came")]
    NoRequest,
    /// `limits.connections` are open.
    #[error("too many connections; try again later")]
    Connections,
    /// `limits.connections_per_address` are open.
    #[error("too many connections from your address; close some first")]
    ConnectionsPerAddress,
    /// The mount's settings do not say `resume: true`.
    #[error("nobody can say here where to go on; the operator allows it by `resume: true`")]
    NoResume,
    /// The mount's settings do not say `replay: true`.
    #[error("nobody can say here how to go on; the operator allows it by `replay: true`")]
    NoReplay,
    /// How to go on, without where.
    #[error("speed and until say how to go on; send them with resume")]
    NoMark,
    /// One thing said twice.
    #[error("{0}: stands there twice; send one ledger or one cursor of each network, one speed, one until")]
    Twice(&'static str),
    /// No speed.
    #[error("speed: {0}")]
    Speed(SpeedError),
    /// No end.
    #[error("until: {0}")]
    Until(CursorError),
    /// It cannot go on where it says.
    #[error("resume: {0}")]
    Resume(ResumeError),
    /// The server is shutting down.
    #[error("shutting down; connect again in a moment")]
    Draining,
}

impl Refusal {
    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::HttpVersion => "http_version",
            Refusal::Connection => "connection",
            Refusal::WebSocketVersion => "websocket_version",
            Refusal::Key => "key",
            Refusal::Body => "body",
            Refusal::Path => "path",
            Refusal::Headers => "headers",
            Refusal::Origin => "origin",
            Refusal::Token => "token",
            Refusal::Dialect => "dialect",
            Refusal::Unanswered => "unanswered",
            Refusal::HandshakesPerAddress => "handshakes_per_address",
            Refusal::NoRequest => "no_request",
            Refusal::Connections => "connections",
            Refusal::ConnectionsPerAddress => "connections_per_address",
            Refusal::NoResume
            | Refusal::NoReplay
            | Refusal::NoMark
            | Refusal::Twice(_)
            | Refusal::Speed(_)
            | Refusal::Until(_)
            | Refusal::Resume(_) => "resume",
            Refusal::Draining => "draining",
        }
    }

    /// The answer; the connection is closed after it.
    pub fn response(self) -> Response<BoxBody> {
        let status = match self {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::HttpVersion
            | Refusal::Connection
            | Refusal::Key
            | Refusal::Body
            | Refusal::NoResume
            | Refusal::NoReplay
            | Refusal::NoMark
            | Refusal::Twice(_)
            | Refusal::Speed(_)
            | Refusal::Until(_)
            | Refusal::Resume(_) => StatusCode::BAD_REQUEST,
            Refusal::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Refusal::Path => StatusCode::NOT_FOUND,
            Refusal::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::Origin | Refusal::Dialect => StatusCode::FORBIDDEN,
            Refusal::Token => StatusCode::UNAUTHORIZED,
            Refusal::NoRequest => StatusCode::REQUEST_TIMEOUT,
            Refusal::Unanswered
            | Refusal::Connections
            | Refusal::ConnectionsPerAddress
            | Refusal::HandshakesPerAddress
            | Refusal::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::build(status);
        response.force_close().insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"));
        let told = match self {
            Refusal::Method => Some((header::ALLOW, "GET")),
            Refusal::WebSocketVersion => Some((header::SEC_WEBSOCKET_VERSION, "13")),
            Refusal::Token => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Refusal::Unanswered | Refusal::Connections | Refusal::ConnectionsPerAddress | Refusal::Draining => {
                Some((header::RETRY_AFTER, "5"))
            }
            _ => None,
        };
        if let Some(told) = told {
            response.insert_header(told);
        }
        response.body(format!("{self}\n")).map_into_boxed_body()
    }
}

impl actix_web::ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.response().status()
    }

    fn error_response(&self) -> actix_web::HttpResponse {
        self.response().into()
    }
}

/// RFC 6455 4.1.
const KEY_LENGTH: usize = 16;
/// The key of the curl command by which people have always tried WebSockets, Flow's guide among
/// them. It is three bytes short; libraries never send such keys.
const CURL_KEY: &[u8] = b"Hello, world!";

/// Whether the method is the one that can open a WebSocket, at whatever path: CONNECT has none.
pub fn check_method(head: &RequestHead) -> Result<(), Refusal> {
    if head.method == Method::GET { Ok(()) } else { Err(Refusal::Method) }
}

/// Whether a GET is a handshake by RFC 6455 4.2.1.
pub fn check(head: &RequestHead) -> Result<(), Refusal> {
    // RFC 6455 11.3: key and version must not come twice.
    let only = |name: &header::HeaderName| {
        let mut values = head.headers().get_all(name);
        let value = values.next()?.to_str().ok()?.trim();
        values.next().is_none().then_some(value)
    };
    if head.version != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    let upgrades = |value: &str| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    if !head.headers().get_all(header::CONNECTION).filter_map(|value| value.to_str().ok()).any(upgrades) {
        return Err(Refusal::Connection);
    }
    if only(&header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::WebSocketVersion);
    }
    let key = only(&header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    if key.is_none_or(|key| key.len() != KEY_LENGTH && key != CURL_KEY) {
        return Err(Refusal::Key);
    }
    let mut lengths = head.headers().get_all(header::CONTENT_LENGTH);
    if lengths.any(|length| length != "0") || head.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(Refusal::Body);
    }
    Ok(())
}

/// Whether the request's line and headers fit into `limits.header_bytes`. The HTTP stack itself reads
/// no more than 128 KiB.
pub fn check_size(head: &RequestHead, limit: usize) -> Result<(), Refusal> {
    let line = head.method.as_str().len() + head.uri.path_and_query().map_or(0, |asked| asked.as_str().len());
    let headers: usize = head.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + headers > limit { Err(Refusal::Headers) } else { Ok(()) }
}

/// The header of a good answer that names where the session begins, on mounts that allow to go on.
const CURSOR_HEADER: &str = "ledgercast-cursor";

/// Cursors of one request: those of all networks of a mount.
const MOST_CURSORS: usize = 64;

/// Where a client wants to go on, by `resume=` in its query, and how, by `speed=` and `until=`. A mount may allow the
/// one or both.
pub fn mark(head: &RequestHead, resumes: bool, replays: bool) -> Result<Option<(Mark, Replay)>, Refusal> {
    let asked = |name: &'static str| {
        let pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        // Clients that escape what need not be escaped.
        let text = |text: &str| text.replacen("%3A", ":", 1).replacen("%3a", ":", 1);
        pairs.filter(move |(key, _)| *key == name).map(move |(_, value)| text(value))
    };
    let once = |name: &'static str| {
        let mut all = asked(name);
        let first = all.next();
        if all.next().is_some() { Err(Refusal::Twice(name)) } else { Ok(first) }
    };
    let mut mark = None;
    for (number, text) in asked("resume").enumerate() {
        if !resumes {
            return Err(Refusal::NoResume);
        }
        let one: Mark = text.parse().map_err(|error| Refusal::Resume(ResumeError::Cursor(error)))?;
        mark = Some(match (mark, one) {
            (None, first) => first,
            // One of each network.
            (Some(Mark::After(all)), Mark::After(one)) if number < MOST_CURSORS => Mark::After(all.and(one)),
            _ => return Err(Refusal::Twice("resume")),
        });
    }
    let (speed, until) = (once("speed")?, once("until")?);
    if speed.is_none() && until.is_none() {
        return Ok(mark.map(|mark| (mark, Replay::default())));
    }
    if !replays {
        return Err(Refusal::NoReplay);
    }
    let mark = mark.ok_or(Refusal::NoMark)?;
    let speed = speed.map(|text| text.parse().map_err(Refusal::Speed)).transpose()?.unwrap_or_default();
    let until = until.map(|text| text.parse().map_err(Refusal::Until)).transpose()?;
    Ok(Some((mark, Replay { speed, until })))
}

/// The answer to a good handshake; `cursor` is where the session begins, if that is told.
pub fn accept(head: &RequestHead, cursor: Option<Cursor>) -> Response<()> {
    let mut response = actix_http::ws::handshake_response(head);
    if let Some(cursor) = cursor {
        response.insert_header((CURSOR_HEADER, cursor.to_string()));
    }
    if offers_bearer(head) {
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, BEARER));
    }
    response.finish().drop_body()
}

/// Who the client is: the peer, or behind trusted proxies the right-most hop of `X-Forwarded-For`
/// that is none of them. Anything to the left of it anybody could have written.
pub fn client(head: &RequestHead, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer;
    // As bytes: what a client wrote itself may be anything, and stands on the same line as what its proxy adds.
    let lines: Vec<&[u8]> = head.headers().get_all("x-forwarded-for").map(|value| value.as_bytes()).collect();
    for hop in lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).rev() {
        if !is_trusted(client) {
            break;
        }
        // A hop that is no address cannot be believed, nor what stands before it.
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| hop.trim().parse().ok()) else { break };
        client = address;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CursorEntry, Place};
    use actix_http::header::{HeaderName, HeaderValue};

    fn head(lines: &[&'static str]) -> RequestHead {
        let mut head = RequestHead::default();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            head.headers.append(HeaderName::from_static("x-forwarded-for"), line);
        }
        head
    }

    #[test]
    fn where_to_go_on() {
        let (ledger, good) = (|number| Ok(Some((Mark::Ledger(number), Replay::default()))), (true, true));
        let mark = |query: &str, (resumes, replays)| {
            let mut head = RequestHead::default();
            head.uri = format!("/ws{query}").parse().unwrap();
            super::mark(&head, resumes, replays)
        };
        let malformed = || Err(Refusal::Resume(ResumeError::Cursor(CursorError::Malformed)));
        let cursor = |network: &str, ledger| Cursor {
            entries: vec![CursorEntry { network: network.into(), ledger, place: Place::END, hash: None }],
        };
        let (one, two, later) = (cursor("one", 5), cursor("two", 9), cursor("one", 6));
        let both = Ok(Some((Mark::After(later.clone().and(two.clone())), Replay::default())));
        let replay = Replay { speed: "2.5x".parse().unwrap(), until: Some(Mark::Ledger(9)) };
        let until = Replay { until: Some(Mark::After(two.clone())), ..Replay::default() };
        for (query, allowed, expected) in [
            ("", (false, false), Ok(None)),
            ("?a=b", good, Ok(None)),
            ("?xresume=1", good, Ok(None)),
            ("?token=x&resume=ledger:5", (true, false), ledger(5)),
            ("?resume=ledger%3A5", (true, false), ledger(5)),
            ("?resume=ledger:5", (false, false), Err(Refusal::NoResume)),
            ("?resume=", good, malformed()),
            ("?resume=ledger:x", good, malformed()),
            ("?resume=oldest", good, malformed()),
            ("?resume=AQEB", good, malformed()),
            (&format!("?resume={one}&resume={two}&resume={later}"), good, both),
            (&format!("?resume={one}&resume=ledger:5"), good, Err(Refusal::Twice("resume"))),
            ("?resume=ledger:5&resume=ledger:5", good, Err(Refusal::Twice("resume"))),
            (&format!("?{}resume={one}", format!("resume={one}&").repeat(64)), good, Err(Refusal::Twice("resume"))),
            ("?resume=ledger:5&speed=2.5x&until=ledger:9", good, Ok(Some((Mark::Ledger(5), replay.clone())))),
            ("?until=ledger%3A9&speed=2.5x&resume=ledger:5", good, Ok(Some((Mark::Ledger(5), replay)))),
            (&format!("?resume=ledger:5&until={two}"), good, Ok(Some((Mark::Ledger(5), until)))),
            ("?resume=ledger:5&speed=max", good, ledger(5)),
            ("?resume=ledger:5&speed=max", (true, false), Err(Refusal::NoReplay)),
            ("?resume=ledger:5&until=ledger:9", (true, false), Err(Refusal::NoReplay)),
            ("?speed=1x", good, Err(Refusal::NoMark)),
            ("?until=ledger:9", good, Err(Refusal::NoMark)),
            ("?resume=ledger:5&speed=1", good, Err(Refusal::Speed(SpeedError))),
            ("?resume=ledger:5&until=9", good, Err(Refusal::Until(CursorError::Malformed))),
            ("?resume=ledger:5&speed=1x&speed=1x", good, Err(Refusal::Twice("speed"))),
            ("?resume=ledger:5&until=ledger:9&until=ledger:9", good, Err(Refusal::Twice("until"))),
        ] {
            assert_eq!(mark(query, allowed), expected, "{query}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.9".parse().unwrap()];
        let of = |lines: &[&'static str], peer: &str| client(&head(lines), address(peer), &trusted);
        assert_eq!(of(&["203.0.113.1"], "198.51.100.1"), address("198.51.100.1"));
        assert_eq!(of(&["203.0.113.1"], "10.1.1.1"), address("203.0.113.1"));
        assert_eq!(of(&["6.6.6.6, 203.0.113.1, 10.2.2.2"], "10.1.1.1"), address("203.0.113.1"));
        assert_eq!(of(&["6.6.6.6, 203.0.113.1", "192.0.2.9"], "10.1.1.1"), address("203.0.113.1"));
        assert_eq!(of(&["6.6.6.6, nonsense"], "10.1.1.1"), address("10.1.1.1"));
        assert_eq!(of(&["é, 203.0.113.1"], "10.1.1.1"), address("203.0.113.1"));
        assert_eq!(of(&["é"], "10.1.1.1"), address("10.1.1.1"));
        assert_eq!(of(&[], "10.1.1.1"), address("10.1.1.1"));
    }
}
