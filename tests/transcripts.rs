//! Every dialect says what its transcripts say.

use crate::common::raw::{BINARY, CLOSE, FIN, PING, PONG, REQUEST, Raw, TEXT, frame};
use crate::common::server::{Devnet, Server, settings_of};
use crate::common::transcript::{Happening, Message, Received, Transcript, Transport};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ledgercast::broker::{Renderings, StreamEntry, Subscription};
use ledgercast::dialect::{
    self, Action, Applied, Call, Change, Dialect, DialectConfig, Entry, Input, Lane, MountContext, MountedSource,
    Opening, Output, ResumeError, Resumed, Start,
};
use ledgercast::event::{
    Amount, Asset, AssetKeys, Body, Event, EventKind, Family, Hash, LedgerBatch, LedgerRef, Native, Payment, Place,
};
use ledgercast::source::Coin;
use ledgercast::source::xrpl::native;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What `limits.values_per_session` is unless it is set.
const VALUES_PER_SESSION: u64 = 1000;
/// What `limits.waiting_changes` is unless it is set.
const WAITING_CHANGES: u64 = 16;
/// How long nothing must come to a socket before the server is asked whether that is all.
const QUIET: Duration = Duration::from_secs(1);

/// Where clients find the mounts.
const PUBLIC_URL: &str = "http://ledger.example";

/// The state machine alone: time passes when it is told to, changes take effect when they are told to.
struct Bare {
    session: Box<dyn Dialect>,
    now: Duration,
    alarm: Option<Duration>,
    /// Changes in the order in which they were asked for, and what must not overtake them.
    waiting: VecDeque<Waiting>,
    /// The session's position is held.
    held: bool,
    /// The newest ledger.
    ledger: Option<Arc<StreamEntry>>,
    renderings: Renderings,
    /// What it wants of ledgers.
    subscription: Option<Subscription>,
    calls: VecDeque<Call>,
    unanswered: BTreeSet<u32>,
    received: VecDeque<Received>,
    closed: bool,
}

enum Waiting {
    Change(Change),
    Hold,
    Answer(Bytes),
}

impl Bare {
    fn open(dialect: &str, transcript: &Transcript) -> Bare {
        let config = json!({"dialect": dialect, "config": transcript.config});
        let config: DialectConfig = serde_json::from_value(config).expect(&transcript.name);
        let limit = |name: &str, default| transcript.limits[name].as_u64().unwrap_or(default) as usize;
        let context = MountContext {
            values_per_session: limit("values_per_session", VALUES_PER_SESSION),
            sources: 1,
            waiting_changes: limit("waiting_changes", WAITING_CHANGES),
            url: format!("{PUBLIC_URL}/ws"),
            mounted: vec![MountedSource {
                number: 0,
                name: "devnet".to_owned(),
                family: Family::Xrpl,
                coins: vec![Coin { id: "XRP".to_owned(), code: "XRP".to_owned(), decimals: Some(6) }],
            }],
            ..MountContext::default()
        };
        let mut renderings = Renderings::default();
        let mount = dialect::build(&config, context, &mut renderings);
        let user = transcript.user.as_ref().map(|user| format!("Basic {}", STANDARD.encode(user)));
        let opening = Opening { authorization: user.as_deref(), ..Opening::at(&transcript.below, "") };
        let session = match mount.open(opening).expect("a session at that path") {
            Entry::Session(session) => session,
            // A password is verified by a thread of its own.
            Entry::Asking(answer) => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(answer)
                .unwrap_or_else(|reply| panic!("{}: {reply:?}", transcript.name)),
            Entry::Refused(reply) => panic!("{}: {reply:?}", transcript.name),
        };
        let mut bare = Bare {
            session,
            now: Duration::ZERO,
            alarm: None,
            waiting: VecDeque::new(),
            held: false,
            ledger: None,
            renderings,
            subscription: None,
            calls: VecDeque::new(),
            unanswered: BTreeSet::new(),
            received: VecDeque::new(),
            closed: false,
        };
        bare.input(Input::Opened).expect("nothing closed it yet");
        bare
    }

