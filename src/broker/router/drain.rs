//! The end of all sessions of a thread, spread over a time.

use super::Router;
use crate::dialect::Ending;
use actix::{AsyncContext, Context, Handler, Message};
use std::time::{Duration, Instant};

/// How often some more sessions are told.
const STEP: Duration = Duration::from_millis(20);

/// Close every session of this thread: the server stops. Those who come from now on are told at once.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// The time over which they are told, evenly, so that they do not all come back elsewhere in
    /// the same instant.
    pub spread: Duration,
}

/// The sessions of this thread on their way out.
struct Round {
    /// Their slots. One may be another session's by its turn, which is told a second time then, in vain.
    slots: Vec<u32>,
    told: usize,
    begun: Instant,
    spread: Duration,
}

impl Round {
    /// How many shall have been told by now: the first at once, the last before the time is over.
    fn due(&self, elapsed: Duration) -> usize {
        let count = self.slots.len() as u128;
        let due = (count * elapsed.as_nanos()).checked_div(self.spread.as_nanos()).unwrap_or(count) + 1;
        due.min(count) as usize
    }
}

impl Handler<Drain> for Router {
    type Result = ();
    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) {
        let slots = {
            let mut sessions = self.worker.sessions.borrow_mut();
            sessions.draining = true;
            sessions.slots()
        };
        self.tell(Round { slots, told: 0, begun: Instant::now(), spread: drain.spread }, ctx);
    }
}

impl Router {
    fn tell(&mut self, mut round: Round, ctx: &mut Context<Self>) {
        let due = round.due(round.begun.elapsed());
        let mut sessions = self.worker.sessions.borrow_mut();
        for slot in &round.slots[round.told..due] {
            sessions.end(*slot, Ending::Shutdown, 0);
        }
        round.told = due;
        if due < round.slots.len() {
            ctx.run_later(STEP, move |router, ctx| router.tell(round, ctx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_evenly_and_all_in_time() {
        let seconds = Duration::from_secs;
        let round = |count: u32, spread| Round { slots: (0..count).collect(), told: 0, begun: Instant::now(), spread };
        let four = round(4, seconds(4));
        let due: Vec<_> = (0..5).map(|second| four.due(seconds(second))).collect();
        assert_eq!(due, [1, 2, 3, 4, 4]);
        let many = round(50_000, seconds(3));
        assert_eq!(many.due(Duration::from_millis(1500)), 25_001);
        assert_eq!(many.due(seconds(3)), 50_000);
        assert_eq!(round(0, seconds(3)).due(seconds(1)), 0);
        assert_eq!(round(7, Duration::ZERO).due(Duration::ZERO), 7);
    }
}
