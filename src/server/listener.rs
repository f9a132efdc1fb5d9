//! Listeners: WebSockets by the upgrade path of actix-http, every other route by an ordinary
//! actix-web `App` on the same port.

use super::access::TokenId;
use super::admission::{Admission, Place};
use super::arriving::{Arrived, Arriving, Asked};
use super::handshake::{self, Refusal};
use super::metrics::Metrics;
use super::tls::Certificate;
use super::{page, plain};
use crate::broker::{self, History, MountEntry, Position, Router};
use crate::config::Network;
use crate::dialect::{Dialect, Entry, HttpReply, Opening, ResumeError};
use crate::event::{Mark, Replay};
use crate::session::{self, Handover, Shared, Socket, Worker};
use actix::Actor;
use actix_codec::{Encoder, Framed};
use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response, StatusCode, h1, header};
use actix_server::ServerBuilder;
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::{App, web};
use bytes::{Bytes, BytesMut};
use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// One listening address and what is mounted there.
#[derive(Clone)]
pub struct Listener {
    /// Longest path first.
    pub mounts: Arc<[Arc<MountEntry>]>,
    /// What every listener asks before it takes a connection.
    pub admission: Arc<Admission>,
    /// With it the listener speaks TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// A client has this long to send its handshake, and as long for that of TLS before it.
    pub handshake_timeout: Duration,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[Network]>,
    /// Bytes that the kernel holds of what a client sent and we have not read.
    pub receive_buffer: usize,
    /// Bytes that the kernel holds for one socket. Unset it grows to megabytes for each client
    /// that does not read.
    pub send_buffer: usize,
}

thread_local! {
    static WORKER: OnceCell<Rc<Worker>> = const { OnceCell::new() };
}

/// This thread's worker, with its Router; made when the first listener comes up on the thread.
fn worker_of_this_thread(shared: &Arc<Shared>) -> Rc<Worker> {
    WORKER.with(|cell| {
        cell.get_or_init(|| {
            let number = shared.next_worker.fetch_add(1, Ordering::Relaxed);
            super::name_thread(&format!("worker-{number}"));
            let worker = Rc::new(Worker::new(shared.clone(), number));
            Router::new(worker.clone()).start();
            worker
        })
        .clone()
    })
}

/// A connection may be no WebSocket for so many times `limits.handshake`: enough for a page and what follows it.
const LONGEST_ARRIVAL: u32 = 4;

impl Listener {
    /// Adds a socket that listens already to a server.
    pub fn add_to(
        self,
        builder: ServerBuilder,
        socket: TcpListener,
        shared: &Arc<Shared>,
    ) -> io::Result<ServerBuilder> {
        let shared = shared.clone();
        let config = self.certificate.as_ref().map(|certificate| certificate.server_config()).transpose();
        let acceptor = config.map_err(io::Error::other)?.map(|config| TlsAcceptor::from(Arc::new(config)));
        builder.listen("clients", socket, move || {
            let worker = worker_of_this_thread(&shared);
            let listener = Rc::new(self.clone());
            let app = listener.clone().app(shared.history.clone());
            let (arriving, acceptor, metrics) = (listener.clone(), acceptor.clone(), shared.metrics.clone());
            let arrive = fn_service(move |socket: TcpStream| {
                let (listener, acceptor, metrics) = (arriving.clone(), acceptor.clone(), metrics.clone());
                async move { listener.arrive(socket, acceptor, metrics).await.map_err(DispatchError::from) }
            });
            let http = HttpService::build()
                .client_request_timeout(listener.handshake_timeout)
                .on_connect_ext(|arriving: &Arriving, extensions| _ = extensions.insert(arriving.asked()))
                .upgrade(fn_service(move |(request, framed): (Request, Framed<Arriving, h1::Codec>)| {
                    upgrade(request, framed, listener.clone(), worker.clone())
                }))
                .finish(map_config(app, |_| AppConfig::default()));
            arrive.and_then(http)
        })
    }

