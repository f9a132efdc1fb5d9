//! Who may connect to a mount: pages of allowed origins, holders of a token.
//!
//! Tokens are kept as their SHA-256 alone: nothing that is compared or could be printed is one.

use super::handshake::Refusal;
use super::tls::FileError;
use crate::config::{Mount, Origin};
use actix_http::RequestHead;
use actix_http::header::{AUTHORIZATION, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// The subprotocol that a browser offers before its token, since it can set no header.
pub const BEARER: &str = "bearer";
/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// So that it fits into a header with room for the rest.
const LONGEST_TOKEN: usize = 512;

/// Tokens of one request that are looked at: there are three places for one, and each costs a hash.
const MOST_OFFERED: usize = 4;

/// What a token is known by.
pub type TokenId = [u8; 32];

/// The rules of one mount.
#[derive(Debug, Default)]
pub struct Access {
    origins: Vec<Origin>,
    tokens: Option<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    key: String,
    file: PathBuf,
    known: RwLock<HashSet<TokenId>>,
}

impl Access {
    /// The rules of a mount that stands at `key` in the settings; reads its tokens.
    pub fn load(mount: &Mount, key: &str) -> Result<Access, FileError> {
        let tokens = match &mount.tokens_file {
            None => None,
            Some(file) => {
                let tokens = Tokens { key: format!("{key}.tokens_file"), file: file.clone(), known: RwLock::default() };
                tokens.read()?;
                Some(tokens)
            }
        };
        Ok(Access { origins: mount.allowed_origins.clone(), tokens })
    }

    /// Reads the tokens again; on an error those from before stay.
    pub fn reload(&self) -> Result<(), FileError> {
        self.tokens.as_ref().map_or(Ok(()), Tokens::read)
    }

    /// Whether the client may connect, and with which token.
    pub fn judge(&self, head: &RequestHead) -> Result<Option<Box<TokenId>>, Refusal> {
        if head.headers().get(ORIGIN).is_some_and(|origin| !self.allows_origin(origin)) {
            return Err(Refusal::Origin);
        }
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let known = tokens.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut offered = offered(head).take(MOST_OFFERED).map(|token| TokenId::from(Sha256::digest(token)));
        offered.find(|token| known.contains(token)).map(|token| Some(Box::new(token))).ok_or(Refusal::Token)
    }

    /// Whether pages of every origin may connect.
    pub fn allows_all_origins(&self) -> bool {
        self.origins.is_empty()
    }

    /// Whether pages of this one may.
    pub fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let named = |origin| self.origins.iter().any(|allowed| allowed.allows(origin));
        self.allows_all_origins() || origin.to_str().is_ok_and(named)
    }

    /// Whether a client that came in with this token would still.
    pub fn still_allows(&self, token: Option<&TokenId>) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let known = tokens.known.read().unwrap_or_else(PoisonError::into_inner);
        token.is_some_and(|token| known.contains(token))
    }
}

impl Tokens {
    fn read(&self) -> Result<(), FileError> {
        let wrong = |reason: String| FileError { key: self.key.clone(), file: self.file.clone(), reason };
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| wrong(format!("{error}; write one token to a line")))?;
        let mut known = HashSet::new();
        for (number, line) in text.lines().enumerate() {
            let token = line.split('#').next().unwrap_or_default().trim();
            if token.is_empty() {
                continue;
            }
            // What fits into every place where a client may put it, as it is.
            let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            if !token.chars().all(fits) || !(SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&token.len()) {
                let number = number + 1;
                return Err(wrong(format!(
                    "line {number} is no token; write {SHORTEST_TOKEN} to {LONGEST_TOKEN} letters, digits or -._~, such \
                     as `openssl rand -hex 32` gives"
                )));
            }
            known.insert(TokenId::from(Sha256::digest(token)));
        }
        if known.is_empty() {
            return Err(wrong("holds no token; write one to a line".to_owned()));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

/// The tokens that a request brings, wherever they stand.
fn offered(head: &RequestHead) -> impl Iterator<Item = &str> {
    let header = |name: HeaderName| head.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = header(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
    });
    let in_query = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("token="));
    // After `bearer` whatever is offered, since the order of subprotocols is the client's preference.
    let protocols = offers_bearer(head).then(|| protocols(head).filter(|name| *name != BEARER));
    bearer.into_iter().chain(protocols.into_iter().flatten()).chain(in_query)
}

