//! Who may come in: users, their passwords and their tokens.
//!
//! In: the settings of a mount and the files that they name; what a request shows ([`Credentials`]). Out: a [`User`],
//! or why not ([`Denied`]), which is also the HTTP answer.
//!
//! Who owns what: [`Users`] is shared by all threads of a mount. `table.rs` holds the users as files have them now;
//! `token.rs` signs and judges tokens; `password.rs` is argon2id; `queue.rs` has passwords verified, few at a time and
//! off the threads that serve sessions; `memory.rs` remembers good logins for a minute, since clients send their
//! password with every request; `guard.rs` slows guessing.
//!
//! What always holds:
//! * a token is judged at once, in about a microsecond; a password is either remembered or waits for its turn, and
//!   where too many wait it is turned away at once;
//! * a password is looked at, also in memory, only where a guess would be counted;
//! * an unknown user, a disabled one and a wrong password get the same answer, for the same work;
//! * a token gives no longer life than its own;
//! * a user who was removed or disabled, and one with another password, loses logins and tokens with the next reading
//!   of the files; with other rights, the open connections ([`Users::still_there`]);
//! * a file that cannot be read, or not whole, changes nothing;
//! * passwords, hashes, keys and tokens are never printed, nor names that nobody has;
//! * every table has a bound.

mod config;
mod credentials;
mod denied;
mod guard;
mod memory;
mod password;
mod queue;
mod table;
#[cfg(test)]
mod tests;
mod token;

pub use config::{AccessConfig, KnownLedger, UserConfig, UserEntry};
pub use credentials::Credentials;
pub use denied::Denied;
pub use password::{Cost, LONGEST_PASSWORD, hash_password};

use crate::server::FileError;
use crate::server::admission::network;
use credentials::Basic;
use guard::Guard;
use memory::{Blinding, Memory};
use password::Credential;
use queue::{Job, Placed, Queue};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use table::{Surroundings, Table};

/// Passwords that are verified at once, at most; half the processors where there are few.
const MOST_THREADS: usize = 2;
/// Streams go before logins: how far the threads that verify stand back.
const NICE: i32 = 10;

/// Who came in, as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// In lower case.
    pub name: Box<str>,
    /// All accounts are open.
    pub admin: bool,
    /// Those that are: key of the ledger, name or address.
    pub accounts: Box<[(Box<str>, Box<str>)]>,
    /// What the password is known by.
    credential: Credential,
    /// The token, if it was one.
    token: Option<Shown>,
}

/// A good token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    /// The number of the key that it was good under.
    key_number: u32,
    /// When it runs out, seconds of Unix time.
    expiry: u64,
}

/// A login.
pub enum Login {
    /// Judged.
    Done(Result<Arc<User>, Denied>),
    /// A password that waits for its turn. It is verified also if nobody waits for the answer.
    Pending(Pin<Box<dyn Future<Output = Result<Arc<User>, Denied>>>>),
}

/// The users of a mount.
pub struct Users {
    settings: AccessConfig,
    section: String,
    ledgers: Option<Vec<KnownLedger>>,
    table: RwLock<Arc<Table>>,
    blinding: Blinding,
    memory: Mutex<Memory>,
    guard: Mutex<Guard>,
    queue: Queue,
    verified: AtomicU64,
}

impl Users {
    /// The users of these settings, which stand at `section`. Those who stand in files, and the key in its file, are
    /// unknown until [`Users::read_files`].
    pub fn new(settings: &AccessConfig, section: &str) -> Users {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Users::with_threads(settings, section, (processors / 2).clamp(1, MOST_THREADS))
    }

    fn with_threads(settings: &AccessConfig, section: &str, threads: usize) -> Users {
        Users {
            settings: settings.clone(),
            section: section.to_owned(),
            ledgers: None,
            table: RwLock::new(Arc::new(Table::of_settings(settings))),
            blinding: Blinding::random(),
            memory: Mutex::default(),
            guard: Mutex::new(Guard::new()),
            queue: Queue::new(threads),
            verified: AtomicU64::new(0),
        }
    }

    /// With the mount's ledgers: a user in `users_file` with an account that is none there is an error.
    pub fn with_ledgers(mut self, ledgers: Vec<KnownLedger>) -> Users {
        self.ledgers = Some(ledgers);
        self
    }

    /// Reads what stands in files; on an error all stays as it was.
    pub fn read_files(&self) -> Result<(), FileError> {
        let around = Surroundings { section: &self.section, ledgers: self.ledgers.as_deref() };
        let new = Table::read(&self.settings, &around, &self.table())?;
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        // Here and not where it is made: settings are also made to be looked at.
        if self.settings.token_key_file.is_none() && told_now(&self.section, "random key") {
            log::warn!(mount:% = self.section;
                "tokens end with this process, and clients that hold one try it for ever; set `token_key_file`");
        }
        Ok(())
    }

    /// Judges what a request from `peer` shows. One good proof is enough; tokens are looked at first.
    pub fn login(self: &Arc<Self>, credentials: Credentials, peer: IpAddr) -> Login {
        self.login_at(credentials, peer, Instant::now(), SystemTime::now())
    }