    fn input(&mut self, input: Input<'_>) -> Result<(), String> {
        if self.closed {
            return Err("the connection is closed already".to_owned());
        }
        let mut output = Output::default();
        self.session.handle(input, self.now, &mut output);
        self.carry_out(output)
    }

    fn carry_out(&mut self, output: Output) -> Result<(), String> {
        let mut released = false;
        for action in output.actions {
            assert!(!self.closed, "an action after the close");
            match action {
                Action::Send(Lane::Ordered, frames) if self.is_waited_for() => {
                    self.waiting.push_back(Waiting::Answer(frames));
                }
                Action::Send(_, frames) => self.frames(&frames),
                Action::Subscribe(change) => self.waiting.push_back(Waiting::Change(change)),
                Action::Hold => self.waiting.push_back(Waiting::Hold),
                Action::Release(release) => {
                    self.subscription = release.subscription.or(self.subscription.take());
                    assert!(std::mem::take(&mut self.held), "a release without a hold");
                    self.frames(&release.answer);
                    released = true;
                }
                Action::Call(call) => {
                    assert!(self.unanswered.insert(call.number), "two calls of one number");
                    self.calls.push_back(call);
                }
                Action::Alarm(at) => self.alarm = at,
                Action::Close { code, reason } => {
                    assert!(reason.len() <= 123, "a close frame has no room for {reason}");
                    self.closed = true;
                    self.received.push_back(Received::Close { code, reason: reason.to_owned() });
                }
            }
        }
        if released {
            self.go_on();
            self.input(Input::Applied)?;
        }
        Ok(())
    }

    /// Whether something is ahead that answers wait for: a change that comes first, or anything behind it.
    fn is_waited_for(&self) -> bool {
        match self.waiting.front() {
            None => false,
            Some(Waiting::Hold) => self.waiting.len() > 1,
            Some(_) => true,
        }
    }

    fn applied(&mut self, dropped: u64, resumed: Option<Resumed>) -> Result<(), String> {
        let none = "no change of subscription was asked for";
        if self.held {
            return Err("the session's position is held".to_owned());
        }
        let change = match self.waiting.pop_front() {
            Some(Waiting::Change(change)) => change,
            Some(Waiting::Hold) => return Err("a hold comes first, write !held".to_owned()),
            Some(Waiting::Answer(_)) | None => return Err(none.to_owned()),
        };
        self.subscription = Some(change.subscription);
        if let Some(answer) = (change.answer)(&Applied { dropped, ledger: self.ledger.clone(), resumed }) {
            self.frames(&answer);
        }
        self.go_on();
        self.input(Input::Applied)
    }

    /// The first change is not taken.
    fn refused(&mut self, error: ResumeError) -> Result<(), String> {
        let Some(Waiting::Change(Change { start: Start::Mark(..), .. })) = self.waiting.pop_front() else {
            return Err("nobody asked to go on".to_owned());
        };
        let mut output = Output::default();
        self.session.refused(error, self.now, &mut output);
        self.carry_out(output)
    }

    fn hold(&mut self) -> Result<(), String> {
        if self.held || !matches!(self.waiting.pop_front(), Some(Waiting::Hold)) {
            return Err("no hold was asked for".to_owned());
        }
        self.held = true;
        self.go_on();
        self.input(Input::Held(&Applied { ledger: self.ledger.clone(), ..Applied::default() }))
    }

    /// Answers up to the next change go out; a hold is none.
    fn go_on(&mut self) {
        loop {
            let at = usize::from(matches!(self.waiting.front(), Some(Waiting::Hold)));
            match self.waiting.get(at) {
                Some(Waiting::Answer(_)) => {}
                _ => return,
            }
            if let Some(Waiting::Answer(frames)) = self.waiting.remove(at) {
                self.frames(&frames);
            }
        }
    }

