//! The API of five-bells-ledger: as its proposal had it and as it shipped, both at once, over payments of any ledger.
//!
//! In: the orders `subscribe_account` and `subscribe_all_accounts`, JSON-RPC 2.0, one to a message; HTTP requests of the
//! ledger's clients. Out: `connect`, an answer to each order, and a `notify` for each transfer; over HTTP the ledger's
//! metadata, tokens, accounts, and transfers that history still has.
//!
//! Who owns what: [`FiveBellsMount`] holds what all sessions share: the users, the map of transfers, and a `Place` for
//! each ledger; a [`Ledger`] knows one asset of one source and the names of its accounts; [`Transfer`] is a payment as
//! such a ledger tells it, [`FiveBellsRender`] writes it in either form; a `Session` holds who came in and what that
//! client is subscribed to; `http.rs` answers requests; `users/` knows who may come in.
//!
//! What always holds:
//! * `connect` is the first message, and every order is answered once, in their order;
//! * a refused order changes nothing; a good one replaces or adds as its name says, at one point of the stream;
//! * users get what they may see and nothing else, by no order and no address; an account has one name for everybody;
//! * a transfer has the same id whoever makes it and when; its amount is exact;
//! * resources have no fields that the original has not: its clients drop such ones without a word;
//! * there are no words for a break in the row of ledgers: the sessions of that ledger are closed before it, and
//!   those of the mount's other ledgers do not notice;
//! * addresses in answers come from the settings and never from the request;
//! * nothing here changes the ledger.

mod config;
mod http;
mod ledger;
mod render;
mod session;
mod skipped;
mod transfer;
mod transfers;
pub mod users;
mod uuid;

pub use config::{Config, LedgerSettings, Named};
pub use ledger::Ledger;
pub use render::{FiveBellsRender, Form};
pub use transfer::{Reason, State, Transfer};
pub use uuid::Uuid;

use super::{CloseCodes, Entry, HttpFuture, HttpRequest, Manners, Mount, MountContext, Opening, Oversize, Recent};
use crate::broker::{RenderingId, Renderings, StreamEntry};
use crate::event::{Key, SourceNumber};
use crate::server::FileError;
use session::Session;
use skipped::Skipped;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transfers::Transfers;
use users::{Credentials, Denied, Login, User, Users};

/// Where the WebSocket is, below a ledger's main URI.
const WEBSOCKET: &str = "websocket";
/// Below which the ledgers are that do not stand at the mount's own path.
const LEDGERS: &str = "ledgers";

/// What is the same for every session.
pub const MANNERS: Manners = Manners {
    name: "five_bells",
    ping_after: Duration::from_secs(20),
    dead_after: Duration::from_secs(60),
    max_message: 64 << 10,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1001, too_slow: 1013, gap: 1012, dead: 1008, limit: 1008 },
    one_source: false,
    only: None,
    calls: false,
    http: true,
    finds_transactions: false,
    follows: true,
    claims_path_alone: false,
};

/// What the sessions of a mount share.
struct Shared {
    users: Arc<Users>,
    places: Vec<Arc<Place>>,
    /// Which of them stands at the mount's own path.
    default: Option<usize>,
    transfers: Transfers,
    skipped: Skipped,
    /// What makes tokens of receipts that nobody else can make.
    secret: [u8; 32],
    values_per_session: usize,
    waiting_changes: usize,
}

/// A ledger with what belongs to it alone.
struct Place {
    ledger: Arc<Ledger>,
    /// What `GET` of its main URI answers.
    metadata: Arc<[u8]>,
    /// The one source that its sessions show.
    sources: Arc<[SourceNumber]>,
    object: RenderingId,
    list: RenderingId,
}

impl Place {
    fn rendering(&self, form: Form) -> RenderingId {
        match form {
            Form::Object => self.object,
            Form::List => self.list,
        }
    }

    /// The keys of the accounts that are a user's own here.
    fn keys_of(&self, user: &User) -> Vec<Key> {
        let here = user.accounts.iter().filter(|(ledger, _)| **ledger == *self.ledger.key());
        here.map(|(_, account)| self.ledger.account_key(account)).collect()
    }
}

