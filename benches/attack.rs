//! What other clients notice of an attack: `cargo bench --bench attack`.
//!
//! Two hundred clients take ledgers of 100 events, four in a second. Attacks take turns with quiet, all in
//! one go, and what is printed is the latency from the source's post to the whole ledger read, beside
//! it the server's memory and CPU, and what the attacker did for it. The attacker is a process of its
//! own with the lowest priority and a rate that is written at each attack: it shall cost the server
//! something, not take the machine's two cores away from it.
//!
//! Arguments after `--`: the names of the attacks wanted (all), `seconds=N` for each turn (10),
//! `rounds=N` (2).

mod common;

use common::{EVERYTHING, Server, connect, lost_and_wrong, masked, percentile, read_ledgers};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const CLIENTS: usize = 200;
const SETTLE: Duration = Duration::from_secs(2);

/// Name, what it does.
const ATTACKS: [(&str, &str); 11] = [
    ("garbage", "100 good handshakes in a second, each followed by 4 KB of random bytes"),
    ("churn", "200 connections in a second, reset at once or after the handshake"),
    ("half_open", "1,000 connections that send one byte of their request in a second, and come again"),
    ("pings", "50 clients with 40 pings of 125 bytes in a second, which is allowed"),
    ("ping_flood", "20 clients in a second that send pings as fast as they can until they are closed"),
    ("fragments", "20 clients that send 1 MB of empty fragments in a second together"),
    ("tebibyte", "20 clients in a second that declare 1 TiB and send 500 KB of it"),
    ("registers", "10 clients with 4 changes in a second, each of 1,000 accounts"),
    ("many_registers", "50 clients with 40 small changes in a second, which is allowed"),
    ("pages", "20 clients that ask for 20 pages in a second each and do not read them"),
    ("reconnects", "200 clients that all come back at once, every second"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let value = |key: &str| arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let (Some(name), Some(address)) = (value("attack"), value("address")) {
        let address = address.parse().expect("an address");
        runtime.block_on(attack(name, address));
        return;
    }
    let number = |key: &str, default| value(key).and_then(|value| value.parse().ok()).unwrap_or(default);
    let (seconds, rounds) = (Duration::from_secs(number("seconds", 10)), number("rounds", 2) as usize);
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.contains('=')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| *wanted == name);
    let attacks: Vec<_> = ATTACKS.into_iter().filter(|(name, _)| wanted(name)).collect();
    runtime.block_on(measure(&attacks, seconds, rounds));
}

/// Something measured between two moments.
struct Turn {
    from: u64,
    to: u64,
    cpu: f64,
}

impl Turn {
    /// Lets time pass. The beginning, in which an attack is prepared, does not count.
    async fn take(server: &Server, seconds: Duration, posted: &mut HashMap<u64, u64>) -> Turn {
        sleep(Duration::from_secs(1)).await;
        let (from, cpu) = (common::monotonic(), server.cpu_nanos_of(|_| true));
        sleep(seconds).await;
        let (to, cpu_after) = (common::monotonic(), server.cpu_nanos_of(|_| true));
        // The last ledgers shall be read by everybody.
        sleep(Duration::from_millis(500)).await;
        posted.extend(server.posted());
        Turn { from, to, cpu: (cpu_after - cpu) as f64 / (to - from) as f64 }
    }
}