    /// A ledger with one payment: what a router makes of it.
    fn payment(&mut self, facts: &Value) {
        let index = self.ledger.as_ref().map_or(1, |ledger| ledger.batch.ledger.index + 1);
        let batch = LedgerBatch { events: vec![payment(facts)], ..batch(index) };
        let entry = Arc::new(StreamEntry::new(batch, index, 0, Instant::now(), self.renderings.len(), Arc::default()));
        if let Some(wanted) = self.subscription.clone() {
            for _ in 0..wanted.copies(wanted.mask(&entry.batch.events[0])) {
                let frames = entry.frames(&self.renderings, wanted.rendering, 0).clone();
                self.frames(&frames);
            }
        }
        self.ledger = Some(entry);
    }

    fn not_taken(&mut self) -> Result<(), String> {
        let last = self.waiting.iter().rposition(|it| !matches!(it, Waiting::Answer(_)));
        self.waiting.remove(last.ok_or("no change of subscription was asked for")?);
        self.go_on();
        self.input(Input::TooManyChanges)
    }

    fn called(&mut self, number: u32, method: &str, parameters: &Value) -> Result<(), String> {
        let call = self.calls.pop_front().ok_or("nothing was asked of the ledger's RPC")?;
        let asked: Value = serde_json::from_str(&call.parameters).map_err(|error| error.to_string())?;
        if (call.number, &*call.method, &asked) != (number, method, parameters) {
            return Err(format!("expected: {number} {method} {parameters}\n     got: {call:?}"));
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while let Some(at) = self.alarm.filter(|at| *at <= end) {
            self.alarm = None;
            self.now = self.now.max(at);
            self.input(Input::Alarm)?;
        }
        self.now = end;
        Ok(())
    }

    /// Takes frames apart: unmasked, whole messages, one after the other.
    fn frames(&mut self, mut bytes: &[u8]) {
        while let [first, length, rest @ ..] = bytes {
            let (length, rest) = match (length, rest) {
                (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
                (127, _) => panic!("a frame of more than 64 KiB"),
                (length, rest) => (usize::from(*length), rest),
            };
            let (payload, rest) = rest.split_at(length);
            self.received.push_back(match first {
                0x81 => Received::Text(String::from_utf8(payload.to_vec()).expect("text frames are UTF-8")),
                0x82 => Received::Binary(payload.to_vec()),
                other => panic!("a frame that begins with {other:#x}"),
            });
            bytes = rest;
        }
        assert!(bytes.is_empty(), "half a frame");
    }
}

impl Transport for Bare {
    fn send(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Text(text) => self.input(Input::Text(&text)),
            Message::Binary(bytes) => self.input(Input::Binary(&bytes)),
        }
    }

    fn receive(&mut self) -> Option<Received> {
        self.received.pop_front()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Applied { dropped } => self.applied(dropped, None),
            Happening::Resumed(resumed) => self.applied(0, Some(resumed)),
            Happening::Refused(error) => self.refused(error),
            Happening::Passed(time) => self.pass(time),
            Happening::TooManyChanges => self.not_taken(),
            Happening::TooBig { size } => self.input(Input::TooBig { size }),
            Happening::Ending(ending) => self.input(Input::Ending(ending)),
            Happening::Ledger { index } => {
                self.ledger = Some(ledger(index));
                Ok(())
            }
            Happening::Payment(facts) => {
                self.payment(&facts);
                Ok(())
            }
            Happening::Held => self.hold(),
            Happening::Called { call, method, parameters } => self.called(call, &method, &parameters),
            Happening::Answered { call, outcome } => {
                if !self.unanswered.remove(&call) {
                    return Err(format!("call {call} is not under way"));
                }
                self.input(Input::Answered { call, outcome: outcome.as_deref().map_err(|error| *error) })
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        if let Some(call) = self.calls.front() {
            return Err(format!("!called was expected: {call:?}"));
        }
        if self.held {
            return Err("the session's position is still held".to_owned());
        }
        match self.waiting.len() {
            0 => Ok(()),
            count => Err(format!("{count} changes of subscription wait for !applied")),
        }
    }
}

fn ledger(index: u64) -> Arc<StreamEntry> {
    Arc::new(StreamEntry::new(batch(index), 1, 0, Instant::now(), 0, Arc::default()))
}

/// A payment as a source of the XRP Ledger tells it.
fn payment(facts: &Value) -> Event {
    let text = |key: &str, default: &str| facts[key].as_str().unwrap_or(default).to_owned();
    let hash = text("hash", "E3FE6EA3D48F0C2B639448020EA4F03D4F4F8FFDB243A852A0F59177921B4879");
    let (from, to, asset) = (text("from", ""), text("to", ""), text("asset", "XRP"));
    let amount = Some(Amount::parse(&text("amount", "10")).unwrap());
    let mut subjects = vec![format!("account:{from}").into(), format!("account:{to}").into()];
    subjects.dedup();
    let kind = EventKind::Payment;
    let (code, issuer) = asset.split_once(':').unwrap_or((&asset, ""));
    Event {
        id: "1-0-p0".into(),
        kind,
        place: Place::new(1, kind, facts["index"].as_u64().unwrap_or(0)),
        transaction_hash: Some(Hash::from_hex(&hash).unwrap()),
        subjects,
        assets: vec![AssetKeys { keys: vec![code.into(), asset.as_str().into()], amount: amount.clone() }],
        body: Body::Payment(Box::new(Payment {
            from: from.into(),
            to: to.into(),
            from_muxed_id: None,
            to_muxed_id: None,
            asset: Arc::new(Asset {
                id: asset.as_str().into(),
                code: code.into(),
                issuer: (!issuer.is_empty()).then(|| issuer.into()),
                kind: "native",
                decimals: None,
            }),
            amount,
            memo: None,
            operation: Some("payment"),
        })),
        native: None,
    }
}

/// A ledger of the XRP Ledger with nothing in it, as its servers tell it.
fn batch(index: u64) -> LedgerBatch {
    let native = native::Ledger {
        hash: "AB".repeat(32).into(),
        close_time: 771_099_232,
        close_time_iso: "2024-06-07T18:07:12Z".into(),
        transactions: 0,
        fee_base: 10,
        reserve_base: 1_000_000,
        reserve_increment: 200_000,
        network_id: Some(0),
        validated_ledgers: format!("32570-{index}").into(),
    };
    LedgerBatch {
        source: 0,
        network: "xrpl".into(),
        epoch: 0,
        ledger: LedgerRef { index, hash: None, parent: None, closed_at: 1_717_783_632 },
        continuity: None,
        events: Vec::new(),
        native: Some(Native::new(native, 0)),
    }
}

/// A real socket of a real server, which applies changes by itself.
struct Socket {
    raw: Raw,
    closed: bool,
}

impl Socket {
    fn open(server: &Server, transcript: &Transcript) -> Socket {
        let mut raw = Raw::dial(server.clients);
        let mut request = REQUEST.replacen("/ws", &format!("/ws{}", transcript.below), 1);
        if let Some(user) = &transcript.user {
            request = request.replacen("\r\n", &format!("\r\nAuthorization: Basic {}\r\n", STANDARD.encode(user)), 1);
        }
        raw.send(request.as_bytes());
        assert_eq!(raw.head().status, 101, "{}", transcript.name);
        Socket { raw, closed: false }
    }
}

impl Transport for Socket {
    fn send(&mut self, message: Message) -> Result<(), String> {
        let bytes = match message {
            Message::Text(text) => frame(FIN | TEXT, text.as_bytes()),
            Message::Binary(bytes) => frame(FIN | BINARY, &bytes),
        };
        if self.raw.try_send(&bytes) { Ok(()) } else { Err("the connection is closed already".to_owned()) }
    }

    /// That nothing comes is known by a pong: the server answers in the order in which it hears,
    /// and what it was told before the ping it has answered before the pong, but for changes of
    /// subscription, which go by way of the broker. Those get a moment.
    fn receive(&mut self) -> Option<Received> {
        if self.closed {
            return None;
        }
        let mut next = self.raw.next_within(QUIET);
        if next.is_none() {
            self.raw.send(&frame(FIN | PING, b"anything more?"));
            next = Some(self.raw.next());
        }
        let next = next?;
        match next.opcode {
            PONG => None,
            TEXT => Some(Received::Text(next.text().to_owned())),
            BINARY => Some(Received::Binary(next.payload)),
            CLOSE => {
                self.closed = true;
                let code = next.code().expect("ours have a code");
                Some(Received::Close { code, reason: String::from_utf8(next.payload[2..].to_vec()).unwrap() })
            }
            opcode => panic!("opcode {opcode}"),
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Applied { dropped: 0 } => Ok(()),
            other => Err(format!("no client can bring about {other:?}")),
        }
    }
}

/// The transcripts of every folder that is named like a dialect.
fn transcripts() -> Vec<(String, Transcript)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let list = |folder: &Path| {
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let mut found = Vec::new();
    for folder in list(&data).into_iter().filter(|path| path.is_dir()) {
        let dialect = folder.file_name().unwrap().to_string_lossy().into_owned();
        let known = serde_json::from_value::<DialectConfig>(json!({"dialect": dialect, "config": {}}));
        if known.is_err_and(|error| error.to_string().contains("unknown variant")) {
            continue;
        }
        let files = list(&folder).into_iter().filter(|path| path.extension().is_some_and(|it| it == "txt"));
        found.extend(files.map(|path| (dialect.clone(), Transcript::load(&path))));
    }
    found
}

#[test]
fn bare() {
    let transcripts = transcripts();
    assert!(!transcripts.is_empty());
    let failed: Vec<String> = transcripts
        .iter()
        .filter_map(|(dialect, transcript)| transcript.run(&mut Bare::open(dialect, transcript)).err())
        .collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), transcripts.len(), failed.join("\n"));
}

