//! The pages that a browser finds on a listener.

use actix_web::http::header;
use actix_web::{HttpResponse, Responder};

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

/// What a plain GET of a WebSocket's path gets.
pub async fn upgrade_required() -> impl Responder {
    HttpResponse::UpgradeRequired()
        .insert_header((header::UPGRADE, "websocket"))
        .insert_header((header::CONNECTION, "Upgrade"))
        .content_type("text/plain; charset=utf-8")
        .body("this is a WebSocket; connect with a WebSocket client\n")
}
