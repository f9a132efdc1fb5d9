//! Web origins, as lists of them name them.

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::str::FromStr;

/// An origin that is allowed: `https://app.example.com`, `http://localhost:3000`, or with
/// `https://*.example.com` every host below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `https://`, in small letters.
    scheme: String,
    /// Any host below `host`, and not that itself.
    below: bool,
    /// Host, and the port where it is not the scheme's own; in small letters.
    host: String,
}

impl Origin {
    /// Whether a request's `Origin` header names it. Browsers write origins in small letters and
    /// without the scheme's own port; whatever else is written is taken as it is.
    pub fn allows(&self, header: &str) -> bool {
        let header = header.to_ascii_lowercase();
        let Some(host) = header.strip_prefix(&self.scheme) else { return false };
        if self.below {
            host.strip_suffix(&self.host).and_then(|first| first.strip_suffix('.')).is_some_and(|first| {
                !first.is_empty() && first.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
            })
        } else {
            host == self.host
        }
    }
}

impl FromStr for Origin {
    type Err = String;
    fn from_str(text: &str) -> Result<Origin, String> {
        let parse = || {
            let (scheme, host) = text.split_once("://")?;
            let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
            let (below, host) = host.strip_prefix("*.").map_or((false, host.as_str()), |host| (true, host));
            // Browsers leave the scheme's own port out.
            let own_port = match scheme.as_str() {
                "https" => ":443",
                "http" => ":80",
                _ => "",
            };
            let host = host.strip_suffix(own_port).unwrap_or(host);
            let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
            let good = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let good = good && !host.is_empty() && host.chars().all(fits);
            good.then(|| Origin { scheme: format!("{scheme}://"), below, host: host.to_owned() })
        };
        parse().ok_or_else(|| {
            format!("`{text}` is no origin; write https://app.example.com or https://*.example.com, without a path")
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.scheme, if self.below { "*." } else { "" }, self.host)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Origin, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_browsers_send() {
        let allows = |pattern: &str, header: &str| pattern.parse::<Origin>().unwrap().allows(header);
        for (pattern, header, expected) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://App.Example.com:443", "https://app.example.com", true),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:3000", "http://localhost", false),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com.evil.org", false),
            ("https://app.example.com", "https://evil.org", false),
            ("https://app.example.com", "null", false),
            ("https://*.example.com", "https://app.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://evil.org/.example.com", false),
            ("https://*.example.com", "https://evil.org@a.example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com:8443", "https://app.example.com:8443", true),
            ("chrome-extension://abcdef", "chrome-extension://abcdef", true),
        ] {
            assert_eq!(pattern.parse::<Origin>().map(|_| allows(pattern, header)), Ok(expected), "{pattern} {header}");
        }
        for bad in ["", "app.example.com", "https://a.example.com/", "https://a.example.com/x", "https://u@a.org", "*"]
        {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
