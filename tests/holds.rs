//! A dialect that holds its session's position, asks for more meanwhile, and goes on: nothing is missing and nothing
//! comes twice, and answers come in the order of their requests. The dialect here is the test's own, on the real
//! transport, so that each step can be brought about by a message.

use crate::common::client::{Client, Head};
use ledgercast::broker::{Clause, Renderings, Subscription};
use ledgercast::config::{Bind, Config, Listener, Mount as MountSettings, SourceConfig, Sources};
use ledgercast::devnet::{self, Settings};
use ledgercast::dialect::flow::{self, FlowRender};
use ledgercast::dialect::{
    Action, Applied, Call, Change, CloseCodes, Dialect, DialectConfig, Entry, Input, Manners, Mount, Opening, Output,
    Oversize, Release, Start, frame,
};
use ledgercast::event::{EventKind, KindSet};
use ledgercast::server::Server;
use ledgercast::source::{LedgerConfig, RpcUrl, stellar};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

static MANNERS: Manners = Manners {
    name: "holding",
    ping_after: Duration::from_secs(600),
    dead_after: Duration::from_secs(1200),
    max_message: 1 << 20,
    oversize: Oversize::Close,
    codes: CloseCodes { shutdown: 1001, too_slow: 1008, gap: 1012, dead: 1011, limit: 1008 },
    only: None,
    calls: true,
    http: false,
    finds_transactions: false,
    follows: false,
    one_source: true,
    claims_path_alone: true,
};

struct HoldingMount {
    /// Every ledger's close and nothing else.
    ledgers: Subscription,
    nothing: Subscription,
}

impl HoldingMount {
    fn new(renderings: &mut Renderings) -> HoldingMount {
        let rendering = renderings.register(FlowRender { names_network: false, cursors: false });
        let subscription = |kinds: &[EventKind]| Subscription {
            clauses: kinds.iter().map(|kind| Clause::everything(KindSet::of(&[*kind]))).collect(),
            rendering,
            copy_per_tag: false,
        };
        HoldingMount { ledgers: subscription(&[EventKind::Ledger]), nothing: subscription(&[]) }
    }
}

impl Mount for HoldingMount {
    fn manners(&self) -> &'static Manners {
        &MANNERS
    }

    fn open(&self, _: Opening<'_>) -> Option<Entry> {
        Some(Holding { ledgers: self.ledgers.clone(), nothing: self.nothing.clone(), held: None }.into())
    }
}

/// `all` and `none` change the subscription, `hold` holds, `go` and `fail` end the hold, `call` calls; anything else
/// is echoed in its turn.
struct Holding {
    ledgers: Subscription,
    nothing: Subscription,
    held: Option<u64>,
}

fn newest(applied: &Applied) -> u64 {
    applied.ledger_ref().map_or(0, |ledger| ledger.index)
}

impl Dialect for Holding {
    fn handle(&mut self, input: Input<'_>, _: Duration, output: &mut Output) {
        let change = |subscription: &Subscription, name: &'static str| Change {
            subscription: subscription.clone(),
            start: Start::Head,
            answer: Box::new(move |applied| Some(frame::text(&format!("{name} after {}", newest(applied))))),
        };
        match input {
            Input::Text("all") => output.subscribe(change(&self.ledgers, "all")),
            Input::Text("none") => output.subscribe(change(&self.nothing, "none")),
            Input::Text("hold") => output.actions.push(Action::Hold),
            Input::Text(word @ ("go" | "fail")) => {
                let held = self.held.take().expect("a hold was told");
                let subscription = (word == "go").then(|| self.ledgers.clone());
                let answer = frame::text(&format!("{word} after {held}"));
                output.actions.push(Action::Release(Release { subscription, answer }));
            }
            Input::Text("call") => {
                output.actions.push(Action::Call(Call { number: 7, method: "any".into(), parameters: "{}".into() }));
            }
            Input::Text(text) => output.ordered_text(text),
            Input::Held(applied) => {
                self.held = Some(newest(applied));
                output.text(&format!("held after {}", newest(applied)));
            }
            Input::Answered { call, outcome } => output.text(&format!("{call} {outcome:?}")),
            _ => {}
        }
    }
}

