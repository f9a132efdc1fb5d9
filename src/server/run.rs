//! Puts the parts together.

mod health;
mod mounts;
mod stop;

pub use mounts::check_files;

use super::admin::Admin;
use super::admission::Admission;
use super::listener::Listener;
use super::metrics::Metrics;
use super::name_thread;
use super::tls::{Certificate, FileError};
use crate::broker::{self, Backlog, Bound, Broker, Followed, History, MountEntry, Renderings, Revoke, Router};
use crate::config::Config;
use crate::consumer;
use crate::dialect::{self, DialectConfig, Mount, MountContext};
use crate::event::SourceNumber;
use crate::journal::{self, Journal, SourceKey};
use crate::session::{SessionLimits, Shared};
use crate::source::{self, CallLimits, SourceHandle, SourceStatus, UpstreamActor};
use actix::{Actor, Addr, Arbiter, ArbiterHandle};
use actix_server::{Server as HttpServer, ServerHandle};
use actix_web::App;
use health::Health;
use mounts::{Mounts, certificates, mounts};
use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Connections that the kernel completes before we accept them: a crowd that comes back at once.
const BACKLOG: i32 = 4096;
/// What HTTP requests other than WebSockets still get after the drain, in whole seconds.
const HTTP_SHUTDOWN_SECONDS: u64 = 1;

/// An address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The key that chose it.
    pub key: String,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file that the settings name is of no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is kept in `state_dir` cannot be used.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
}

/// Makes a mount; [`dialect::build`] is the one that serves.
pub type BuildMount = dyn Fn(&DialectConfig, MountContext, &mut Renderings) -> Arc<dyn Mount>;

/// A running server. Ends by [`Server::stop`].
pub struct Server {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    sources: Vec<SourceHandle>,
    /// `None`: there are consumers and no listeners.
    clients: Option<ServerHandle>,
    operators: ServerHandle,
    broker: Arbiter,
    followers: Arbiter,
    upstreams: Vec<ArbiterHandle>,
    journal: Option<Arc<Journal>>,
    consumers: Vec<consumer::Running>,
    deadline: Duration,
    mounts: Vec<Mounts>,
    certificates: Vec<Arc<Certificate>>,
    spread: Duration,
    /// Where clients connect, in the order of the settings; port 0 is resolved.
    pub listening: Vec<SocketAddr>,
    /// Where the admin listener is.
    pub admin: SocketAddr,
}

impl Server {
    /// Takes the addresses, then starts the broker, the workers, the listeners and the sources.
    /// Must run inside an actix system.
    pub fn start(config: &Config) -> Result<Server, StartError> {
        Server::start_with(config, &dialect::build)
    }