    fn login_at(self: &Arc<Self>, credentials: Credentials, peer: IpAddr, now: Instant, time: SystemTime) -> Login {
        let table = self.table();
        let peer = network(peer);
        let mut has_token = false;
        for token in credentials.tokens() {
            has_token = true;
            if let Some(user) = table.judge(token, time) {
                return Login::Done(Ok(user));
            }
        }
        match credentials.basic() {
            Some(Some(basic)) => self.password(basic, peer, now, &table),
            Some(None) => Login::Done(Err(Denied::Password)),
            None if has_token => Login::Done(Err(match lock(&self.guard).refused_token(peer, now) {
                Ok(()) => Denied::Token,
                Err(retry_after) => Denied::Slowed { retry_after },
            })),
            None => Login::Done(Err(Denied::None)),
        }
    }

    fn password(self: &Arc<Self>, basic: Basic, peer: IpAddr, now: Instant, table: &Table) -> Login {
        let Basic { name, password } = basic;
        let id = {
            let mut guard = lock(&self.guard);
            let id = guard.id(&name);
            if let Err(retry_after) = guard.may_try(id, peer, now, &self.section) {
                return Login::Done(Err(Denied::Slowed { retry_after }));
            }
            id
        };
        // Not before: clients that show their password with every request keep it in memory all day, and there guesses
        // would be as fast as requests.
        let key = self.blinding.of(&name, &password);
        let remembered = lock(&self.memory).recall(&key, now).filter(|user| table.still_there(user)).cloned();
        if let Some(user) = remembered {
            lock(&self.guard).succeeded(id, peer, now);
            return Login::Done(Ok(user));
        }
        let (user, hash) = (table.find(&name).cloned(), table.hash(&name));
        let job = Job { question: (key, peer), user, hash, password, name: id, now };
        let Some(Placed { answer, starts_thread }) = self.queue.place(job) else {
            // It was looked for in memory, so it was a guess.
            lock(&self.guard).failed(id, peer, now);
            return Login::Done(Err(Denied::Busy));
        };
        if starts_thread {
            let users = self.clone();
            let thread = std::thread::Builder::new().name("login".to_owned());
            if thread.spawn(move || users.verify_all()).is_err() {
                self.queue.no_thread();
            }
        }
        Login::Pending(Box::pin(async move { answer.await.unwrap_or(Err(Denied::Busy)) }))
    }

    /// Verifies passwords until none waits.
    fn verify_all(&self) {
        crate::server::give_way(NICE);
        while let Some(job) = self.queue.next() {
            self.verified.fetch_add(1, Ordering::Relaxed);
            // A fault in there must not take the thread's place for ever.
            let verify = std::panic::AssertUnwindSafe(|| job.hash.verify(&job.password));
            let fits = std::panic::catch_unwind(verify).unwrap_or(false);
            // Who it was when it was asked, if it is the same now.
            let user = job.user.filter(|user| fits && self.still_there(user));
            let (key, peer) = job.question;
            {
                let mut guard = lock(&self.guard);
                match user {
                    Some(_) => guard.succeeded(job.name, peer, job.now),
                    None => guard.failed(job.name, peer, job.now),
                }
            }
            if let Some(user) = &user {
                lock(&self.memory).remember(key, user.clone(), job.now);
            }
            self.queue.answer(&job.question, &user.ok_or(Denied::Password));
        }
    }

    /// Whether it is still the user it was, after the files were read again: not removed or disabled, with the same
    /// rights and the same password, and who came with a token, under the same key.
    pub fn still_there(&self, user: &User) -> bool {
        self.table().still_there(user)
    }

    /// The user of this name, if there is one who may come in.
    pub fn find(&self, name: &str) -> Option<Arc<User>> {
        self.table().find(name).cloned()
    }

    /// A new token for a user who has shown a password or a good token. It ends with the one that was shown at the
    /// latest, or one of an hour would be one for ever.
    pub fn token(&self, user: &User, now: SystemTime) -> String {
        self.token_for(user, now, self.token_max_age())
    }

    /// The same with another life.
    pub fn token_for(&self, user: &User, now: SystemTime, life: Duration) -> String {
        let life = user.token.map_or(life, |shown| life.min(shown.left(now)));
        self.table().key.sign(&user.name, user.credential, now, life)
    }

    /// How long tokens are good.
    pub fn token_max_age(&self) -> Duration {
        self.settings.token_max_age.0
    }

    /// How many passwords were verified, right or wrong.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shown {
    fn left(self, now: SystemTime) -> Duration {
        Duration::from_secs(self.expiry.saturating_sub(token::seconds(now)))
    }
}

/// Whether something is told of a mount for the first time. Files are read twice at a start, and again on SIGHUP.
fn told_now(section: &str, what: &'static str) -> bool {
    static TOLD: Mutex<BTreeSet<(String, &'static str)>> = Mutex::new(BTreeSet::new());
    lock(&TOLD).insert((section.to_owned(), what))
}

#[cfg(test)]
impl User {
    /// For tests that need any.
    fn nobody() -> User {
        let credential = Credential([0; 32]);
        User { name: "nobody".into(), admin: false, accounts: Box::default(), credential, token: None }
    }
}

/// What it holds is whole also after a panic elsewhere: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