/// A server over a devnet of fast ledgers.
async fn server() -> (devnet::Devnet, Server, SocketAddr) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let ledger_interval = Duration::from_millis(50);
    let devnet = devnet::start(Settings { listen, ledger_interval, ..Settings::default() }).await.unwrap();
    let source = stellar::Config {
        rpc_url: Some(RpcUrl(devnet.url())),
        poll_interval: "10ms".parse().unwrap(),
        ..stellar::Config::default()
    };
    let mount = MountSettings {
        dialect: DialectConfig::Flow(flow::Config::default()),
        path: "/ws".to_owned(),
        sources: vec!["a".to_owned()],
        allowed_origins: Vec::new(),
        tokens_file: None,
        resume: false,
        replay: false,
        begin: None,
    };
    let mut config = Config {
        sources: Sources(vec![("a".to_owned(), SourceConfig { ledger: LedgerConfig::StellarRpc(source) })]),
        listeners: vec![Listener { bind: Bind(listen), mounts: vec![mount], ..Listener::default() }],
        ..Config::default()
    };
    config.admin.bind = Bind(listen);
    let server = Server::start_with(&config, &|_, _, renderings| Arc::new(HoldingMount::new(renderings))).unwrap();
    let address = server.listening[0];
    while server.sources().any(|source| source.snapshot().ledgers_posted < 2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (devnet, server, address)
}

/// Sends a word and gives the ledger in the answer to it, past the ledgers that came before, which it counts.
async fn ask(client: &mut Client, word: &str, answer: &str, last: &mut Option<u64>) -> u64 {
    client.text(word.to_owned()).await;
    read_to(client, answer, last).await
}

async fn read_to(client: &mut Client, answer: &str, last: &mut Option<u64>) -> u64 {
    loop {
        let text = client.next_text().await;
        if let Some(ledger) = text.strip_prefix(&format!("{answer} after ")) {
            return ledger.parse().unwrap();
        }
        next_ledger(&text, last);
    }
}

fn next_ledger(text: &str, last: &mut Option<u64>) {
    assert!(text.starts_with('{'), "{text}");
    let ledger = Head::of(text).ledger;
    assert!(last.is_none_or(|last| ledger == last + 1), "ledger {ledger} after {last:?}");
    *last = Some(ledger);
}

async fn some_ledgers(client: &mut Client, last: &mut Option<u64>) {
    for _ in 0..5 {
        next_ledger(&client.next_text().await, last);
    }
}

#[actix::test]
async fn a_held_position_loses_and_repeats_nothing() {
    let (devnet, server, address) = server().await;
    let mut client = Client::try_connect(address).await.unwrap();
    let mut last = None;
    // A hold before there is a subscription, with some ledgers closing meanwhile.
    let held = ask(&mut client, "hold", "held", &mut last).await;
    assert_eq!(last, None);
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.text("echo".to_owned()).await;
    assert_eq!(client.next_text().await, "echo", "a hold is not waited for");
    assert_eq!(ask(&mut client, "go", "go", &mut last).await, held);
    last = Some(held);
    some_ledgers(&mut client, &mut last).await;
    // And one of a live session, once ended by a change and once by a failure.
    for word in ["go", "fail"] {
        let held = ask(&mut client, "hold", "held", &mut last).await;
        assert_eq!(last, Some(held), "the answer stands at its point of the stream");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ask(&mut client, word, word, &mut last).await, held);
        assert_eq!(last, Some(held), "nothing came while it was held");
        some_ledgers(&mut client, &mut last).await;
    }
    // A failed hold of a session without a subscription leaves it without one.
    let mut quiet = Client::try_connect(address).await.unwrap();
    let mut nothing = None;
    ask(&mut quiet, "hold", "held", &mut nothing).await;
    ask(&mut quiet, "fail", "fail", &mut nothing).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = ask(&mut quiet, "all", "all", &mut nothing).await;
    assert_eq!(nothing, None);
    nothing = Some(after);
    some_ledgers(&mut quiet, &mut nothing).await;
    server.stop().await;
    devnet.stop().await;
}

#[actix::test]
async fn answers_come_in_the_order_of_their_requests() {
    let (devnet, server, address) = server().await;
    let mut client = Client::try_connect(address).await.unwrap();
    for word in ["all", "1", "none", "2", "3", "hold", "4", "all", "5"] {
        client.text(word.to_owned()).await;
    }
    let mut answers = Vec::new();
    while answers.len() < 7 {
        let text = client.next_text().await;
        if !text.starts_with('{') {
            answers.push(text.split(' ').next().unwrap().to_owned());
        }
    }
    // The hold is told when it begins; what came after it and is no change does not wait for it.
    assert_eq!(answers[..5], ["all", "1", "none", "2", "3"]);
    answers[5..].sort();
    assert_eq!(answers[5..], ["4", "held"]);
    client.text("go".to_owned()).await;
    let mut rest = Vec::new();
    while rest.last().is_none_or(|word| word != "5") {
        let text = client.next_text().await;
        if !text.starts_with('{') {
            rest.push(text.split(' ').next().unwrap().to_owned());
        }
    }
    assert_eq!(rest, ["go", "all", "5"]);
    // No family of ledgers without calls has an upstream.
    client.text("call".to_owned()).await;
    loop {
        let text = client.next_text().await;
        if !text.starts_with('{') {
            assert_eq!(text, "7 Err(Unreachable)");
            break;
        }
    }
    server.stop().await;
    devnet.stop().await;
}