    /// The same with mounts that `build` makes of their settings: a way to put another dialect on
    /// this transport.
    pub fn start_with(config: &Config, build: &BuildMount) -> Result<Server, StartError> {
        // Files first: what they lack is told before any address is taken.
        check_files(config)?;
        let certificates = certificates(config)?;
        let bound =
            |address: SocketAddr, key: String| listen(address).map_err(|error| ListenError { address, key, error });
        let mut sockets = Vec::new();
        for (at, listener) in config.listeners.iter().enumerate() {
            sockets.push(bound(listener.bind.0, format!("listeners[{at}].bind"))?);
        }
        let addresses = sockets.iter().map(address_of).collect::<Result<Vec<_>, _>>()?;
        let mut renderings = Renderings::default();
        let mounts = mounts(config, &addresses, build, &mut renderings)?;
        let admin_socket = bound(config.admin.bind.0, "admin.bind".to_owned())?;

        if config.admin.bind.is_public() {
            log::warn!(admin:% = config.admin.bind; "the internet may reach the admin listener, which asks for no password");
        }
        let metrics = Arc::new(Metrics::default());
        let names: Arc<[Arc<str>]> = config.sources.names().map(Arc::from).collect();
        let mut history = History::new(names.len(), renderings.len(), config.history.budget.bytes());
        for mount in mounts.iter().flat_map(|mounts| mounts.iter()) {
            if mount.dialect.manners().finds_transactions {
                mount.sources.iter().for_each(|source| history.index_transactions(*source));
            }
        }
        let journal = journal(config)?;
        if let Some(journal) = &journal {
            let (head, past) = journal.past(config.history.budget.bytes());
            history.restore(head, past);
        }
        let history = Arc::new(history);
        if let Some(journal) = &journal {
            journal.start(history.clone(), metrics.clone());
        }
        let broker_thread = Arbiter::new();
        broker_thread.spawn_fn(|| name_thread("broker"));
        // Not the broker's: after a start they look through all that was kept.
        let followers = Arbiter::new();
        followers.spawn_fn(|| name_thread("followers"));
        let (broker, heads) = {
            let broker = Broker::new(history.clone(), metrics.clone(), names.clone()).with_journal(journal.clone());
            let following = mounts.iter().flat_map(|mounts| mounts.iter());
            for mount in following.filter(|mount| mount.dialect.manners().follows) {
                for source in mount.sources.iter() {
                    followers.spawn(follow_for(mount.clone(), *source, history.clone(), broker.heads()));
                }
            }
            let heads = broker.heads();
            (Broker::start_in_arbiter(&broker_thread.handle(), move |_| broker), heads)
        };
        let limits = &config.limits;
        let workers = config.worker_threads();
        let (upstreams, upstream_threads) = upstreams(config, &mounts, &metrics);
        let shared = Arc::new(Shared {
            history,
            backlog: journal.clone().map(|journal| journal as Arc<dyn Backlog>),
            renderings,
            limits: SessionLimits {
                inbound: limits.inbound_bytes.bytes(),
                outbox: Bound::of(limits.outbox.bytes()),
                stall: limits.stall.0,
                messages_per_second: limits.messages_per_second,
                waiting_changes: limits.waiting_changes as usize,
                outboxes: limits.outbox_total.bytes() / workers,
                inbounds: limits.inbound_total.bytes() / workers,
                replays: limits.replays as usize,
            },
            mounts: {
                let mut all: Vec<_> = mounts.iter().flat_map(|mounts| mounts.iter()).collect();
                all.sort_by_key(|mount| mount.number);
                all.iter().map(|mount| mount.dialect.manners().name).collect()
            },
            upstreams,
            broker: broker.clone(),
            metrics: metrics.clone(),
            routers: Mutex::default(),
            next_worker: AtomicU16::new(0),
        });
        let admission =
            Admission::new(limits.connections as usize, limits.connections_per_address, limits.exempt_loopback);

        let mut clients = HttpServer::build()
            .workers(workers)
            // Of each worker. WebSockets are handed over, so these are the connections that are none.
            .max_concurrent_connections((limits.handshakes as usize).div_ceil(workers))
            .shutdown_timeout(HTTP_SHUTDOWN_SECONDS)
            .disable_signals();
        let mut listening = Vec::new();
        for ((socket, mounts), certificate) in sockets.into_iter().zip(&mounts).zip(&certificates) {
            let address = address_of(&socket)?;
            listening.push(address);
            let listener = Listener {
                mounts: mounts.clone(),
                admission: admission.clone(),
                certificate: certificate.clone(),
                header_bytes: limits.header_bytes.bytes(),
                handshake_timeout: limits.handshake.0,
                send_buffer: limits.send_buffer.bytes(),
                receive_buffer: limits.inbound_bytes.bytes(),
                trusted_proxies: limits.trusted_proxies.as_slice().into(),
            };
            let key = || "listeners".to_owned();
            clients = listener.add_to(clients, socket, &shared).map_err(|error| ListenError {
                address,
                key: key(),
                error,
            })?;
        }
        // Nothing to listen on is nothing to run.
        let clients = (!listening.is_empty()).then(|| {
            let clients = clients.run();
            let handle = clients.handle();
            actix::spawn(clients);
            handle
        });
        let stream = consumer::Stream { history: shared.history.clone(), backlog: shared.backlog.clone(), heads };
        let consumers = consumer::start(config, &stream, &metrics);

        let sources: Vec<SourceHandle> = config
            .sources
            .0
            .iter()
            .enumerate()
            .map(|(number, (name, settings))| {
                let settings = source::Settings {
                    number: number as u16,
                    name: name.clone(),
                    ledger: settings.ledger.clone(),
                    journal: journal.clone(),
                    catch_up: config.catch_up.clone(),
                };
                source::start(settings, broker.clone().recipient())
            })
            .collect();

        let statuses: Vec<_> = sources.iter().map(|source| source.status.clone()).collect();
        shared.history.know_tips(move |source| statuses.get(usize::from(source)).is_none_or(|it| it.is_at_tip()));

        let admin = address_of(&admin_socket)?;
        let health = Health {
            sources: {
                let endpoints = config.sources.0.iter().map(|(_, settings)| settings.ledger.endpoints());
                sources.iter().map(|source| source.status.clone()).zip(endpoints).collect()
            },
            admission: admission.clone(),
            shared: shared.clone(),
            journal: journal.clone(),
        };
        let operators = operators(admin_socket, Admin { health: Arc::new(health), metrics })?;
        Ok(Server {
            shared,
            admission,
            sources,
            clients,
            operators,
            broker: broker_thread,
            followers,
            upstreams: upstream_threads,
            journal,
            consumers,
            deadline: config.drain.deadline.0,
            mounts,
            certificates: certificates.into_iter().flatten().collect(),
            spread: config.drain.spread.0,
            listening,
            admin,
        })
    }