/// The subprotocols that a request offers.
fn protocols(head: &RequestHead) -> impl Iterator<Item = &str> {
    let lines = head.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Whether the client offers the subprotocol `bearer`: a browser gives up if its offer is not taken.
pub fn offers_bearer(head: &RequestHead) -> bool {
    protocols(head).any(|name| name == BEARER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{DialectConfig, flow};

    const TOKEN: &str = "0123456789abcdef-._~";
    const OTHER: &str = "fedcba9876543210fedc";

    fn mount(tokens: Option<PathBuf>, origins: &[&str]) -> Mount {
        Mount {
            dialect: DialectConfig::Flow(flow::Config::default()),
            path: "/ws".to_owned(),
            sources: Vec::new(),
            allowed_origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            tokens_file: tokens,
            resume: false,
            replay: false,
            begin: None,
        }
    }

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.uri = uri.parse().unwrap();
        for (name, value) in headers {
            head.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        head
    }

    #[test]
    fn a_token_may_stand_in_three_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, format!("# ours\n{TOKEN} # the dashboards\n\n{OTHER}\n")).unwrap();
        let access = Access::load(&mount(Some(file.clone()), &[]), "listeners[0].mounts[0]").unwrap();
        let protocol = "sec-websocket-protocol";
        let bearer = format!("Bearer {TOKEN}");
        let (two, other_order) = (format!("bearer, {TOKEN}"), format!("{TOKEN},bearer"));
        let query = format!("/ws?a=b&token={TOKEN}&c");
        for (uri, headers, allowed) in [
            ("/ws", vec![], false),
            ("/ws", vec![("authorization", bearer.as_str())], true),
            ("/ws", vec![("authorization", "bearer 0123456789abcdef")], false),
            ("/ws", vec![("authorization", TOKEN)], false),
            ("/ws", vec![(protocol, two.as_str())], true),
            ("/ws", vec![(protocol, other_order.as_str())], true),
            ("/ws", vec![(protocol, "bearer"), (protocol, TOKEN)], true),
            ("/ws", vec![(protocol, TOKEN)], false),
            (query.as_str(), vec![], true),
            (query.as_str(), vec![("authorization", "Basic x")], true),
            ("/ws?token=", vec![], false),
            ("/ws?xtoken=0123456789abcdef-._~", vec![], false),
        ] {
            let judged = access.judge(&request(uri, &headers));
            assert_eq!(judged.is_ok(), allowed, "{uri} {headers:?}");
            assert!(allowed || judged == Err(Refusal::Token));
        }
        let id = access.judge(&request(&query, &[])).unwrap();
        assert!(access.still_allows(id.as_deref()));
        assert!(!format!("{access:?}").contains(TOKEN));

        // A bad file changes nothing and is not repeated.
        for bad in ["short", "with space 0123456789abcdef", "", "# none\n", "0123456789abcdef/="] {
            std::fs::write(&file, bad).unwrap();
            let error = access.reload().unwrap_err().to_string();
            assert!(error.starts_with("listeners[0].mounts[0].tokens_file: "), "{error}");
            assert!(bad.is_empty() || !error.contains(bad.trim_start_matches("# ")), "{error}");
            assert!(access.still_allows(id.as_deref()));
        }
        std::fs::write(&file, OTHER).unwrap();
        access.reload().unwrap();
        assert!(!access.still_allows(id.as_deref()) && !access.still_allows(None));
    }

    #[test]
    fn pages_of_other_origins_stay_out() {
        let access = Access::load(&mount(None, &["https://app.example.com"]), "x").unwrap();
        let judge = |origin: &str| access.judge(&request("/ws", &[("origin", origin)]));
        assert_eq!(judge("https://app.example.com"), Ok(None));
        assert_eq!(judge("https://evil.example.com"), Err(Refusal::Origin));
        assert_eq!(judge("null"), Err(Refusal::Origin));
        assert_eq!(access.judge(&request("/ws", &[])), Ok(None), "no browser");
        let open = Access::load(&mount(None, &[]), "x").unwrap();
        assert_eq!(open.judge(&request("/ws", &[("origin", "https://evil.example.com")])), Ok(None));
        assert!(open.still_allows(None));
    }
}
