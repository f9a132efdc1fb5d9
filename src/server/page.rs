//! The pages that a browser finds on a listener.

use super::handshake::Refusal;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The page with a place for the path that it connects to. It loads nothing else, so it works
/// without a network.
const INDEX: &str = include_str!("page.html");

/// Where the path goes: into an attribute, which the script reads. So the script itself is the same
/// for everybody and can be allowed by its hash.
const PATH: &str = "{{flow_path}}";

/// A page that shows the stream of this listener as it comes.
#[derive(Debug, Clone)]
pub struct Index {
    body: Bytes,
    policy: String,
}

impl Index {
    /// The page for a listener whose Flow clients connect at `flow_path`; `None`: it has none, and
    /// the page says so.
    pub fn new(flow_path: Option<&str>) -> Index {
        let body = INDEX.replacen(PATH, &escaped(flow_path.unwrap_or_default()), 1);
        // Only our own script and style run, even if a text from a ledger ever got into the page as
        // HTML. `'self'` does not mean the WebSockets of the same host in every browser.
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self' ws: wss:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash_of("script"),
            hash_of("style"),
        );
        Index { body: body.into(), policy }
    }

    /// The answer to a GET.
    pub fn answer(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, self.policy.as_str()))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            // A new version of the server may have a new page.
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .body(self.body.clone())
    }
}

/// As text of an attribute between double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The source expression that allows the page's one element of this name.
fn hash_of(element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let content = INDEX.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |parts| parts.0);
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(flow_path: Option<&str>) -> String {
        String::from_utf8(Index::new(flow_path).body.to_vec()).unwrap()
    }

    #[test]
    fn knows_where_to_connect_and_cannot_be_broken_by_it() {
        assert!(text(Some("/ws")).contains("<body data-flow-path=\"/ws\">"));
        assert!(text(None).contains("<body data-flow-path=\"\">"));
        let odd = text(Some("/\"><script>'&"));
        assert!(odd.contains("<body data-flow-path=\"/&quot;&gt;&lt;script&gt;'&amp;\">"));
        assert_eq!(odd.matches("<script>").count(), 1);
    }

    #[test]
    fn the_policy_allows_what_the_page_has_and_no_more() {
        for element in ["script", "style"] {
            assert_eq!(INDEX.matches(&format!("<{element}")).count(), 1, "each is allowed by the hash of the one");
            assert_ne!(hash_of(element), hash_of("none such"), "{element} was found");
        }
        assert!(!INDEX.contains("style="), "an attribute is not covered by the hash");
        for outside in ["src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!INDEX.contains(outside), "{outside}");
        }
        let policy = Index::new(None).policy;
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
