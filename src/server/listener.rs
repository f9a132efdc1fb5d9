//! Listeners: WebSockets by the upgrade path of actix-http, every other route by an ordinary
//! actix-web `App` on the same port.

use super::access::TokenId;
use super::admission::{Admission, Arrival, Place};
use super::arriving::Arriving;
use super::handshake::{self, Refusal};
use super::metrics::Metrics;
use super::page;
use super::tls::Certificate;
use crate::broker::{MountEntry, Router};
use crate::config::Network;
use crate::dialect::{Dialect, Opening};
use crate::session::{self, Handover, Shared, Socket, Worker};
use actix::Actor;
use actix_codec::{Encoder, Framed};
use actix_http::body::{BodySize, MessageBody};
use actix_http::{Extensions, HttpService, Protocol, Request, Response, h1};
use actix_server::ServerBuilder;
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::{App, web};
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, OnceCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// A connection that is no WebSocket yet, for as long as the HTTP stack has it.
struct Arrived {
    _arrival: Arrival,
    metrics: Arc<Metrics>,
    asked: Cell<bool>,
}

impl Drop for Arrived {
    fn drop(&mut self) {
        self.metrics.connection_left(self.asked.get());
    }
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

/// The sockets themselves.
fn plain(arriving: &Arriving<TcpStream>) -> &TcpStream {
    arriving.get_ref()
}

fn under_tls(arriving: &Arriving<TlsStream<TcpStream>>) -> &TcpStream {
    arriving.get_ref().get_ref().0
}

/// A connection may be no WebSocket for so many times `limits.handshake`: enough for a page and what follows it.
const LONGEST_ARRIVAL: u32 = 4;

/// The service of a listener on one thread, over plain sockets or TLS.
macro_rules! service {
    ($listener:expr, $shared:expr, $tcp_of:expr) => {{
        let worker = worker_of_this_thread(&$shared);
        let listener = Rc::new($listener);
        let arriving = listener.clone();
        let metrics = $shared.metrics.clone();
        let app = listener.app();
        HttpService::build()
            .client_request_timeout(listener.handshake_timeout)
            .on_connect_ext(move |socket, extensions| arriving.arrive($tcp_of(socket), extensions, &metrics))
            .upgrade(fn_service(move |(request, framed): (Request, Framed<_, h1::Codec>)| {
                upgrade(request, framed, listener.clone(), worker.clone())
            }))
            .finish(map_config(app, |_| AppConfig::default()))
    }};
}

impl Listener {
    /// Adds a socket that listens already to a server.
    pub fn add_to(
        self,
        builder: ServerBuilder,
        socket: TcpListener,
        shared: &Arc<Shared>,
    ) -> io::Result<ServerBuilder> {
        let shared = shared.clone();
        let at_most = self.handshake_timeout * LONGEST_ARRIVAL;
        let Some(certificate) = &self.certificate else {
            return builder.listen("clients", socket, move || {
                let arriving = fn_service(move |socket: TcpStream| async move {
                    let peer = socket.peer_addr().ok();
                    Ok((Arriving::new(socket, at_most), Protocol::Http1, peer))
                });
                arriving.and_then(service!(self.clone(), shared, plain))
            });
        };
        let mut config = certificate.server_config().map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        builder.listen("clients", socket, move || {
            let mut acceptor = Acceptor::new(config.clone());
            acceptor.set_handshake_timeout(self.handshake_timeout);
            let acceptor = acceptor.map_err(TlsError::into_service_error);
            let arriving = acceptor.and_then(move |session: TlsStream<TcpStream>| async move {
                let peer = session.get_ref().0.peer_addr().ok();
                Ok((Arriving::new(session, at_most), Protocol::Http1, peer))
            });
            arriving.and_then(service!(self.clone(), shared, under_tls).map_err(TlsError::Service))
        })
    }