/// Where no RPC is.
const SILENT: &str = "http://127.0.0.1:9";

/// The settings of a server with one MaticVigil mount at /ws, on a chain of which nothing is ever known.
fn on_a_silent_chain(config: &str, more: &str) -> String {
    format!(
        "sources:\n  chain:\n    type: evm_rpc\n    config: {{ rpc_url: '{SILENT}', chain_id: 31337 }}\n\
         listeners:\n  - bind: 127.0.0.1:0\n    mounts:\n      \
         - {{ dialect: maticvigil, path: /ws, sources: [chain], config: {config} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n{more}\n"
    )
}

/// The settings of a server with one five-bells mount at /ws, on an XRP Ledger of which nothing is ever known.
fn on_a_silent_ledger(config: &str, more: &str) -> String {
    format!(
        "sources:\n  devnet:\n    type: xrpl_rpc\n    config: {{ rpc_url: '{SILENT}' }}\n\
         listeners:\n  - bind: 127.0.0.1:0\n    public_url: {PUBLIC_URL}\n    mounts:\n      \
         - {{ dialect: five_bells, path: /ws, sources: [devnet], config: {config} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n{more}\n"
    )
}

/// The same through a socket: one server for each different settings.
#[test]
fn through_a_socket() {
    // A quarter of an hour between ledgers: no event comes between the lines.
    let devnets = [("flow", "stellar"), ("rippled", "xrpl")];
    let devnets = devnets.map(|(dialect, ledger)| (dialect, ledger, Devnet::of_ledger(ledger, "0.001", 1)));
    let mut by_settings: BTreeMap<String, Vec<Transcript>> = BTreeMap::new();
    for (dialect, transcript) in transcripts() {
        if !transcript.bare_only {
            let (config, limits) = (transcript.config.to_string(), format!("limits: {}", transcript.limits));
            let settings = match (devnets.iter().find(|(of, ..)| *of == dialect), dialect.as_str()) {
                (Some((_, ledger, devnet)), _) => {
                    settings_of(&format!("{ledger}_rpc"), devnet.address, &dialect, &config, &limits)
                }
                (None, "maticvigil") => on_a_silent_chain(&config, &limits),
                (None, "five_bells") => on_a_silent_ledger(&config, &limits),
                (None, _) => panic!("say here which ledger is for {dialect}"),
            };
            by_settings.entry(settings).or_default().push(transcript);
        }
    }
    assert!(by_settings.values().map(Vec::len).sum::<usize>() >= 10);
    let mut failed = Vec::new();
    for (settings, transcripts) in by_settings {
        let server = Server::start(&settings);
        // The ledger at which a source begins is an event too.
        if !settings.contains(SILENT) {
            server.wait_ready();
        }
        // Side by side, since "nothing more" takes its time.
        failed.extend(std::thread::scope(|scope| {
            let server = &server;
            let run = |transcript| {
                scope.spawn(move || Transcript::run(transcript, &mut Socket::open(server, transcript)).err())
            };
            let running: Vec<_> = transcripts.iter().map(run).collect();
            running.into_iter().filter_map(|it| it.join().unwrap()).collect::<Vec<_>>()
        }));
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs lines after the welcome.
fn flow(lines: &str) -> Result<(), String> {
    let welcome = r#"<-- {"type":"welcome","message":"Please send registration message to begin receiving events",
        "format":{"type":"register","filters":{"types":[],"account_ids":[],"asset_codes":[],"min_amount":""}}}"#;
    let text = format!("@bare-only\n{}\n{lines}", welcome.replace('\n', ""));
    let transcript = Transcript::parse("flow/here", &text)?;
    transcript.run(&mut Bare::open("flow", &transcript))
}

#[test]
fn what_differs_is_noticed() {
    assert_eq!(flow("# nothing more\n\n<-- nothing"), Ok(()));
    let register = r#"--> {"type":"register"}"#;
    for (lines, complaint) in [
        ("<-- {}", "flow/here:3: expected: {}"),
        ("<--! x", "flow/here:3: expected: Text(\"x\")"),
        ("<-- close 1000", "expected: Close"),
        ("--> x\n<-- nothing", "flow/here:4: nothing was expected"),
        ("--> x", "flow/here:3: at the end: nothing was expected"),
        ("--> x\n<-- {\"type\":\"error\"}", "expected: {\"type\":\"error\"}"),
        (register, "1 changes of subscription wait"),
        ("!applied", "no change of subscription was asked for"),
        ("~ 9999ms\n<-- close 1008 registration timeout", "got: None"),
        ("!ending shutdown\n<-- close 1001 server is shutting down\n--> x", "closed already"),
    ] {
        let error = flow(lines).unwrap_err();
        assert!(error.contains(complaint), "{lines}: {error}");
    }
}

#[test]
fn what_is_no_transcript_is_refused() {
    for (text, complaint) in [
        ("hello", "x:1: `hello` begins no step"),
        ("\n->x", "x:2: `->x`"),
        ("<-- {", "x:1: EOF"),
        ("<-- close soon", "`soon` is no close code"),
        ("~ 10s", "x:1: no client can do that; say @bare-only"),
        ("!ending too_slow", "say @bare-only"),
        ("!applied dropped=1", "say @bare-only"),
        ("!applied 1", "write !applied dropped=3"),
        ("!ending soon", "`soon` is no ending"),
        ("!ledger soon", "`soon` is no number"),
        ("!called 1 fee", "write !called 1 fee {}"),
        ("!answered 1", "write !answered 1 {}"),
        ("!failed 1 soon", "`soon` is no failure of a call"),
        ("!held", "say @bare-only"),
        ("!payment {}", "say @bare-only"),
        ("!payment x", "x:1: "),
        ("-->x fg", "x:1: "),
    ] {
        let error = Transcript::parse("x", text).unwrap_err();
        assert!(error.contains(complaint), "{text}: {error}");
    }
    assert!(!Transcript::parse("x", "--> {}\n!applied").unwrap().bare_only);
}
