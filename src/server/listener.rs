//! Listeners: WebSockets by the upgrade path of actix-http, every other route by an ordinary
//! actix-web `App` on the same port.

use super::admission::Admission;
use super::handshake::{self, Refusal};
use super::page;
use crate::broker::{MountEntry, Router};
use crate::config::Network;
use crate::dialect::{Dialect, Opening};
use crate::session::{self, Handover, Shared, Worker};
use actix::Actor;
use actix_codec::{Encoder, Framed};
use actix_http::body::{BodySize, MessageBody};
use actix_http::{HttpService, Request, Response, h1};
use actix_server::ServerBuilder;
use actix_service::{fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// One listening address and what is mounted there.
#[derive(Clone)]
pub struct Listener {
    /// Longest path first.
    pub mounts: Arc<[Arc<MountEntry>]>,
    /// What every listener asks before it takes a connection.
    pub admission: Arc<Admission>,
    /// A client has this long to send its handshake.
    pub handshake_timeout: Duration,
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

impl Listener {
    /// Adds a socket that listens already to a server.
    pub fn add_to(
        self,
        builder: ServerBuilder,
        socket: TcpListener,
        shared: &Arc<Shared>,
    ) -> io::Result<ServerBuilder> {
        let shared = shared.clone();
        builder.listen("clients", socket, move || {
            let worker = worker_of_this_thread(&shared);
            let listener = Rc::new(self.clone());
            let (send_buffer, receive_buffer) = (self.send_buffer, self.receive_buffer);
            let handshake_timeout = self.handshake_timeout;
            let mounts = self.mounts.clone();
            let app = actix_web::App::new().configure(move |config| routes(config, &mounts));
            HttpService::build()
                .client_request_timeout(handshake_timeout)
                .tcp_nodelay(true)
                .on_connect_ext(move |socket: &TcpStream, _| {
                    // A socket that refuses it works all the same.
                    let socket = socket2::SockRef::from(socket);
                    let _ = socket.set_send_buffer_size(send_buffer);
                    let _ = socket.set_recv_buffer_size(receive_buffer);
                })
                .upgrade(fn_service(move |(request, framed): (Request, Framed<TcpStream, h1::Codec>)| {
                    upgrade(request, framed, listener.clone(), worker.clone())
                }))
                .finish(map_config(app, |_| AppConfig::default()))
                .tcp()
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

    fn judge(&self, request: &Request) -> Result<(Arc<MountEntry>, Box<dyn Dialect>), Refusal> {
        let head = request.head();
        let (mount, below) = self.mount_of(head.uri.path()).ok_or(Refusal::Path)?;
        let opening = Opening { below, query: head.uri.query().unwrap_or_default() };
        let dialect = mount.dialect.open(opening).ok_or(Refusal::Path)?;
        handshake::check(head)?;
        Ok((mount.clone(), dialect))
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
async fn upgrade(
    request: Request,
    framed: Framed<TcpStream, h1::Codec>,
    listener: Rc<Listener>,
    worker: Rc<Worker>,
) -> Result<(), actix_web::Error> {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let peer = handshake::client(request.head(), peer, &listener.trusted_proxies);
    let mut parts = framed.into_parts();
    // Answers to requests before this one on the same connection go out first.
    let mut to_write = std::mem::take(&mut parts.write_buf);
    let judged =
        listener.judge(&request).and_then(|(mount, dialect)| Ok((mount, dialect, listener.admission.admit(peer)?)));
    match judged {
        Ok((mount, dialect, place)) => {
            encode(&mut parts.codec, handshake::accept(request.head()), BodySize::None, &mut to_write)?;
            let read = std::mem::take(&mut parts.read_buf).freeze();
            let handover =
                Handover { socket: parts.io, to_write: to_write.freeze(), read, peer, place: Box::new(place) };
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
