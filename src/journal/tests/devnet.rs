//! The embedded networks, polled as the real ones are.

use super::forms::{renderings, survives};
use crate::broker::Append;
use crate::config::CatchUp;
use crate::devnet::{self, Face};
use crate::event::LedgerBatch;
use crate::source::{self, LedgerConfig, Settings};
use actix::{Actor, Context, Handler};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Takes and keeps.
struct Taker(Arc<Mutex<Vec<LedgerBatch>>>);

impl Actor for Taker {
    type Context = Context<Self>;
}

impl Handler<Append> for Taker {
    type Result = ();

    fn handle(&mut self, append: Append, _: &mut Self::Context) {
        self.0.lock().unwrap().push(append.batch);
    }
}

#[actix::test]
async fn its_ledgers_survive() {
    let renderings = renderings();
    for (face, kind) in [
        (Face::Stellar, "stellar_rpc"),
        (Face::Xrpl, "xrpl_rpc"),
        (Face::Evm, "evm_rpc"),
        (Face::Planetmint, "planetmint_api"),
    ] {
        let settings = devnet::Settings {
            face,
            events_per_ledger: 100,
            ledger_interval: Duration::from_millis(200),
            ..devnet::Settings::default()
        };
        let network = devnet::start(settings).await.unwrap();
        let mut config = json!({ "rpc_url": network.url(), "start_ledger": "oldest", "poll_interval": "50ms" });
        if face == Face::Stellar {
            config["network_passphrase"] = devnet::Settings::default().passphrase.into();
        }
        let ledger: LedgerConfig = serde_json::from_value(json!({ "type": kind, "config": config })).unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let settings = Settings { number: 0, name: "a".into(), ledger, journal: None, catch_up: CatchUp::default() };
        let source = source::start(settings, Taker(got.clone()).start().recipient());
        for _ in 0..3000 {
            if got.lock().unwrap().len() >= 4 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        source.stop().await;
        network.stop().await;
        let batches = got.lock().unwrap();
        assert!(batches.len() >= 4, "{kind}: {:?}", source.status.snapshot().last_error);
        let (mut frames, mut rows, mut events) = (0, 0, 0);
        for batch in batches.iter() {
            let (frames_of_it, row) = survives(batch, &renderings);
            (frames, rows, events) = (frames + frames_of_it, rows + row, events + batch.events.len());
        }
        println!("{kind}: {events} events, {frames} bytes in frames, {rows} in rows, {} each", rows / events);
    }
}