    /// A connection was accepted: its place among those that are no WebSockets, or its end.
    fn arrive(&self, socket: &TcpStream, extensions: &mut Extensions, metrics: &Arc<Metrics>) {
        let options = socket2::SockRef::from(socket);
        // A socket that refuses them works all the same.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_send_buffer_size(self.send_buffer);
        let _ = options.set_recv_buffer_size(self.receive_buffer);
        // A peer that is gone already has no address, and holds nothing.
        let Ok(peer) = socket.peer_addr() else { return };
        let is_proxy = self.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        match self.admission.arrive(peer.ip(), is_proxy) {
            Ok(arrival) => {
                metrics.connection_arrived();
                extensions.insert(Arrived { _arrival: arrival, metrics: metrics.clone(), asked: Cell::new(false) });
            }
            Err(refusal) => {
                metrics.connection_refused(refusal, &peer.ip());
                // The HTTP stack reads the end and lets go. An answer would cost what is to be saved.
                let _ = options.shutdown(Shutdown::Both);
            }
        }
    }

    /// What answers every request that is no WebSocket.
    fn app(
        &self,
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
        App::new().configure(move |config| routes(config, &mounts)).wrap_fn(move |request, app| {
            asked(request.request().conn_data());
            let fits = handshake::check_size(request.head(), header_bytes);
            let answer = fits.map(|()| app.call(request));
            async move {
                match answer {
                    Ok(answer) => answer.await,
                    Err(refusal) => Err(refusal.into()),
                }
            }
        })
    }

    /// The mount of a path, and what is below it.
    fn mount_of<'a>(&self, path: &'a str) -> Option<(&Arc<MountEntry>, &'a str)> {
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
        let opening = Opening { below, query: head.uri.query().unwrap_or_default() };
        let dialect = mount.dialect.open(opening).ok_or(Refusal::Path)?;
        handshake::check(head)?;
        let token = mount.access.judge(head)?;
        Ok(Judged { mount: mount.clone(), dialect, token, place: self.admission.admit(peer)? })
    }
}

/// A good handshake.
struct Judged {
    mount: Arc<MountEntry>,
    dialect: Box<dyn Dialect>,
    token: Option<Box<TokenId>>,
    place: Place,
}

/// Notes that a connection has asked for something.
fn asked(arrived: Option<&Arrived>) {
    if let Some(arrived) = arrived {
        arrived.asked.set(true);
    }
}

/// Everything on the port that is no WebSocket.
fn routes(config: &mut web::ServiceConfig, mounts: &[Arc<MountEntry>]) {
    for mount in mounts {
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
async fn upgrade<T: AsyncRead + AsyncWrite + Unpin + Into<Socket>>(
    request: Request,
    framed: Framed<T, h1::Codec>,
    listener: Rc<Listener>,
    worker: Rc<Worker>,
) -> Result<(), actix_web::Error> {
    asked(request.conn_data());
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let peer = handshake::client(request.head(), peer, &listener.trusted_proxies);
    let mut parts = framed.into_parts();
    // Answers to requests before this one on the same connection go out first.
    let mut to_write = std::mem::take(&mut parts.write_buf);
    match listener.judge(&request, peer) {
        Ok(Judged { mount, dialect, token, place }) => {
            encode(&mut parts.codec, handshake::accept(request.head()), BodySize::None, &mut to_write)?;
            let handover = Handover {
                socket: parts.io.into(),
                to_write: to_write.freeze(),
                read: std::mem::take(&mut parts.read_buf).freeze(),
                peer,
                token,
                place: Box::new(place),
            };
            session::spawn(&worker, mount, dialect, handover);
        }
        Err(refusal) => {
            worker.shared.metrics.connection_refused(refusal, &peer);
            refuse(refusal, &mut parts.codec, &mut to_write)?;
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

fn refuse(refusal: Refusal, codec: &mut h1::Codec, to_write: &mut BytesMut) -> io::Result<()> {
    let (response, body) = refusal.response().into_parts();
    let body: Bytes = body.try_into_bytes().unwrap_or_default();
    encode(codec, response, BodySize::Sized(body.len() as u64), to_write)?;
    codec.encode(h1::Message::Chunk(Some(body)), to_write)
}

fn encode(codec: &mut h1::Codec, response: Response<()>, size: BodySize, to_write: &mut BytesMut) -> io::Result<()> {
    codec.encode(h1::Message::Item((response, size)), to_write)
}
