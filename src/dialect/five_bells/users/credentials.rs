//! What a request shows to prove who sends it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// What a request shows: a header, a token in its query, both or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The `Authorization` header.
    pub authorization: Option<Box<str>>,
    /// The value of `token` in the query.
    pub token: Option<Box<str>>,
}

/// A name and a password, as a client sent them.
#[derive(PartialEq, Eq)]
pub(super) struct Basic {
    /// In lower case, as all names are.
    pub name: Box<str>,
    pub password: Box<str>,
}

impl Credentials {
    /// Those of a request with this header and this query (without its question mark).
    pub fn of(authorization: Option<&str>, query: &str) -> Credentials {
        // An address that takes a query as a form has it.
        let token = || {
            let address = reqwest::Url::parse(&format!("x:?{query}")).ok()?;
            address.query_pairs().find(|(key, _)| key == "token").map(|(_, value)| value.into_owned().into_boxed_str())
        };
        Credentials { authorization: authorization.map(Into::into), token: token() }
    }

    /// What follows the name of a scheme.
    fn under(&self, scheme: &str) -> Option<&str> {
        let (has, value) = self.authorization.as_deref()?.trim().split_once(' ')?;
        has.eq_ignore_ascii_case(scheme).then(|| value.trim())
    }

    /// Its tokens, wherever they stand.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.under("bearer").into_iter().chain(self.token.as_deref()).filter(|token| !token.is_empty())
    }

    /// Name and password, if there are any; `Some(None)`: some that nobody can have.
    pub(super) fn basic(&self) -> Option<Option<Basic>> {
        let value = self.under("basic")?;
        let read = || {
            let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
            let (name, password) = text.split_once(':')?;
            super::password::is_usable(password)
                .then(|| Basic { name: name.to_ascii_lowercase().into(), password: password.into() })
        };
        Some(read())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |secret: &Option<Box<str>>| secret.as_ref().map(|_| "(secret)");
        let Credentials { authorization, token } = self;
        f.debug_struct("Credentials")
            .field("authorization", &shown(authorization))
            .field("token", &shown(token))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::LONGEST_PASSWORD;
    use super::*;

    fn basic(text: &[u8]) -> Option<Option<(String, String)>> {
        let header = format!("Basic {}", STANDARD.encode(text));
        let basic = Credentials::of(Some(&header), "").basic();
        basic.map(|basic| basic.map(|Basic { name, password }| (name.into(), password.into())))
    }

    #[test]
    fn names_are_lower_case_and_passwords_anything() {
        let pair = |name: &str, password: &str| Some(Some((name.to_owned(), password.to_owned())));
        assert_eq!(basic(b"Alice:pa:ss:"), pair("alice", "pa:ss:"));
        assert_eq!(basic("alice:ünï \u{1F511}\n".as_bytes()), pair("alice", "ünï \u{1F511}\n"));
        assert_eq!(basic("\u{212A}A:x".as_bytes()), pair("\u{212A}a", "x"), "the Kelvin sign is no k");
        let longest = "x".repeat(LONGEST_PASSWORD);
        assert_eq!(basic(format!("a:{longest}").as_bytes()), pair("a", &longest));
        for bad in [&b"alice"[..], b"alice:", b"alice:\xff", format!("a:{longest}x").as_bytes()] {
            assert_eq!(basic(bad), Some(None));
        }
        for (header, is_basic) in [
            ("bAsIc  YTpi ", Some(true)),
            ("Basic !", Some(false)),
            ("Basic", None),
            ("Basically YTpi", None),
            ("Digest YTpi", None),
            ("", None),
        ] {
            let basic = Credentials::of(Some(header), "").basic();
            assert_eq!(basic.map(|basic| basic.is_some()), is_basic, "{header}");
        }
    }

    #[test]
    fn tokens_stand_in_two_places() {
        let tokens = |authorization: Option<&str>, query: &str| {
            let credentials = Credentials::of(authorization, query);
            credentials.tokens().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(tokens(None, "token=abc"), ["abc"]);
        assert_eq!(tokens(None, "x=%zz&token=a%2Db%5f&token=second"), ["a-b_"]);
        assert_eq!(tokens(Some("Bearer  one "), "token=two"), ["one", "two"]);
        assert_eq!(tokens(Some("bearer one"), ""), ["one"]);
        for none in ["", "token", "token=", "Token=abc", "xtoken=abc", "#token=abc"] {
            assert_eq!(tokens(Some("Bearer "), none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn they_are_never_printed() {
        let text = format!("{:?}", Credentials::of(Some("Basic SECRET"), "token=SECRET"));
        assert!(!text.contains("SECRET") && text.contains("(secret)"), "{text}");
    }
}
