//! Why nobody comes in, and how that is told.

use crate::dialect::HttpReply;
use std::time::Duration;

/// What may be shown.
const CHALLENGE: &str = r#"Basic realm="Users", Bearer realm="Users""#;

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It shows nothing.
    None,
    /// No such user, or another password: nobody shall tell which.
    Password,
    /// The token is forged, cut, run out, or its user is gone.
    Token,
    /// Too many passwords wait to be verified.
    Busy,
    /// Too many failures lately.
    Slowed {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Denied {
    /// The word for it in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Denied::None => "no_credentials",
            Denied::Password => "password",
            Denied::Token => "token",
            Denied::Busy => "busy",
            Denied::Slowed { .. } => "slowed",
        }
    }

    /// The answer to a handshake: always JSON.
    pub fn reply_to_upgrade(&self) -> HttpReply {
        let none = r#"{"id":"UnauthorizedError","message":"Unauthorized"}"#;
        match self {
            Denied::None => HttpReply::json(401, none).with("www-authenticate", CHALLENGE),
            _ => self.reply(),
        }
    }

    /// The answer. Where the original has one it is that, but for a user who does not exist.
    pub fn reply(&self) -> HttpReply {
        let told = |status, id: &str, message: &str| {
            HttpReply::json(status, serde_json::json!({ "id": id, "message": message }).to_string())
        };
        match self {
            Denied::None => HttpReply {
                status: 401,
                headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
                body: b"Unauthorized".to_vec(),
            }
            .with("www-authenticate", CHALLENGE),
            Denied::Password => told(401, "UnauthorizedError", "Invalid password"),
            Denied::Token => told(401, "UnauthorizedError", "Invalid token"),
            Denied::Busy => told(503, "ServiceUnavailableError", "Too many logins at once; try again in a moment")
                .with("retry-after", "2"),
            Denied::Slowed { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).max(1);
                told(429, "TooManyRequestsError", "Too many failed logins; try again later")
                    .with("retry-after", seconds.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_answers_alike() {
        let text = |denied: Denied| {
            let reply = denied.reply();
            let headers: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{} [{}] {}", reply.status, headers.join(", "), String::from_utf8(reply.body).unwrap())
        };
        assert_eq!(
            text(Denied::None),
            r#"401 [content-type: text/plain; charset=utf-8, www-authenticate: Basic realm="Users", Bearer realm="Users"] Unauthorized"#
        );
        let json = "content-type: application/json";
        let upgrade = Denied::None.reply_to_upgrade();
        assert_eq!(upgrade.body, br#"{"id":"UnauthorizedError","message":"Unauthorized"}"#);
        assert!(upgrade.headers.iter().any(|(name, _)| *name == "www-authenticate"));
        assert_eq!(Denied::Token.reply_to_upgrade(), Denied::Token.reply());
        let unauthorized = |message| format!(r#"401 [{json}] {{"id":"UnauthorizedError","message":"{message}"}}"#);
        assert_eq!(text(Denied::Password), unauthorized("Invalid password"));
        assert_eq!(text(Denied::Token), unauthorized("Invalid token"));
        assert!(text(Denied::Busy).starts_with(&format!("503 [{json}, retry-after: 2] {{")));
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (9999, 10)] {
            let slowed = text(Denied::Slowed { retry_after: Duration::from_millis(millis) });
            assert!(slowed.starts_with(&format!("429 [{json}, retry-after: {seconds}] {{")), "{slowed}");
        }
    }
}