    /// A connection was accepted: its place among those that are no WebSockets, then TLS where that is
    /// spoken. An error lets it go: an answer would cost what is to be saved.
    async fn arrive(
        &self,
        socket: TcpStream,
        acceptor: Option<TlsAcceptor>,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Arriving, Protocol, Option<SocketAddr>)> {
        let peer = socket.peer_addr()?;
        let options = socket2::SockRef::from(&socket);
        // A socket that refuses them works all the same.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_send_buffer_size(self.send_buffer);
        let _ = options.set_recv_buffer_size(self.receive_buffer);
        let is_proxy = self.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        let arrival = self.admission.arrive(peer.ip(), is_proxy).map_err(|refusal| {
            metrics.connection_refused(refusal, &peer.ip());
            io::Error::other(refusal)
        })?;
        let arrived = Arrived::new(arrival, metrics);
        let socket = match acceptor {
            None => Socket::from(socket),
            Some(acceptor) => tokio::time::timeout(self.handshake_timeout, acceptor.accept(socket)).await??.into(),
        };
        Ok((Arriving::new(socket, arrived, self.handshake_timeout * LONGEST_ARRIVAL), Protocol::Http1, Some(peer)))
    }

    /// What answers every request that is no WebSocket.
    fn app(
        self: Rc<Self>,
        history: Arc<History>,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse,
            Error = actix_web::Error,
            InitError = (),
        > + use<>,
    > {
        let (mounts, header_bytes) = (self.mounts.clone(), self.header_bytes);
        let of_dialects = move |request, payload| plain::answer(self.clone(), history.clone(), request, payload);
        App::new().configure(move |config| routes(config, &mounts)).default_service(web::to(of_dialects)).wrap_fn(
            move |request, app| {
                if let Some(asked) = request.request().conn_data::<Asked>() {
                    asked.note();
                }
                let fits = handshake::check_size(request.head(), header_bytes);
                let answer = fits.map(|()| app.call(request));
                async move {
                    match answer {
                        Ok(answer) => answer.await,
                        Err(refusal) => Err(refusal.into()),
                    }
                }
            },
        )
    }

    /// The mount of a path, and what is below it.
    pub(super) fn mount_of<'a>(&self, path: &'a str) -> Option<(&Arc<MountEntry>, &'a str)> {
        self.mounts.iter().find_map(|mount| {
            let below = path.strip_prefix(mount.path.as_str())?;
            let whole = below.is_empty() || below.starts_with('/') || mount.path.ends_with('/');
            whole.then_some((mount, below))
        })
    }

    /// Whether a handshake is good, and what it is then: the mount, its session, the token that let it in and a place
    /// among the counted.
    fn judge(&self, request: &Request, peer: IpAddr) -> Result<Judged, Refusal> {
        let head = request.head();
        handshake::check_size(head, self.header_bytes)?;
        handshake::check_method(head)?;
        let (mount, below) = self.mount_of(head.uri.path()).ok_or(Refusal::Path)?;
        let authorization = head.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let opening = Opening { below, query: head.uri.query().unwrap_or_default(), authorization, peer };
        let entry = mount.dialect.open(opening).ok_or(Refusal::Path)?;
        handshake::check(head)?;
        let token = mount.access.judge(head)?;
        let mark = handshake::mark(head, mount.resume, mount.replay)?.or_else(|| mount.begin.clone());
        Ok(Judged { mount: mount.clone(), entry, token, mark, place: self.admission.admit(peer)? })
    }
}

/// A good handshake.
struct Judged {
    mount: Arc<MountEntry>,
    entry: Entry,
    token: Option<Box<TokenId>>,
    mark: Option<(Mark, Replay)>,
    place: Place,
}

/// Who has been let in.
struct Entered {
    mount: Arc<MountEntry>,
    dialect: Box<dyn Dialect>,
    token: Option<Box<TokenId>>,
    mark: Option<(Mark, Replay)>,
    place: Place,
}

impl Judged {
    /// Whether the dialect lets the client in, within this time, and can go on where it wants to.
    async fn enter(self, at_most: Duration, history: &History) -> Result<Entered, Turned> {
        let Judged { mount, entry, token, mark, place } = self;
        let entered = match entry {
            Entry::Session(dialect) => Ok(dialect),
            Entry::Refused(reply) => Err(reply),
            Entry::Asking(answer) => tokio::time::timeout(at_most, answer).await.map_err(|_| Refusal::Unanswered)?,
        };
        let dialect = entered?;
        if let Some((mark, replay)) = &mark {
            let sources = dialect.sources().unwrap_or(&mount.sources);
            let until = |until| broker::judge_end(history, sources, mark, until);
            match broker::judge(history, sources, mark).and_then(|()| replay.until.as_ref().map_or(Ok(()), until)) {
                // It will be, when the session asks for its first events.
                Ok(()) | Err(ResumeError::NotReady) => {}
                Err(error) => return Err(Refusal::Resume(error).into()),
            }
        }
        Ok(Entered { mount, dialect, token, mark, place })
    }
}

