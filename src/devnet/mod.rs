//! Embedded ledgers for development, demonstrations, tests and load: simulated networks behind the
//! real protocols of their nodes, on a loopback port.
//!
//! Comes in: [`Settings`]. Goes out: an address that speaks the RPC of the [`Face`] asked for, so that a
//! broker needs no special case to use it, and any other client can. A further kind of ledger is one folder
//! and its line in `table`.
//!
//! Who owns what: [`start`] binds the port, so that a taken one is told at once, and gives all else
//! to a thread of its own, `devnet`, which closes a ledger every interval and starts two more: one
//! that accepts connections, named by the server, and `devnet-http` for the requests. Nothing runs
//! on the caller's threads, and all of them end when the [`Devnet`] is stopped or dropped. A ledger is made and encoded once by the ticker
//! and only read after that.
//!
//! What always holds:
//! * From the first answer on there is a history of [`HISTORY`] ledgers.
//! * Ledger numbers have no holes, and each ledger names the hash of the one before.
//! * The same settings give the same transactions in the same ledgers, in every run.
//! * Memory is bounded, by the retention and by bytes, whatever the settings are.
//!
//! ```no_run
//! # async fn example() -> Result<(), ledgercast::devnet::Error> {
//! use ledgercast::devnet::{self, Settings};
//!
//! let devnet = devnet::start(Settings { seed: 7, ..Settings::default() }).await?;
//! println!("Stellar RPC at {}", devnet.url());
//! devnet.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod evm;
pub mod planetmint;
mod seed;
mod stellar;
mod table;
mod xrpl;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use actix_web::{App, HttpServer, web};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use table::Face;

use table::Simulated;

/// Ledgers closed at the start, so that clients see something at once.
pub const HISTORY: u32 = 5;

/// Most broker events in a ledger. Ten ledgers of this size fill the memory that history may take;
/// larger ones would leave a reader no time to fetch them.
const MAX_EVENTS: usize = 10_000;

/// Most payments in a ledger: each is two events, itself and the movement of its asset.
const MAX_PAYMENTS: usize = MAX_EVENTS / 2;

/// Longest time between ledgers; a network slower than that is a mistake in the settings.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What a simulated network is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which kind of ledger.
    pub face: Face,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Decides accounts, assets and all transactions.
    pub seed: u64,
    /// From one ledger to the next. Below a second, close times repeat, for they have whole
    /// seconds. More than 0, at most a day.
    pub ledger_interval: Duration,
    /// Broker events that each ledger decodes to: one for the ledger, one per transaction,
    /// contract event, payment and trade. 0 counts as 1, an empty ledger. At most 10,000. On Stellar the number
    /// is exact; elsewhere the last transaction may bring a few more.
    pub events_per_ledger: usize,
    /// Instead of the mixture, so many payments in each ledger, to each account in turn: for
    /// measuring, where each event shall reach exactly one client. At most 5,000.
    pub payments_per_ledger: Option<usize>,
    /// Accounts that trade and pay, at least 2.
    pub accounts: usize,
    /// Ledgers kept. Fewer are kept if they would take more than 128 MiB.
    pub retention: u32,
    /// Names the network; contract addresses and transaction hashes follow from it. Stellar alone has it.
    pub passphrase: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            face: Face::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            ledger_interval: Duration::from_secs(1),
            events_per_ledger: 20,
            payments_per_ledger: None,
            accounts: 50,
            retention: 2_000,
            passphrase: "Ledgercast Devnet ; 2026".to_owned(),
        }
    }
}

/// Why a network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("devnet cannot listen on {address}: {source}; choose another address, or port 0 to take a free one")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("devnet accounts is {0}; give at least 2, so that a payment has two sides")]
    Accounts(usize),
    #[error("devnet events per ledger is {0}; give at most {MAX_EVENTS}")]
    Events(usize),
    #[error("devnet payments per ledger is {0}; give at most {MAX_PAYMENTS}")]
    Payments(usize),
    #[error("devnet ledger interval is {0:?}; give more than 0 and at most a day, such as 1s")]
    Interval(Duration),
    #[error("devnet retention is 0; give the number of ledgers to keep, such as 2000")]
    Retention,
    #[error("devnet passphrase is empty; give the network a name of its own")]
    Passphrase,
    #[error("devnet could not make a ledger: {0}")]
    Ledger(#[from] stellar_xdr::Error),
    #[error("devnet could not start its thread: {0}; see the limits on processes and threads")]
    Thread(io::Error),
    #[error("devnet stopped before it was ready; see the log for the reason")]
    Stopped,
}

