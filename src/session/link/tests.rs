use super::*;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection task that only counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whatever part of a row the socket takes at once: while bytes wait, somebody will be woken.
#[actix::test]
async fn what_waits_is_never_forgotten() {
    let worker = Worker::for_tests();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&server).set_send_buffer_size(64 << 10).unwrap();
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
        loop {
            match client.read(&mut buffer) {
                Ok(0) | Err(_) => return total,
                Ok(read) => total += read,
            }
        }
    });
    let link = Link::new(TcpStream::from_std(server).unwrap(), Bytes::new(), peer.ip(), 0);
    let woken = Arc::new(Woken::default());
    link.set_waker(&Waker::from(woken.clone()));
    let chunks: Vec<Bytes> = (0..400).map(|_| Bytes::from(vec![b'e'; 600])).collect();
    let mut taken = 0;
    for round in 0..300 {
        let mut seen = woken.0.load(Ordering::SeqCst);
        taken += link.deliver(&chunks, &worker) * 600;
        let mut patience = 200;
        while link.waiting() > 0 {
            let now = woken.0.load(Ordering::SeqCst);
            if now > seen {
                seen = now;
                link.flush(&worker);
                continue;
            }
            patience -= 1;
            assert!(patience > 0, "round {round}: {} bytes wait and nobody is woken", link.waiting());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    drop(link);
    assert_eq!(reader.join().unwrap(), taken);
}
