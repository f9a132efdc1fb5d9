//! Calls to a ledger's RPC on behalf of clients: never over the poller's connections, bounded for each client and
//! for all, ended when their client leaves.

use super::LocalFuture;
use crate::broker::SessionRef;
use crate::dialect::{CallError, Reply};
use crate::server::metrics::Metrics;
use actix::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Answers clients' calls to one ledger's RPC. Lives on a thread of its own; several calls run at a time, and a
/// future is dropped when its client has left.
pub trait Upstream: 'static {
    /// Calls `method` with `parameters`, the text of a JSON object. The answer is the RPC's own result, also where
    /// that says that the call was refused.
    fn call<'a>(&'a self, method: &'a str, parameters: &'a str) -> LocalFuture<'a, Result<Reply, CallError>>;

    /// Whether it answers this method mostly from memory: such a call waits for no other.
    fn remembers(&self, _: &str) -> bool {
        false
    }
}

/// Limits of clients' calls to one source's RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls that run at a time for one client.
    pub of_session: usize,
    /// Calls that run at a time.
    pub running: usize,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// How long one may take, once it runs.
    pub timeout: Duration,
}

/// A client's call. Its answer goes nowhere once the receiver is dropped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CallUpstream {
    /// Whose.
    pub session: SessionRef,
    /// The method.
    pub method: Box<str>,
    /// Its parameters, the text of a JSON object.
    pub parameters: Box<str>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Reply, CallError>>,
}

/// The actor of one source's RPC as clients reach it.
pub struct UpstreamActor {
    upstream: Rc<dyn Upstream>,
    /// The source's name, for metrics.
    source: Arc<str>,
    limits: CallLimits,
    metrics: Arc<Metrics>,
    waiting: VecDeque<CallUpstream>,
    running: usize,
    of_session: HashMap<SessionRef, usize>,
}

impl UpstreamActor {
    /// Starts it on a thread of its own, named `upstream-<source>`. `build` runs there; `None` from it: every call
    /// is answered that the RPC cannot be reached.
    pub fn launch(
        source: Arc<str>,
        limits: CallLimits,
        metrics: Arc<Metrics>,
        build: impl FnOnce() -> Option<Box<dyn Upstream>> + Send + 'static,
    ) -> (Addr<UpstreamActor>, ArbiterHandle) {
        let arbiter = Arbiter::new().handle();
        let thread = super::actor::thread_name("upstream-", &source);
        arbiter.spawn_fn(move || {
            // A thread without its name works as well.
            let _ = rustix::thread::set_name(&thread);
        });
        let address = UpstreamActor::start_in_arbiter(&arbiter, move |_| UpstreamActor {
            upstream: build().map_or_else(|| Rc::new(Unreachable) as Rc<dyn Upstream>, Rc::from),
            source,
            limits,
            metrics,
            waiting: VecDeque::new(),
            running: 0,
            of_session: HashMap::new(),
        });
        (address, arbiter)
    }

    /// Starts what may run: first come, first served, past those whose client has enough under way.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        while self.running < self.limits.running {
            let of = |session: &SessionRef| self.of_session.get(session).copied().unwrap_or(0);
            let next = self.waiting.iter().position(|call| of(&call.session) < self.limits.of_session);
            let Some(call) = next.and_then(|at| self.waiting.remove(at)) else { break };
            if !call.answer.is_closed() {
                self.run(call, true, ctx);
            }
        }
    }

    /// Runs a call, as one of those that are limited or beside them.
    fn run(&mut self, call: CallUpstream, counted: bool, ctx: &mut Context<Self>) {
        let CallUpstream { session, method, parameters, mut answer } = call;
        if counted {
            self.running += 1;
            *self.of_session.entry(session).or_default() += 1;
        }
        let (upstream, timeout) = (self.upstream.clone(), self.limits.timeout);
        let work = async move {
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(timeout, upstream.call(&method, &parameters)) => {
                    outcome.unwrap_or(Err(CallError::Unreachable))
                }
                () = answer.closed() => return "left",
            };
            let word = word(&outcome);
            // The client may have left just now.
            let _ = answer.send(outcome);
            word
        };
        ctx.spawn(work.into_actor(self).map(move |outcome, actor, ctx| {
            actor.metrics.called(&actor.source, outcome);
            if !counted {
                return;
            }
            actor.running -= 1;
            if let Some(count) = actor.of_session.get_mut(&session) {
                *count -= 1;
                if *count == 0 {
                    actor.of_session.remove(&session);
                }
            }
            actor.pump(ctx);
        }));
    }
}

/// The word for an outcome in metrics.
fn word(outcome: &Result<Reply, CallError>) -> &'static str {
    match outcome {
        Ok(_) => "answered",
        Err(CallError::Busy) => "busy",
        Err(CallError::Unreachable) => "unreachable",
        Err(CallError::NotReady) => "not_ready",
        Err(CallError::TooLarge) => "too_large",
    }
}

/// For settings that the source itself refuses.
struct Unreachable;

impl Upstream for Unreachable {
    fn call<'a>(&'a self, _: &'a str, _: &'a str) -> LocalFuture<'a, Result<Reply, CallError>> {
        Box::pin(std::future::ready(Err(CallError::Unreachable)))
    }
}

impl Actor for UpstreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What waits is bounded by `limits.calls_waiting`, not by the mailbox.
        ctx.set_mailbox_capacity(0);
    }
}

/// Without it every call would wait for ever.
impl Drop for UpstreamActor {
    fn drop(&mut self) {
        crate::broker::end_if_panicking("upstream");
    }
}

impl Handler<CallUpstream> for UpstreamActor {
    type Result = ();

    fn handle(&mut self, call: CallUpstream, ctx: &mut Self::Context) {
        // One for each message of a client at most, and each ends in bounded time.
        if self.upstream.remembers(&call.method) {
            return self.run(call, false, ctx);
        }
        if self.waiting.len() >= self.limits.waiting {
            self.waiting.retain(|call| !call.answer.is_closed());
        }
        if self.waiting.len() >= self.limits.waiting {
            self.metrics.called(&self.source, "busy");
            // The client may have left just now.
            let _ = call.answer.send(Err(CallError::Busy));
            return;
        }
        self.waiting.push_back(call);
        self.pump(ctx);
    }
}

#[cfg(test)]
mod tests;