/// A running network. Dropping it stops it too, without waiting for that.
#[derive(Debug)]
pub struct Devnet {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl Devnet {
    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The RPC endpoint, such as `http://127.0.0.1:8000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the port, cuts open connections and waits until both are done.
    pub async fn stop(self) {
        // An error means that it has stopped already.
        let _ = self.stop.send(());
        let _ = self.stopped.await;
    }
}

/// Starts a network. When this returns, requests are answered.
///
/// Works under any executor: nothing but waiting is done on the caller's thread.
pub async fn start(settings: Settings) -> Result<Devnet, Error> {
    check(&settings)?;
    let address = settings.listen;
    let listen = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;

    let (ready, is_ready) = oneshot::channel();
    let (stop, stopping) = oneshot::channel();
    let (done, stopped) = oneshot::channel();
    thread::Builder::new()
        .name("devnet".to_owned())
        .spawn(move || {
            actix_web::rt::System::new().block_on(run(settings, listener, ready, stopping));
            // Nobody may be waiting, if the Devnet was dropped.
            let _ = done.send(());
        })
        .map_err(Error::Thread)?;
    is_ready.await.map_err(|_| Error::Stopped)??;
    Ok(Devnet { address, stop, stopped })
}

/// The addresses of a network's accounts, in the order in which payments in turn reach them: the
/// payments of ledger N are for the accounts N × `payments_per_ledger` and those after it.
pub fn accounts(settings: &Settings) -> Result<Vec<String>, Error> {
    check(settings)?;
    (settings.face.row().accounts)(settings)
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.accounts < 2 {
        return Err(Error::Accounts(settings.accounts));
    }
    if settings.events_per_ledger > MAX_EVENTS {
        return Err(Error::Events(settings.events_per_ledger));
    }
    if let Some(payments) = settings.payments_per_ledger.filter(|payments| *payments > MAX_PAYMENTS) {
        return Err(Error::Payments(payments));
    }
    let interval = settings.ledger_interval;
    if interval.is_zero() || interval > MAX_INTERVAL {
        return Err(Error::Interval(interval));
    }
    if settings.retention == 0 {
        return Err(Error::Retention);
    }
    if settings.passphrase.is_empty() {
        return Err(Error::Passphrase);
    }
    Ok(())
}

/// The life of a network, on its own thread, until `stop` is sent or dropped.
async fn run(
    settings: Settings,
    listener: TcpListener,
    ready: oneshot::Sender<Result<(), Error>>,
    stop: oneshot::Receiver<()>,
) {
    let started = network(&settings).and_then(|network| {
        let server =
            server(network.clone(), listener).map_err(|source| Error::Listen { address: settings.listen, source })?;
        Ok((network, server))
    });
    let (network, server) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    if ready.send(Ok(())).is_ok() {
        tokio::select! {
            _ = stop => {}
            error = tick(&*network, settings.ledger_interval) => {
                log::error!("devnet stops, because it could not make a ledger: {error}");
            }
        }
    }
    handle.stop(false).await;
    let _ = serving.await;
}

/// A network with its first few ledgers, as if it had been running.
fn network(settings: &Settings) -> Result<Arc<dyn Simulated>, Error> {
    let network = (settings.face.row().network)(settings)?;
    let now = SystemTime::now();
    for age in (0..HISTORY).rev() {
        let time = now.checked_sub(settings.ledger_interval.saturating_mul(age));
        network.close_next(unix(time.unwrap_or(SystemTime::UNIX_EPOCH)))?;
    }
    Ok(network)
}

fn server(network: Arc<dyn Simulated>, listener: TcpListener) -> io::Result<actix_web::dev::Server> {
    let app = move || {
        // The factory runs on the thread that serves. A thread without a name serves as well.
        let _ = rustix::thread::set_name(c"devnet-http");
        let network = network.clone();
        App::new().default_service(web::to(move |request, payload| network.clone().serve(request, payload)))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        // Longer than a poller of a slow network waits between two requests.
        .keep_alive(Duration::from_secs(75))
        .listen(listener)?;
    Ok(server.run())
}

/// Closes ledgers for ever; comes back only with an error.
async fn tick(network: &dyn Simulated, every: Duration) -> Error {
    let mut interval = interval_at(Instant::now() + every, every);
    // A machine that was asleep or overloaded does not make up for lost ledgers in a burst.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        if let Err(error) = network.close_next(unix(SystemTime::now())) {
            return error;
        }
    }
}

/// Seconds since 1970, 0 for a clock that is set before.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