impl Shared {
    /// The ledger of a path below the mount, and what stands after its main URI, without the slash before.
    fn find<'a>(&self, below: &'a str) -> Option<(&Arc<Place>, &'a str)> {
        let path = below.strip_prefix('/').unwrap_or(below);
        let of_key = path.strip_prefix(LEDGERS).and_then(|rest| rest.strip_prefix('/'));
        let Some(rest) = of_key else { return Some((self.places.get(self.default?)?, path)) };
        let (key, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let at = self.places.iter().position(|place| place.ledger.key() == key)?;
        // Its accounts have one address.
        (Some(at) != self.default).then(|| (&self.places[at], rest))
    }
}

/// Ledgers at one path and below it.
pub struct FiveBellsMount {
    shared: Arc<Shared>,
}

impl FiveBellsMount {
    /// A mount with these settings in these surroundings. Users and keys that stand in files are unknown until
    /// [`Mount::read_files`].
    pub fn new(config: Config, context: MountContext, renderings: &mut Renderings) -> FiveBellsMount {
        let known = config.known_ledgers(&context.mounted);
        let users = Users::new(&config.access(), &context.section).with_ledgers(known);
        let default_key = config.default_key();
        let mut place = |(key, settings): (&str, &LedgerSettings)| {
            let source = context.mounted.iter().find(|source| source.name == settings.source)?;
            let base = match default_key == Some(key) {
                true => context.url.clone(),
                false => format!("{}/{LEDGERS}/{key}", context.url),
            };
            let ledger = Arc::new(Ledger::new(key, base, settings, &context.mounted)?);
            let mut rendering = |form| renderings.register(FiveBellsRender { ledger: ledger.clone(), form });
            Some(Arc::new(Place {
                metadata: http::metadata(&ledger, settings, source).into(),
                sources: [ledger.source()].into(),
                object: rendering(Form::Object),
                list: rendering(Form::List),
                ledger,
            }))
        };
        let places: Vec<Arc<Place>> = config.ledgers.iter().filter_map(&mut place).collect();
        let default = places.iter().position(|place| default_key == Some(place.ledger.key()));
        let shared = Shared {
            users: Arc::new(users),
            places,
            default,
            transfers: Transfers::default(),
            skipped: Skipped::new(&context.section),
            secret: rand::random(),
            values_per_session: context.values_per_session,
            waiting_changes: context.waiting_changes,
        };
        FiveBellsMount { shared: Arc::new(shared) }
    }
}

impl Mount for FiveBellsMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn read_files(&self) -> Result<(), FileError> {
        self.shared.users.read_files()
    }

    fn open(&self, opening: Opening<'_>) -> Option<Entry> {
        let (place, WEBSOCKET) = self.shared.find(opening.below)? else { return None };
        let (shared, place) = (self.shared.clone(), place.clone());
        let (credentials, peer) = (Credentials::of(opening.authorization, opening.query), opening.peer);
        // Later, when the rest of the handshake was found good: a password is work, and a wrong one counts.
        Some(Entry::Asking(Box::pin(async move {
            let user = log_in(&shared.users, credentials, peer).await.map_err(|denied| denied.reply_to_upgrade())?;
            Ok(Box::new(Session::new(shared, place, user)) as _)
        })))
    }

    fn follow(&self, entry: &StreamEntry, oldest: u64) {
        let ledgers = || self.shared.places.iter().map(|place| &place.ledger);
        let batch = &entry.batch;
        let lacks = |event| ledgers().any(|ledger| Transfer::lacks_amount(ledger, batch, event));
        self.shared.skipped.count(batch.events.iter().filter(|event| lacks(event)).count() as u64, Instant::now());
        let told = batch
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| ledgers().any(|ledger| Transfer::is_of(ledger, batch, event)));
        let ids = told.map(|(index, event)| (Transfer::id_of(batch, event), index as u32)).collect();
        self.shared.transfers.add(batch.source, entry.sequence, ids, oldest);
    }

    fn http(&self, request: HttpRequest, recent: &Recent) -> Option<HttpFuture> {
        let (shared, recent) = (self.shared.clone(), recent.clone());
        Some(Box::pin(async move { http::answer(&shared, &request, &recent).await }))
    }
}

/// Judges what a request shows.
async fn log_in(users: &Arc<Users>, credentials: Credentials, peer: IpAddr) -> Result<Arc<User>, Denied> {
    match users.login(credentials, peer) {
        Login::Done(judged) => judged,
        Login::Pending(login) => login.await,
    }
}

#[cfg(test)]
mod tests;