    /// Connections that are open: their tasks, which outlive their sessions.
    pub fn sessions(&self) -> usize {
        self.admission.open()
    }

    /// What is known of the sources, in the order of the settings.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<SourceStatus>> {
        self.sources.iter().map(|source| &source.status)
    }

    /// Everything that is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Reads the files again that the settings name: certificates, access tokens, keys of dialects. What cannot be read
    /// stays as it was. Sessions whose token or key is gone are closed.
    pub fn reload(&self) {
        let certificates = self.certificates.iter().map(|certificate| certificate.reload());
        let mounts = || self.mounts.iter().flat_map(|mounts| mounts.iter());
        let tokens = mounts().map(|mount| mount.access.reload());
        let keys = mounts().map(|mount| mount.dialect.read_files());
        let mut good = true;
        for error in certificates.chain(tokens).chain(keys).filter_map(Result::err) {
            good = false;
            log::error!("{error}; what was there before goes on");
        }
        for router in self.routers() {
            router.do_send(Revoke);
        }
        if good {
            log::info!("certificates, access tokens and keys were read again; other settings need a restart");
        }
    }

    fn routers(&self) -> Vec<Addr<Router>> {
        self.shared.routers.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// What is kept over a restart, if anything.
fn journal(config: &Config) -> Result<Option<Arc<Journal>>, journal::OpenError> {
    let Some(directory) = &config.state_dir else { return Ok(None) };
    let key = |(name, settings): &(String, crate::config::SourceConfig)| SourceKey {
        name: name.clone(),
        scope: source::scope(&settings.ledger),
    };
    let sources = config.sources.0.iter().map(key).collect();
    Journal::open(directory, config.journal.clone(), sources).map(|journal| Some(Arc::new(journal)))
}

/// By source: what answers clients' own calls, where a mount's dialect has such calls. And the threads of all.
fn upstreams(
    config: &Config,
    mounts: &[Mounts],
    metrics: &Arc<Metrics>,
) -> (Vec<Option<Addr<UpstreamActor>>>, Vec<ArbiterHandle>) {
    let calling = mounts.iter().flat_map(|mounts| mounts.iter()).filter(|mount| mount.dialect.manners().calls);
    let called: HashSet<_> = calling.filter_map(|mount| mount.sources.first().copied()).collect();
    let limits = &config.limits;
    let call_limits = CallLimits {
        of_session: limits.calls_of_session as usize,
        running: limits.calls as usize,
        waiting: limits.calls_waiting as usize,
        timeout: limits.call_timeout.0,
    };
    let mut threads = Vec::new();
    let addresses = config.sources.0.iter().enumerate().map(|(number, (name, settings))| {
        called.contains(&(number as u16)).then(|| {
            let (ledger, largest) = (settings.ledger.clone(), limits.call_bytes.bytes());
            let build = move || source::upstream(&ledger, largest);
            let (address, thread) = UpstreamActor::launch(name.as_str().into(), call_limits, metrics.clone(), build);
            threads.push(thread);
            address
        })
    });
    (addresses.collect(), threads)
}

/// Shows a mount every ledger of one of its sources.
async fn follow_for(mount: Arc<MountEntry>, source: SourceNumber, history: Arc<History>, heads: watch::Receiver<u64>) {
    let kept = history.clone();
    broker::follow(history, heads, source, move |followed| {
        if let Followed::Ledger(entry) = followed {
            let oldest = kept.oldest(&[source]).sequence + 1;
            mount.dialect.follow(entry, oldest);
        }
    })
    .await;
}

/// A listening socket with a long queue, its port known.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restart must not wait for the old process's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn address_of(socket: &TcpListener) -> Result<SocketAddr, ListenError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    socket.local_addr().map_err(|error| ListenError { address: unknown, key: String::new(), error })
}

/// The admin listener, on a thread of its own: it answers while the workers are busy.
fn operators(socket: TcpListener, admin: Admin) -> Result<ServerHandle, ListenError> {
    let address = address_of(&socket)?;
    let server = actix_web::HttpServer::new(move || {
        name_thread("admin");
        let admin = admin.clone();
        App::new().configure(move |app| admin.routes(app))
    })
    .workers(1)
    .shutdown_timeout(HTTP_SHUTDOWN_SECONDS)
    .disable_signals()
    .listen(socket)
    .map_err(|error| ListenError { address, key: "admin.bind".to_owned(), error })?
    .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}
