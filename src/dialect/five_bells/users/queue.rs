//! Passwords that wait to be verified.
//!
//! Verifying takes tens of milliseconds and megabytes, so few run at once, on threads of their own that live as long as
//! there is work, and few wait. The same login asked for again meanwhile waits for the same answer: a client whose
//! remembered login has run out sends several requests at once. A login whose client has gone is verified all the same,
//! or guesses could be made uncounted by leaving early.

use super::guard::NameId;
use super::memory::LoginKey;
use super::password::Hash;
use super::{Denied, User};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::oneshot;

/// Passwords that wait, of all clients: a few seconds' work.
pub(super) const MOST: usize = 128;
/// Those of one address that wait or are verified: what it can guess before its first failure is counted, and a machine
/// with many clients that all start at once.
pub(super) const MOST_OF_ADDRESS: usize = 32;
/// Requests that wait for the answer to one.
const MOST_ASKING: usize = 64;

/// The outcome of a login.
pub(super) type Outcome = Result<Arc<User>, Denied>;

/// What is asked for once: the login of an address.
pub(super) type Question = (LoginKey, IpAddr);

/// A password to verify.
pub(super) struct Job {
    pub question: Question,
    /// Who it is if it is right; `None`: nobody, whatever it is.
    pub user: Option<Arc<User>>,
    pub hash: Arc<Hash>,
    pub password: Box<str>,
    pub name: NameId,
    /// When it was asked.
    pub now: Instant,
}

/// A place in the queue.
pub(super) struct Placed {
    pub answer: oneshot::Receiver<Outcome>,
    /// A thread has to be started for it.
    pub starts_thread: bool,
}

/// Those that wait, and who asked.
pub(super) struct Queue {
    /// Threads at once.
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    asking: HashMap<Question, Vec<oneshot::Sender<Outcome>>>,
    of_address: HashMap<IpAddr, usize>,
    running: usize,
}

impl Queue {
    pub(super) fn new(threads: usize) -> Queue {
        Queue { threads, state: Mutex::default() }
    }

    /// `None`: too many wait.
    pub(super) fn place(&self, job: Job) -> Option<Placed> {
        let mut state = super::lock(&self.state);
        let (question, peer) = (job.question, job.question.1);
        let (sender, answer) = oneshot::channel();
        if let Some(asking) = state.asking.get_mut(&question) {
            asking.retain(|sender| !sender.is_closed());
            if asking.len() >= MOST_ASKING {
                return None;
            }
            asking.push(sender);
            return Some(Placed { answer, starts_thread: false });
        }
        if state.waiting.len() >= MOST || state.of_address.get(&peer).is_some_and(|count| *count >= MOST_OF_ADDRESS) {
            return None;
        }
        *state.of_address.entry(peer).or_insert(0) += 1;
        state.asking.insert(question, vec![sender]);
        state.waiting.push_back(job);
        let starts_thread = state.running < self.threads;
        state.running += usize::from(starts_thread);
        Some(Placed { answer, starts_thread })
    }

    /// The next for a thread; `None`: the thread ends.
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = super::lock(&self.state);
        let job = state.waiting.pop_front();
        if job.is_none() {
            state.running = state.running.saturating_sub(1);
        }
        job
    }

    /// Tells everybody who asked.
    pub(super) fn answer(&self, question: &Question, outcome: &Outcome) {
        let mut state = super::lock(&self.state);
        let asking = state.asking.remove(question);
        if let Some(count) = state.of_address.get_mut(&question.1) {
            *count -= 1;
            if *count == 0 {
                state.of_address.remove(&question.1);
            }
        }
        drop(state);
        for sender in asking.into_iter().flatten() {
            let _ = sender.send(outcome.clone());
        }
    }

    /// The system gave no thread. If there is none at all, everybody who waits is turned away.
    pub(super) fn no_thread(&self) {
        let mut state = super::lock(&self.state);
        state.running = state.running.saturating_sub(1);
        if state.running == 0 {
            *state = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::Guard;
    use super::super::password::Cost;
    use super::super::tests::address;
    use super::*;

    fn job(number: u32, from: u32) -> Job {
        let mut key = LoginKey::default();
        key[..4].copy_from_slice(&number.to_be_bytes());
        Job {
            question: (key, address(from)),
            user: None,
            hash: Arc::new(Hash::dummy(Cost { memory: 8, passes: 1, lanes: 1 })),
            password: "pass".into(),
            name: Guard::new().id("alice"),
            now: Instant::now(),
        }
    }

    #[test]
    fn it_overflows_at_once() {
        let queue = Queue::new(2);
        let mut placed: Vec<Placed> = Vec::new();
        for number in 0..MOST as u32 {
            placed.push(queue.place(job(number, number / 16)).unwrap());
        }
        assert_eq!(placed.iter().filter(|placed| placed.starts_thread).count(), 2);
        assert!(queue.place(job(9999, 500)).is_none());
        let first = queue.next().unwrap();
        placed.push(queue.place(job(9999, 500)).expect("one was taken out"));
        queue.answer(&first.question, &Err(Denied::Password));
        assert_eq!(placed[0].answer.try_recv().unwrap().unwrap_err(), Denied::Password);
        assert!(placed[1].answer.try_recv().is_err(), "not yet");
        while let Some(job) = queue.next() {
            queue.answer(&job.question, &Err(Denied::Password));
        }
        assert!(placed[1..].iter_mut().all(|placed| placed.answer.try_recv().is_ok()));
        let state = super::super::lock(&queue.state);
        assert_eq!((state.asking.len(), state.of_address.len(), state.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn one_address_does_not_fill_it() {
        let queue = Queue::new(0);
        let mut placed: Vec<Placed> = Vec::new();
        placed.extend((0..1000).map_while(|number| queue.place(job(number, 1))));
        assert_eq!(placed.len(), MOST_OF_ADDRESS);
        assert!(queue.place(job(5000, 2)).is_some());
        let first = queue.next().unwrap();
        assert!(queue.place(job(6000, 1)).is_none(), "those that are verified count");
        queue.answer(&first.question, &Err(Denied::Password));
        assert!(queue.place(job(6000, 1)).is_some());
    }

    #[test]
    fn the_same_login_is_verified_once() {
        let queue = Queue::new(0);
        let mut placed: Vec<Placed> = Vec::new();
        placed.extend((0..1000).map_while(|_| queue.place(job(1, 1))));
        assert_eq!(placed.len(), MOST_ASKING);
        // Those who left make room.
        placed.pop();
        placed.extend(queue.place(job(1, 1)));
        assert_eq!(placed.len(), MOST_ASKING);
        // Another address asks for itself, or its failure would count for somebody else.
        assert!(queue.place(job(1, 2)).is_some());
        assert_eq!(queue.next().unwrap().question.1, address(1));
        let second = queue.next().unwrap();
        assert!(queue.next().is_none());
        queue.answer(&second.question, &Err(Denied::Password));
        assert!(placed.iter_mut().all(|placed| placed.answer.try_recv().is_err()));
        queue.answer(&job(1, 1).question, &Err(Denied::Busy));
        assert!(placed.iter_mut().all(|placed| placed.answer.try_recv() == Ok(Err(Denied::Busy))));
    }

    #[test]
    fn without_a_thread_nobody_waits_for_ever() {
        let queue = Queue::new(1);
        let mut placed = queue.place(job(1, 1)).unwrap();
        assert!(placed.starts_thread);
        queue.no_thread();
        assert_eq!(placed.answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(queue.place(job(1, 1)).unwrap().starts_thread);
    }
}
