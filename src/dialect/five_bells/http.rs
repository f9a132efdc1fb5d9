//! What five-bells-ledger answers to plain HTTP, as far as a ledger can that nobody writes to.

use super::config::LedgerSettings;
use super::ledger::{Ledger, is_identifier};
use super::transfer::Transfer;
use super::users::{Credentials, Denied, User};
use super::uuid::Uuid;
use super::{Place, Shared, WEBSOCKET, log_in};
use crate::dialect::{HttpReply, HttpRequest, MountedSource, Recent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::sync::Arc;
use std::time::SystemTime;

/// The version of the API, for clients that ask which.
const VERSION: &str = "five-bells@21";
const UUID_PATTERN: &str = "^[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}$";
const NAME_PATTERN: &str = "^[a-zA-Z0-9_-]{1,86}$";

/// What a ledger tells of itself.
pub(super) fn metadata(ledger: &Ledger, settings: &LedgerSettings, source: &MountedSource) -> Vec<u8> {
    let base = ledger.base();
    let currency = settings.currency(source);
    let prefix = settings.ilp_prefix.clone().unwrap_or_else(|| format!("private.{}.", ledger.key()));
    text(&json!({
        // Nobody is known who connects this ledger to others.
        "connectors": [],
        "currency_code": currency.code,
        "currency_symbol": currency.symbol,
        "ilp_prefix": prefix,
        "urls": {
            "health": format!("{base}/health"),
            "transfer": format!("{base}/transfers/:id"),
            "transfer_fulfillment": format!("{base}/transfers/:id/fulfillment"),
            "transfer_fulfillment2": format!("{base}/transfers/:id/fulfillment2"),
            "transfer_rejection": format!("{base}/transfers/:id/rejection"),
            "transfer_state": format!("{base}/transfers/:id/state"),
            "accounts": format!("{base}/accounts"),
            "account": format!("{base}/accounts/:name"),
            "auth_token": format!("{base}/auth_token"),
            // http becomes ws, https becomes wss.
            "websocket": format!("{}/{WEBSOCKET}", base.replacen("http", "ws", 1)),
            "message": format!("{base}/messages"),
        },
        "precision": currency.precision,
        "scale": currency.scale,
        "version": VERSION,
    }))
}

/// Answers a request for anything that is no WebSocket.
pub(super) async fn answer(shared: &Arc<Shared>, request: &HttpRequest, recent: &Recent) -> HttpReply {
    let Some((place, path)) = shared.find(&request.below) else { return no_path() };
    let asked = Asked { shared, place, request, recent };
    let mut parts = path.split('/');
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let outcome = match parts {
        [Some(""), None, ..] => asked.only_get().map(|()| HttpReply::json(200, place.metadata.to_vec())),
        [Some("health"), None, ..] => asked.health().await,
        [Some("auth_token"), None, ..] => asked.token("GET", "HEAD, GET").await,
        [Some("authenticate"), None, ..] => asked.token("POST", "POST").await,
        [Some("accounts"), None, ..] => asked.accounts().await,
        [Some("accounts"), Some(name), None, _] => asked.account(name).await,
        [Some("transfers"), Some(id), None, _] => asked.transfer(id, Part::Whole).await,
        [Some("transfers"), Some(id), Some(part), None] => match part {
            "fulfillment" | "fulfillment2" => asked.transfer(id, Part::Fulfillment).await,
            "rejection" => asked.transfer(id, Part::Rejection).await,
            "state" => asked.transfer(id, Part::State).await,
            _ => Err(no_path()),
        },
        [Some("messages"), None, ..] => asked.message().await,
        [Some(WEBSOCKET), None, ..] => asked.only_get().and(Err(not_upgraded())),
        _ => Err(no_path()),
    };
    outcome.unwrap_or_else(|refusal| refusal)
}

/// What of a transfer is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Fulfillment,
    Rejection,
    State,
}

/// A request to a ledger.
struct Asked<'a> {
    shared: &'a Arc<Shared>,
    place: &'a Arc<Place>,
    request: &'a HttpRequest,
    recent: &'a Recent,
}

