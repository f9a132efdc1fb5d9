//! Attacks over TLS, beside clients of a plain listener of the same process.

use crate::common::attack::{Scene, crowd, garbage, reset, small_history};
use crate::common::raw::{FIN, PING, REQUEST, Raw, TEXT, frame};
use crate::common::server::{Devnet, Server, settings};
use crate::common::tls::{certificate, localhost, trusting, with_tls};
use crate::common::{PATIENCE, pause};
use rand::RngExt;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A server with a plain listener and one that speaks TLS, which is where the attacks go.
fn scene(more: &str) -> (Scene, SocketAddr, Arc<ClientConfig>) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate(folder.path());
    let devnet = Devnet::start("4", 20);
    let text = settings(devnet.address, &small_history(more));
    let secured = with_tls(&text, folder.path());
    let listener = |text: &str| {
        let (from, to) = (text.find("  - bind").unwrap(), text.find("admin:").unwrap());
        text[from..to].to_owned()
    };
    let server = Server::start(&text.replacen("admin:", &format!("{}admin:", listener(&secured)), 1));
    // The second address of the line that says so.
    let log = server.process.stderr();
    let (_, rest) = log.split_once(&format!("{}, ", server.clients)).expect("both are told");
    let address = rest.split(']').next().unwrap().parse().unwrap();
    (Scene::of(devnet, server), address, trusting(&certificate))
}

fn dial(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let raw = Raw::dial(address);
    raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(config.clone(), localhost()).unwrap(), raw.stream)
}

fn open(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let mut stream = dial(address, config);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

#[test]
fn garbage_in_a_good_session() {
    let (scene, address, config) = scene("");
    scene.endures(2, |_| {
        crowd(4, 40, |turn, chance| {
            let mut stream = open(address, &config);
            let _ = match turn % 3 {
                0 => stream.write_all(&garbage(chance, 4000)),
                // Garbage behind the back of TLS.
                1 => stream.sock.write_all(&garbage(chance, 4000)),
                _ => stream.write_all(&frame(FIN | PING, b"p").repeat(500)),
            };
            let _ = stream.flush();
            if chance.random() {
                // To whatever end; not further than a server may send.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
    });
}

#[test]
fn resets_at_every_stage() {
    let (scene, address, config) = scene("");
    scene.endures(2, |_| {
        crowd(4, 50, |turn, chance| {
            let reset_of =
                |stream: TcpStream| socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            match turn % 4 {
                0 => reset(Raw::dial(address)),
                1 => {
                    let mut raw = Raw::dial(address);
                    raw.send(&[0x16, 3, 1, 2, 0, 1, 0, 1]);
                    reset(raw);
                }
                2 => {
                    let mut stream = dial(address, &config);
                    let cut = chance.random_range(1..REQUEST.len());
                    stream.write_all(&REQUEST.as_bytes()[..cut]).unwrap();
                    reset_of(stream.sock);
                }
                _ => {
                    let mut stream = open(address, &config);
                    stream.write_all(&frame(FIN | TEXT, br#"{"type":"register"}"#)).unwrap();
                    reset_of(stream.sock);
                }
            }
        });
    });
}

#[test]
fn half_open_sessions() {
    let (scene, address, config) = scene("limits: { handshake: 2s }");
    scene.endures(1, |_| {
        let silent: Vec<Raw> = (0..300).map(|_| Raw::dial(address)).collect();
        // Good sessions in which nothing is asked for.
        let shaken = |_| {
            let mut stream = dial(address, &config);
            stream.conn.complete_io(&mut stream.sock).unwrap();
            stream
        };
        let idle: Vec<_> = (0..50).map(shaken).collect();
        pause(Duration::from_secs(3));
        for mut raw in silent {
            raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            raw.stream.read_to_end(&mut Vec::new()).expect("the server ends it");
        }
        for mut stream in idle {
            let ended = stream.read_to_end(&mut Vec::new());
            assert!(ended.is_ok_and(|count| count < 1000), "the server ends it");
        }
    });
}
