//! The WebSocket API of the XRP Ledger's servers, as xrpl.js and xrpl-py speak it.
//!
//! In: requests, one JSON object to a message. Out: one answer to each, and the messages of what is subscribed to:
//! `ledgerClosed`, `bookChanges`, `transaction`.
//!
//! Who owns what: [`RippledMount`] holds what all sessions share; a `Session` holds what it is subscribed to, in the
//! very form that the router has, and while something is under way the requests that wait for it; `request` reads
//! and repeats what a client wrote, `rights` keeps from clients what only administrators may, `answer` writes answers, `faults` is the table of errors, `asked` and `books`
//! read what is subscribed to and `wants` adds it up, `calls` and `snapshot` ask the ledger's server;
//! [`RippledRender`] writes messages, once for each API version.
//!
//! What always holds:
//! * every request is answered once, in the order of the requests, but for those that need the ledger's server and
//!   the changes of subscription that wait behind such a one;
//! * a change of subscription is made whole or not at all, and its answer stands in the stream where it took effect;
//! * the API version of a session is that of its last good `subscribe` and nothing else's;
//! * secrets in a request are not repeated;
//! * what waits is bounded in number and in bytes; an idle session keeps no request.

mod answer;
mod asked;
mod books;
mod calls;
mod commands;
mod faults;
mod render;
mod request;
mod rights;
mod session;
mod snapshot;
mod wants;

pub use render::{ApiVersion, RippledRender};

use super::{CloseCodes, Entry, Manners, Mount, MountContext, Opening, Oversize};
use crate::broker::{RenderingId, Renderings};
use crate::config::reference::{Show, Shown};
use crate::config::units::Size;
use crate::config::{Finding, settings};
use crate::event::Family;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a client's message: a `subscribe` for a thousand accounts has 40 KB.
const MAX_MESSAGE: usize = 64 << 10;
/// What is read past without being kept, bytes.
const DISCARDED: usize = 4 << 20;

settings! {
    /// The WebSocket API of the XRP Ledger's servers.
    pub struct Config {
        /// Methods that are asked of the ledger's server on behalf of clients. Only such as change nothing; those that
        /// sign, submit or administer are refused here, and so is what others give to administrators alone: `vetoed`
        /// of `feature`, `full` and `accounts` of `ledger`. Default [account_info, account_lines, account_objects,
        /// account_offers, account_nfts, account_channels, account_currencies, account_tx, amm_info, book_changes,
        /// book_offers, deposit_authorized, fee, feature, gateway_balances, get_aggregate_price, ledger, ledger_closed,
        /// ledger_current, ledger_data, ledger_entry, manifest, nft_buy_offers, nft_sell_offers, noripple_check, random,
        /// server_definitions, server_state, transaction_entry, tx, vault_info, mpt_holders, nft_info, nft_history,
        /// nfts_by_issuer]: all that public servers answer. `ripple_path_find` and `simulate`, which are dear, can be added.
        pub proxied: Vec<String> = commands::PROXIED.iter().map(|name| (*name).to_owned()).collect(),
        /// Say `"forwarded": true` in the answers of those methods. Default false: clients take us for the server.
        pub forwarded: bool = false,
        /// How often a transaction is sent that several subscriptions of one client want: `once`, or
        /// `per-subscription`, as the ledger's own servers do it. Default once: who counts payments counts them right.
        pub duplicates: Duplicates = Duplicates::Once,
        /// The largest message of a client; a larger one is answered with `jsonInvalid`, and one above 4 MiB closes it
        /// with 1009. Default 64KiB: a `subscribe` for a thousand accounts has 40 KB.
        pub max_message: Size = Size(MAX_MESSAGE as u64),
    }
}

/// How often a transaction is sent that several subscriptions of a session want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// Once.
    Once,
    /// Once for the stream, once for the proposed stream, once for the books and once for the accounts.
    PerSubscription,
}

impl Show for Duplicates {
    fn show(&self) -> Shown {
        Shown::text(match self {
            Duplicates::Once => "once",
            Duplicates::PerSubscription => "per-subscription",
        })
    }
}