async fn measure(attacks: &[(&str, &str)], seconds: Duration, rounds: usize) {
    let server = Server::start_small("4", "100");
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = connect(server.clients).await;
        socket.write_all(&masked(EVERYTHING)).await.expect("registers");
        readers.push(tokio::spawn(read_ledgers(socket, stop.clone())));
    }
    sleep(SETTLE).await;
    let mut posted = HashMap::new();
    let mut results = Vec::new();
    for (name, about) in attacks {
        let (mut quiet, mut under, mut attackers) = (Vec::new(), Vec::new(), Vec::new());
        let before = server.rss();
        for _ in 0..rounds {
            quiet.push(Turn::take(&server, seconds, &mut posted).await);
            let attacker = Attacker::start(name, server.clients);
            under.push(Turn::take(&server, seconds, &mut posted).await);
            attackers.push(attacker.stop());
            sleep(SETTLE).await;
        }
        quiet.push(Turn::take(&server, seconds, &mut posted).await);
        results.push((*name, *about, quiet, under, attackers, before, server.rss()));
    }
    stop.store(true, Ordering::Relaxed);
    let mut streams = Vec::new();
    for reader in readers {
        streams.push(reader.await.expect("the reader ends"));
    }
    let (lost, wrong) = lost_and_wrong(&streams, 100);
    println!("{CLIENTS} other clients: ledgers lost {lost}, ledgers cut or unlike {wrong}");
    for (name, about, quiet, under, attackers, before, after) in results {
        let of = |turns: &[Turn]| {
            let within = |at: u64| turns.iter().any(|turn| (turn.from..turn.to).contains(&at));
            let seen = streams.iter().flat_map(|stream| stream.iter().rev().skip(1));
            let latency = seen.filter_map(|seen| {
                let at = *posted.get(&seen.ledger)?;
                within(at).then(|| seen.read_nanos.saturating_sub(at))
            });
            let mut sorted: Vec<u64> = latency.collect();
            sorted.sort_unstable();
            let cpu = turns.iter().map(|turn| turn.cpu).sum::<f64>() / turns.len() as f64;
            (percentile(&sorted, 0.5), percentile(&sorted, 0.99), cpu)
        };
        let ((quiet_p50, quiet_p99, quiet_cpu), (p50, p99, cpu)) = (of(&quiet), of(&under));
        let count = attackers.len() as f64;
        println!(
            "{name}: {about}\n  \
             quiet p50 {quiet_p50:.1} ms, p99 {quiet_p99:.1} ms; attacked p50 {p50:.1} ms, p99 {p99:.1} ms; ratio of p99 {:.2}\n  \
             server {quiet_cpu:.2} cores when quiet, {cpu:.2} when attacked; memory {} KiB before, {} KiB after\n  \
             attacker {:.0} actions in a second with {:.2} cores",
            p99 / quiet_p99,
            before / 1024,
            after / 1024,
            attackers.iter().map(|(rate, _)| rate).sum::<f64>() / count,
            attackers.iter().map(|(_, cpu)| cpu).sum::<f64>() / count,
        );
    }
}

/// This program again, as an attacker.
struct Attacker {
    process: Child,
    started: Instant,
}

impl Attacker {
    fn start(name: &str, address: SocketAddr) -> Attacker {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).args([format!("attack={name}"), format!("address={address}")]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the attacker starts");
        Attacker { process, started: Instant::now() }
    }

    /// Actions in a second, and the share of a core.
    fn stop(mut self) -> (f64, f64) {
        let lived = self.started.elapsed().as_secs_f64();
        // The end of its input ends it.
        drop(self.process.stdin.take());
        let output = self.process.wait_with_output().expect("it ends").stdout;
        let text = String::from_utf8_lossy(&output);
        let mut words = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let (actions, cpu) = (words.next().expect("its count"), words.next().expect("its CPU"));
        (actions / lived, cpu / lived)
    }
}

