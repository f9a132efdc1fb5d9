//! What pages of other origins are told before they may read an answer.

use super::access::Access;
use super::handshake::Refusal;
use actix_http::header::{self, HeaderMap, HeaderValue};
use actix_http::{Method, RequestHead};
use actix_web::HttpResponse;

/// What any dialect that answers HTTP takes.
const METHODS: &str = "GET, HEAD, POST, PUT";
const HEADERS: &str = "authorization, content-type";
/// Seconds for which a browser may remember it.
const MAX_AGE: &str = "86400";

/// Who may read the answer to a request.
pub struct Cors {
    /// `None`: no page, or one that may not.
    origin: Option<HeaderValue>,
    /// Whether others may be answered otherwise.
    varies: bool,
}

impl Cors {
    /// By the rules of a mount.
    pub fn of(access: &Access, head: &RequestHead) -> Cors {
        if access.allows_all_origins() {
            return Cors { origin: Some(HeaderValue::from_static("*")), varies: false };
        }
        let origin = head.headers().get(header::ORIGIN).filter(|origin| access.allows_origin(origin)).cloned();
        Cors { origin, varies: true }
    }

    /// The answer to the question of a browser whether a page may ask at all. It never shows a token.
    pub fn preflight(&self, head: &RequestHead) -> Option<HttpResponse> {
        let asks = |name| head.headers().contains_key(name);
        if head.method != Method::OPTIONS || !asks(header::ORIGIN) || !asks(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        if self.origin.is_none() {
            return Some(Refusal::Origin.response().into());
        }
        let mut response = HttpResponse::NoContent();
        response.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS));
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS));
        response.insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE));
        Some(response.finish())
    }

    /// Says it in an answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
}
