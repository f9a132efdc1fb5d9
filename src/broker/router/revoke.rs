//! Sessions that lost their right: tokens and keys were read again and theirs is gone.

use super::Router;
use crate::dialect::Ending;
use crate::session::StillAllowed;
use actix::{Context, Handler, Message};

/// Close every session whose token its mount no longer knows, or that its dialect no longer allows.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revoke;

impl Handler<Revoke> for Router {
    type Result = ();
    fn handle(&mut self, _: Revoke, _: &mut Context<Self>) {
        let mut sessions = self.worker.sessions.borrow_mut();
        for slot in sessions.slots() {
            let lost =
                sessions.slot(slot).is_some_and(|slot| !slot.mount.access.still_allows(slot.link.token.as_deref()));
            if lost {
                sessions.end(slot, Ending::Revoked, 0);
            } else if let Some(session) = sessions.get(slot).and_then(|slot| slot.session.as_ref()) {
                session.do_send(StillAllowed);
            }
        }
    }
}