/// The attacker: until its input ends.
async fn attack(name: &str, address: SocketAddr) {
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let attack = async {
        match name {
            "garbage" => every(100, &counted, move || garbage(address)).await,
            "churn" => every(200, &counted, move || churn(address)).await,
            "half_open" => together(1000, &counted, move |done| half_open(address, done)).await,
            "pings" => together(50, &counted, move |done| repeated(address, ping(), 40, done)).await,
            "ping_flood" => every(20, &counted, move || flood(address)).await,
            "fragments" => together(20, &counted, move |done| fragments(address, done)).await,
            "tebibyte" => every(20, &counted, move || tebibyte(address)).await,
            "registers" => together(10, &counted, move |done| registers(address, done)).await,
            "many_registers" => {
                let register = masked(r#"{"type":"register","filters":{"types":["none of these"]}}"#);
                together(50, &counted, move |done| repeated(address, register.clone(), 40, done)).await;
            }
            "pages" => together(20, &counted, move |done| pages(address, done)).await,
            "reconnects" => loop {
                let clients = (0..200).map(|_| tokio::spawn(reconnect(address)));
                let clients: Vec<_> = clients.collect();
                sleep(Duration::from_secs(1)).await;
                counted.fetch_add(200, Ordering::Relaxed);
                clients.iter().for_each(tokio::task::JoinHandle::abort);
            },
            other => panic!("no attack is called {other}"),
        }
    };
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    tokio::select! {
        () = attack => {}
        _ = ended => {}
    }
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    println!("{} {}", done.load(Ordering::Relaxed), cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    // Tasks that wait for the server are left.
    std::process::exit(0);
}

/// Starts something so many times in a second.
async fn every<F: Future<Output = ()> + Send + 'static>(rate: u64, done: &AtomicU64, attack: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate as u32);
    loop {
        ticks.tick().await;
        tokio::spawn(timeout(Duration::from_secs(2), attack()));
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// So many clients at once, each of which goes on by itself.
async fn together<F: Future<Output = ()> + Send + 'static>(
    clients: usize,
    done: &Arc<AtomicU64>,
    attack: impl Fn(Arc<AtomicU64>) -> F,
) {
    for _ in 0..clients {
        tokio::spawn(attack(done.clone()));
    }
    std::future::pending().await
}

fn ping() -> Vec<u8> {
    [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'p'; 125]].concat()
}

async fn garbage(address: SocketAddr) {
    let mut socket = connect(address).await;
    let bytes: Vec<u8> = (0..4000).map(|_| rand::random()).collect();
    let _ = socket.write_all(&bytes).await;
    let _ = socket.read_to_end(&mut Vec::new()).await;
}

async fn churn(address: SocketAddr) {
    let socket = if rand::random() { Ok(connect(address).await) } else { TcpStream::connect(address).await };
    if let Ok(socket) = socket {
        let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

async fn half_open(address: SocketAddr, done: Arc<AtomicU64>) {
    loop {
        if let Ok(mut socket) = TcpStream::connect(address).await {
            for byte in b"GET /ws HTTP/1.1\r\nHost: test\r\n" {
                if socket.write_all(&[*byte]).await.is_err() {
                    break;
                }
                done.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// The same frame so many times in a second, with what comes back read.
async fn repeated(address: SocketAddr, frame: Vec<u8>, rate: u32, done: Arc<AtomicU64>) {
    let (mut read, mut write) = connect(address).await.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    loop {
        ticks.tick().await;
        if write.write_all(&frame).await.is_err() {
            return;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn flood(address: SocketAddr) {
    let mut socket = connect(address).await;
    let pings = ping().repeat(100);
    while socket.write_all(&pings).await.is_ok() {
        // It shall stop at the close, not only at the end of the socket.
        let mut byte = [0; 4096];
        if matches!(socket.try_read(&mut byte), Ok(count) if byte[..count].windows(2).any(|two| two == [0x88, 0x13])) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn fragments(address: SocketAddr, done: Arc<AtomicU64>) {
    let mut socket = connect(address).await;
    let fragments = [0, 0x80, 0, 0, 0, 0].repeat(833);
    let _ = socket.write_all(&[1, 0x80, 0, 0, 0, 0]).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        if socket.write_all(&fragments).await.is_err() {
            // Closed: as one that did not register in time, at the latest.
            socket = connect(address).await;
            let _ = socket.write_all(&[1, 0x80, 0, 0, 0, 0]).await;
        }
        done.fetch_add(833, Ordering::Relaxed);
    }
}

async fn tebibyte(address: SocketAddr) {
    let mut socket = connect(address).await;
    let header = [&[0x82, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let _ = socket.write_all(&header).await;
    let _ = socket.write_all(&[0x55; 500_000]).await;
}

/// A thousand accounts that nobody has, others each time.
async fn registers(address: SocketAddr, done: Arc<AtomicU64>) {
    let (mut read, mut write) = connect(address).await.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    loop {
        ticks.tick().await;
        let number: u32 = rand::random();
        let accounts: Vec<String> = (0..1000).map(|at| format!("\"G{number:027}{at:028}\"")).collect();
        let text = format!(r#"{{"type":"register","filters":{{"account_ids":[{}]}}}}"#, accounts.join(","));
        if write.write_all(&masked(&text)).await.is_err() {
            return;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn pages(address: SocketAddr, done: Arc<AtomicU64>) {
    let requests = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(20);
    loop {
        if let Ok(mut socket) = TcpStream::connect(address).await {
            while let Ok(Ok(())) = timeout(Duration::from_secs(5), socket.write_all(&requests)).await {
                done.fetch_add(20, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn reconnect(address: SocketAddr) {
    let mut socket = connect(address).await;
    let _ = socket.write_all(&masked(r#"{"type":"register","filters":{"types":["ledger"]}}"#)).await;
    let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
}