/// Why a client is turned away: by the rules of all, or by its dialect in its own words.
enum Turned {
    Refusal(Refusal),
    Dialect(HttpReply),
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Turned {
        Turned::Refusal(refusal)
    }
}

impl From<HttpReply> for Turned {
    fn from(reply: HttpReply) -> Turned {
        Turned::Dialect(reply)
    }
}

impl Turned {
    /// What it is counted as.
    fn counted(&self) -> Refusal {
        match self {
            Turned::Refusal(refusal) => *refusal,
            Turned::Dialect(_) => Refusal::Dialect,
        }
    }

    fn response(self) -> Response<BoxBody> {
        match self {
            Turned::Refusal(refusal) => refusal.response(),
            Turned::Dialect(HttpReply { status, headers, body }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = Response::build(status);
                headers.into_iter().for_each(|header| _ = response.insert_header(header));
                response.force_close().body(body).map_into_boxed_body()
            }
        }
    }
}

/// Everything on the port that is no WebSocket.
fn routes(config: &mut web::ServiceConfig, mounts: &[Arc<MountEntry>]) {
    for mount in mounts.iter().filter(|mount| !mount.dialect.manners().http) {
        // A resource, so that other methods get 405 as they do in a handshake.
        config.service(web::resource(mount.path.as_str()).route(web::get().to(page::upgrade_required)));
    }
    if !mounts.iter().any(|mount| mount.path == "/") {
        // The page speaks Flow: of several mounts the one that stands first in the settings.
        let flow = mounts.iter().filter(|mount| mount.dialect.manners().name == "flow");
        let index = page::Index::new(flow.min_by_key(|mount| mount.number).map(|mount| mount.path.as_str()));
        config.route("/", web::get().to(move || std::future::ready(index.answer())));
    }
}

/// A request that asks for an upgrade: a connection task if all is well, else a refusal.
async fn upgrade(
    request: Request,
    framed: Framed<Arriving, h1::Codec>,
    listener: Rc<Listener>,
    worker: Rc<Worker>,
) -> Result<(), actix_web::Error> {
    if let Some(asked) = request.conn_data::<Asked>() {
        asked.note();
    }
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let peer = handshake::client(request.head(), peer, &listener.trusted_proxies);
    let mut parts = framed.into_parts();
    // Answers to requests before this one on the same connection go out first.
    let mut to_write = std::mem::take(&mut parts.write_buf);
    let entered = match listener.judge(&request, peer) {
        Ok(judged) => judged.enter(listener.handshake_timeout, &worker.shared.history).await,
        Err(refusal) => Err(refusal.into()),
    };
    match entered {
        Ok(Entered { mount, dialect, token, mark, place }) => {
            let cursor = mount.resume.then(|| {
                let sources = dialect.sources().unwrap_or(&mount.sources);
                let head = worker.sessions.borrow().head;
                worker.shared.history.cursor_at(sources, Position::after(head))
            });
            let answer = handshake::accept(request.head(), cursor.flatten());
            encode(&mut parts.codec, answer, BodySize::None, &mut to_write)?;
            let handover = Handover {
                socket: parts.io.into(),
                to_write: to_write.freeze(),
                read: std::mem::take(&mut parts.read_buf).freeze(),
                peer,
                token,
                mark,
                place: Box::new(place),
            };
            session::spawn(&worker, mount, dialect, handover);
        }
        Err(turned) => {
            worker.shared.metrics.connection_refused(turned.counted(), &peer);
            refuse(turned.response(), &mut parts.codec, &mut to_write)?;
            // Bounded: a client that does not read its refusal is left.
            let sent = async {
                parts.io.write_all(&to_write).await?;
                parts.io.shutdown().await
            };
            let _ = tokio::time::timeout(listener.handshake_timeout, sent).await;
        }
    }
    Ok(())
}

fn refuse(response: Response<BoxBody>, codec: &mut h1::Codec, to_write: &mut BytesMut) -> io::Result<()> {
    let (response, body) = response.into_parts();
    let body: Bytes = body.try_into_bytes().unwrap_or_default();
    encode(codec, response, BodySize::Sized(body.len() as u64), to_write)?;
    codec.encode(h1::Message::Chunk(Some(body)), to_write)
}

fn encode(codec: &mut h1::Codec, response: Response<()>, size: BodySize, to_write: &mut BytesMut) -> io::Result<()> {
    codec.encode(h1::Message::Item((response, size)), to_write)
}
