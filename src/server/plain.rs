//! Plain HTTP below the mounts of dialects that answer it.

use super::cors::Cors;
use super::listener::Listener;
use super::{handshake, page};
use crate::broker::{History, MountEntry};
use crate::dialect::{self, HttpReply, Opening, Recent};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

/// A request that is no handshake, below a mount whose dialect answers such.
pub async fn answer(
    listener: Rc<Listener>,
    history: Arc<History>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let Some((mount, below)) = listener.mount_of(request.path()).filter(|(mount, _)| mount.dialect.manners().http)
    else {
        return HttpResponse::NotFound().finish();
    };
    let cors = Cors::of(&mount.access, request.head());
    let mut response = match cors.preflight(request.head()) {
        Some(response) => response,
        None => of_mount(&listener, mount, below, history, &request, payload).await,
    };
    cors.tell(response.headers_mut());
    response
}

/// The answer of a mount to what is `below` it.
async fn of_mount(
    listener: &Listener,
    mount: &MountEntry,
    below: &str,
    history: Arc<History>,
    request: &HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    if let Err(refusal) = mount.access.judge(request.head()) {
        return refusal.response().into();
    }
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let client = handshake::client(request.head(), peer, &listener.trusted_proxies);
    // A proxy's connections are not counted as its own, so each request is as one of its client's.
    let counted = (client != peer).then(|| listener.admission.arrive(client, false)).transpose();
    let _counted = match counted {
        Ok(counted) => counted,
        Err(refusal) => return refusal.response().into(),
    };
    let body = match payload.to_bytes_limited(dialect::MAX_BODY).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return HttpResponse::BadRequest().finish(),
        Err(_) => return HttpResponse::PayloadTooLarge().finish(),
    };
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let asked = dialect::HttpRequest {
        method: request.method().as_str().into(),
        below: below.into(),
        query: request.query_string().into(),
        authorization: authorization.map(Into::into),
        body,
        peer: client,
    };
    match mount.dialect.http(asked, &Recent::new(history, mount.sources.clone())) {
        Some(reply) => {
            let HttpReply { status, headers, body } = reply.await;
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = HttpResponse::build(status);
            headers.into_iter().for_each(|header| _ = response.insert_header(header));
            response.body(body)
        }
        None if mount.dialect.open(Opening::at(below, request.query_string())).is_some() => {
            page::upgrade_required(request.clone()).await
        }
        None => HttpResponse::NotFound().finish(),
    }
}
