//! The pages that a browser finds on a listener.

use super::handshake::Refusal;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder};

/// A page that shows the stream of this listener as it comes.
const INDEX: &str = include_str!("page.html");

/// The page at `/`.
pub async fn index() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src ws: wss:",
        ))
        .body(INDEX)
}

/// What a plain GET of a WebSocket's path gets. A handshake with a body in chunks comes here as well:
/// for the HTTP stack it asks for no upgrade.
pub async fn upgrade_required(request: HttpRequest) -> HttpResponse {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Refusal::Body.response().into();
    }
    HttpResponse::UpgradeRequired()
        .insert_header((header::UPGRADE, "websocket"))
        .insert_header((header::CONNECTION, "Upgrade"))
        .content_type("text/plain; charset=utf-8")
        .body("this is a WebSocket; connect with a WebSocket client\n")
}