/// An answer, good or bad.
type Outcome = Result<HttpReply, HttpReply>;

impl Asked<'_> {
    fn ledger(&self) -> &Ledger {
        &self.place.ledger
    }

    fn is(&self, method: &str) -> bool {
        let asked = &*self.request.method;
        asked == method || method == "GET" && asked == "HEAD"
    }

    /// Refuses every other method.
    fn only_get(&self) -> Result<(), HttpReply> {
        if self.is("GET") { Ok(()) } else { Err(not_allowed("HEAD, GET")) }
    }

    async fn log_in(&self) -> Result<Arc<User>, Denied> {
        let request = self.request;
        let credentials = Credentials::of(request.authorization.as_deref(), &request.query);
        log_in(&self.shared.users, credentials, request.peer).await
    }

    /// Who asks.
    async fn user(&self) -> Result<Arc<User>, HttpReply> {
        self.log_in().await.map_err(|denied| denied.reply())
    }

    async fn health(&self) -> Outcome {
        self.only_get()?;
        self.user().await?;
        Ok(json_reply(200, &json!({ "status": "OK" })))
    }

    async fn token(&self, method: &str, allowed: &'static str) -> Outcome {
        if !self.is(method) {
            return Err(not_allowed(allowed));
        }
        let user = self.user().await?;
        let users = &self.shared.users;
        let max_age = users.token_max_age().as_millis() as u64;
        let token = users.token(&user, SystemTime::now());
        let reply = json_reply(200, &json!({ "token": token, "token_max_age": max_age }));
        Ok(reply.with("cache-control", "no-store"))
    }

    async fn accounts(&self) -> Outcome {
        self.only_get()?;
        if !self.user().await?.admin {
            return Err(error(403, "ForbiddenError", "You aren't an admin"));
        }
        let named: Vec<Value> = self.ledger().named().map(|name| self.whole_account(name)).collect();
        Ok(json_reply(200, &named))
    }

    async fn account(&self, name: &str) -> Outcome {
        if self.is("PUT") {
            self.user().await?;
            return Err(read_only());
        }
        self.only_get()?;
        let user = match self.log_in().await {
            Ok(user) => Some(user),
            Err(Denied::None) => None,
            Err(denied) => return Err(denied.reply()),
        };
        if !is_identifier(name) {
            return Err(bad_parameter("name is not a valid Identifier", NAME_PATTERN));
        }
        let ledger = self.ledger();
        let canonical = ledger.canonical_name(name);
        let public = || json!({ "id": ledger.account_uri(&canonical), "name": canonical, "ledger": ledger.base() });
        // Who does not say who it is shall not learn who is here.
        let Some(user) = user else { return Ok(json_reply(200, &public())) };
        // A user without an account of the ledger has one of its own name, as in the original: an administrator's
        // client asks for it first.
        let own = || *user.name == *canonical || self.place.keys_of(&user).contains(&ledger.account_key(name));
        let may_see_all = user.admin || own();
        if !ledger.knows(name) && !own() {
            return Err(error(404, "NotFoundError", "Unknown account"));
        }
        if !may_see_all {
            return Ok(json_reply(200, &public()));
        }
        // Clients compare accounts by their letters, so one that goes by another name would hear nothing for ever.
        if name != canonical {
            let message = format!("Unknown account; its one name here is {}", ledger.account_uri(&canonical));
            return Err(error(404, "NotFoundError", &message));
        }
        let mut account = self.whole_account(&canonical);
        account["ledger"] = json!(ledger.base());
        Ok(json_reply(200, &account))
    }

    /// An account as its owner sees it. No source tells what is in it.
    fn whole_account(&self, name: &str) -> Value {
        let mut account = json!({
            "name": name, "balance": "0", "is_disabled": false, "minimum_allowed_balance": "0",
            "id": self.ledger().account_uri(name),
        });
        if self.shared.users.find(name).is_some_and(|user| user.admin) {
            account["is_admin"] = json!(true);
        }
        account
    }

    async fn transfer(&self, id: &str, part: Part) -> Outcome {
        let user = self.user().await?;
        let Some(id) = Uuid::parse(id) else {
            return Err(bad_parameter("id is not a valid Uuid", UUID_PATTERN));
        };
        match (&*self.request.method, part) {
            ("PUT", Part::Whole | Part::Fulfillment | Part::Rejection) => return Err(read_only()),
            ("GET" | "HEAD", Part::Whole | Part::Fulfillment | Part::State) => {}
            (_, Part::Whole | Part::Fulfillment) => return Err(not_allowed("HEAD, GET, PUT")),
            (_, Part::Rejection) => return Err(not_allowed("PUT")),
            (_, Part::State) => return Err(not_allowed("HEAD, GET")),
        }
        // What somebody else paid is as unknown as what nobody paid.
        let unknown = || error(404, "NotFoundError", "Unknown transfer ID");
        let (sequence, index) = self.shared.transfers.find(self.ledger().source(), id).ok_or_else(unknown)?;
        let entry = self.recent.at(sequence).ok_or_else(unknown)?;
        let event = entry.batch.events.get(index as usize).ok_or_else(unknown)?;
        let transfer = Transfer::of(self.ledger(), &entry.batch, event).ok_or_else(unknown)?;
        let own = self.place.keys_of(&user);
        if !user.admin && !event.subjects.iter().any(|subject| own.contains(subject)) {
            return Err(unknown());
        }
        match part {
            Part::Whole => Ok(json_reply(200, &transfer.resource())),
            Part::State => self.state(&transfer),
            Part::Fulfillment | Part::Rejection => {
                Err(error(422, "TransferNotConditionalError", "Transfer does not have any conditions"))
            }
        }
    }

    /// A receipt that a transfer is in its state, by hash alone: nobody has a key to sign with.
    fn state(&self, transfer: &Transfer<'_>) -> Outcome {
        if !self.request.query.split('&').any(|pair| pair == "type=sha256") {
            return Err(error(400, "InvalidUriParameterError", "type is not valid; there is sha256"));
        }
        let id = format!("{}/transfers/{}", self.ledger().base(), transfer.id);
        let state = transfer.state.name();
        let secret = Sha512::new().chain_update(self.shared.secret).chain_update(&id).chain_update(state).finalize();
        let message = json!({ "id": id, "state": state, "token": STANDARD.encode(secret) });
        let digest = STANDARD.encode(Sha256::digest(text(&message)));
        let signer = self.ledger().base();
        Ok(json_reply(200, &json!({ "type": "sha256", "message": message, "signer": signer, "digest": digest })))
    }

    async fn message(&self) -> Outcome {
        if !self.is("POST") {
            return Err(not_allowed("POST"));
        }
        self.user().await?;
        // Nobody gets messages here.
        Err(error(422, "NoSubscriptionsError", "Destination account could not be reached"))
    }
}