impl Config {
    /// Everything that is wrong with the settings.
    pub fn problems(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (at, name) in self.proxied.iter().enumerate() {
            if let Some(why) = commands::never_proxied(name) {
                found.push((vec!["proxied".into(), at.into()], format!("`{name}` {why}; leave it out")));
            }
        }
        if self.max_message.0 == 0 || self.max_message.bytes() > DISCARDED {
            found.push((vec!["max_message".into()], "is not between 1B and 4MiB; write 64KiB".to_owned()));
        }
        found
    }
}

/// What is the same for every session.
pub const MANNERS: Manners = Manners {
    name: "rippled",
    ping_after: Duration::from_secs(30),
    dead_after: Duration::from_secs(60),
    max_message: MAX_MESSAGE,
    oversize: Oversize::Discard { up_to: DISCARDED },
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1008, limit: 1008 },
    one_source: true,
    only: Some(Family::Xrpl),
    calls: true,
    http: false,
    finds_transactions: false,
    follows: false,
    claims_path_alone: true,
};

/// What the sessions of a mount share.
struct Shared {
    config: Config,
    /// Accounts and books that one session may be subscribed to.
    values_per_session: usize,
    /// Changes of subscription that may be under way.
    waiting_changes: usize,
    /// By API version.
    renderings: [RenderingId; 2],
}

impl Shared {
    /// Bytes of requests that may wait in one place: any one request fits.
    fn waiting_bytes(&self) -> usize {
        self.config.max_message.bytes()
    }
}

/// The API at one path.
pub struct RippledMount {
    shared: Arc<Shared>,
}

impl RippledMount {
    /// A mount with these settings in these surroundings.
    pub fn new(config: Config, context: MountContext, renderings: &mut Renderings) -> RippledMount {
        let MountContext { values_per_session, waiting_changes, .. } = context;
        let renderings = ApiVersion::ALL.map(|version| renderings.register(RippledRender { version }));
        RippledMount { shared: Arc::new(Shared { config, values_per_session, waiting_changes, renderings }) }
    }
}

impl Mount for RippledMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn max_message(&self) -> usize {
        self.shared.config.max_message.bytes()
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        opening.below.is_empty().then(|| session::Session::new(self.shared.clone()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let read = |text| serde_json::from_str::<Config>(text);
        assert_eq!(read("{}").unwrap(), Config::default());
        let set = read(r#"{"proxied":["fee"],"forwarded":true,"duplicates":"per-subscription","max_message":"1KiB"}"#)
            .unwrap();
        let (duplicates, max_message) = (Duplicates::PerSubscription, Size::kib(1));
        assert_eq!(set, Config { proxied: vec!["fee".to_owned()], forwarded: true, duplicates, max_message });
        assert!(read(r#"{"proxy":[]}"#).is_err());
    }

    #[test]
    fn what_signs_or_administers_cannot_be_proxied() {
        let refused = |name: &str| {
            let config = Config { proxied: vec!["fee".to_owned(), name.to_owned()], ..Config::default() };
            !config.problems().is_empty()
        };
        for name in ["submit", "sign", "stop", "path_find", "peers", "subscribe", "ping", "server_info"] {
            assert!(refused(name), "{name}");
        }
        for name in ["ripple_path_find", "simulate", "a_method_of_tomorrow"] {
            assert!(!refused(name), "{name}");
        }
        assert!(Config::default().problems().is_empty());
        assert!(!Config { max_message: Size(0), ..Config::default() }.problems().is_empty());
        assert!(!Config { max_message: Size::mib(5), ..Config::default() }.problems().is_empty());
    }

    #[test]
    fn mounts_share_one_rendering_for_each_version() {
        let mut renderings = Renderings::default();
        for duplicates in [Duplicates::Once, Duplicates::PerSubscription] {
            let config = Config { duplicates, ..Config::default() };
            let mount = RippledMount::new(config, MountContext::default(), &mut renderings);
            assert_eq!(mount.shared.renderings, [RenderingId(0), RenderingId(1)]);
        }
        assert_eq!(renderings.len(), 2);
    }
}
