//! A server under attack, and beside it clients that behave: what must be as before once it is over.

use super::client::is_a_row;
use super::raw::Raw;
use super::reader::Reader;
use super::server::{Devnet, Server, settings};
use super::{pause, raise_open_files, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;
use std::time::Duration;

/// Events of each ledger, the ledger's own among them.
const EVENTS: u32 = 20;
/// Memory that an attack may leave behind.
const LEFT: u64 = 16 << 20;
/// Clients that behave.
const READERS: usize = 4;

/// The server, its ledger, and clients that take everything all the while.
pub struct Scene {
    pub server: Server,
    pub devnet: Devnet,
    readers: Vec<Reader>,
}

impl Scene {
    /// With some sections of settings.
    pub fn start(more: &str) -> Scene {
        let devnet = Devnet::start("4", EVENTS);
        let server = Server::start(&settings(devnet.address, &small_history(more)));
        Scene::of(devnet, server)
    }

    /// Of a server that was started otherwise.
    pub fn of(devnet: Devnet, server: Server) -> Scene {
        Scene::with(devnet, server, READERS)
    }

    /// The same with so many that behave.
    pub fn with(devnet: Devnet, server: Server, readers: usize) -> Scene {
        raise_open_files();
        server.wait_ready();
        let readers = (0..readers).map(|_| Reader::start(server.clients, &json!({}))).collect();
        Scene { server, devnet, readers }
    }

    /// Attacks and holds what is left against what was there before.
    ///
    /// What comes first is left out of the account: it fills the allocator's pools and the tables of
    /// worker threads, which a server keeps once anybody came. What leaks grows with every round.
    pub fn endures(mut self, rounds: usize, mut attack: impl FnMut(&Server)) {
        attack(&self.server);
        self.calms_down();
        let (memory, descriptors) = (self.server.process.memory(), self.server.process.descriptors());
        for _ in 0..rounds {
            attack(&self.server);
        }
        self.calms_down();
        let process = &self.server.process;
        wait_until("descriptors are closed", || process.descriptors() <= descriptors);
        let now = process.memory();
        eprintln!("memory: {} KiB before, {} KiB after", memory >> 10, now >> 10);
        assert!(now < memory + LEFT, "{memory} bytes before, {now} after");
        self.is_whole();
    }

    /// Only those who behave are left, the server is ready, and ledgers go on.
    pub fn calms_down(&self) {
        wait_until("every attacker's session ends", || self.server.sessions() == self.readers.len() as u64);
        wait_until("every other connection ends", || self.server.metric("ledgercast_connections_arrived") == 0.0);
        self.server.wait_ready();
        let latest = self.devnet.latest();
        wait_until("everybody gets the latest ledger", || self.readers.iter().all(|reader| reader.last() > latest));
    }

    /// Ends it: nobody who behaves has lost anything or got it in another order.
    pub fn is_whole(&mut self) {
        assert!(self.server.stop().success());
        let streams: Vec<Vec<String>> = self.readers.drain(..).map(Reader::into_texts).collect();
        for stream in &streams {
            // The ledger that was under way at the registration may come without its first events.
            let begin = |text: &String| text.starts_with(r#"{"type":"ledger""#);
            let first = stream.iter().position(begin).expect("whole ledgers came");
            let last = stream.iter().rposition(begin).expect("whole ledgers came");
            is_a_row(&stream[first..]);
            let ledgers = stream[first..last].iter().filter(|text| begin(text)).count();
            assert_eq!(last - first, ledgers * EVENTS as usize, "whole ledgers have the same number of events");
            let same = streams[0].iter().position(|text| *text == stream[first]);
            if let Some(same) = same {
                assert!(streams[0][same..].iter().zip(&stream[first..]).all(|(one, other)| one == other));
            }
        }
    }
}

/// History is small, so that its growth is not taken for something left behind.
pub fn small_history(more: &str) -> String {
    format!("history: {{ budget: 2MiB }}\n{more}")
}

/// Attackers at once, each with many turns and chances of its own.
pub fn crowd(attackers: usize, turns: usize, attack: impl Fn(usize, &mut StdRng) + Sync) {
    let seed = super::seed();
    let attack = &attack;
    std::thread::scope(|scope| {
        for attacker in 0..attackers {
            scope.spawn(move || {
                let mut chance = StdRng::seed_from_u64(seed.wrapping_add(attacker as u64));
                for turn in 0..turns {
                    attack(attacker * turns + turn, &mut chance);
                }
            });
        }
    });
}

/// Random bytes.
pub fn garbage(chance: &mut StdRng, at_most: usize) -> Vec<u8> {
    let mut bytes = vec![0; chance.random_range(1..=at_most)];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// Ends a connection by a reset instead of an end.
pub fn reset(raw: Raw) {
    // Zero seconds to linger: the kernel forgets what is under way and says RST.
    socket2::SockRef::from(&raw.stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Sends the same again and again until the time is over or the server takes no more.
pub fn flood(raw: &mut Raw, bytes: &[u8], time: Duration) -> usize {
    let end = std::time::Instant::now() + time;
    let mut sent = 0;
    // A server that does not read makes the flood wait, not fail.
    raw.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    while std::time::Instant::now() < end {
        match std::io::Write::write(&mut raw.stream, &bytes[sent % bytes.len()..]) {
            Ok(count) if count > 0 => sent += count,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            _ => break,
        }
    }
    sent
}

/// The CPU time of a process so far.
pub fn cpu_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name in brackets may hold anything; the rest is numbers.
    let rest = stat.rsplit_once(") ").expect("a name in brackets").1;
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// Waits, and gives the share of one core that a process used meanwhile.
pub fn cpu_share(id: u32, time: Duration) -> f64 {
    let before = cpu_time(id);
    pause(time);
    (cpu_time(id) - before).as_secs_f64() / time.as_secs_f64()
}