fn text(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers always make JSON")
}

fn json_reply(status: u16, value: &impl Serialize) -> HttpReply {
    HttpReply::json(status, text(value))
}

fn error(status: u16, id: &str, message: &str) -> HttpReply {
    json_reply(status, &json!({ "id": id, "message": message }))
}

fn no_path() -> HttpReply {
    error(404, "NotFoundError", "Not Found")
}

fn not_allowed(allowed: &'static str) -> HttpReply {
    error(405, "MethodNotAllowedError", "Method Not Allowed").with("allow", allowed)
}

fn read_only() -> HttpReply {
    error(403, "ForbiddenError", "This ledger is read-only: it shows what happens on another one")
}

fn bad_parameter(message: &str, pattern: &str) -> HttpReply {
    let validation = json!({
        "keyword": "pattern", "dataPath": "", "schemaPath": "#/pattern", "params": { "pattern": pattern },
        "message": format!("should match pattern \"{pattern}\""),
    });
    let body = json!({ "id": "InvalidUriParameterError", "message": message, "validationErrors": [validation] });
    json_reply(400, &body)
}

/// A plain request for the WebSocket.
fn not_upgraded() -> HttpReply {
    error(426, "UpgradeRequiredError", "This is a WebSocket; connect with a WebSocket client")
        .with("upgrade", "websocket")
        .with("connection", "Upgrade")
}
