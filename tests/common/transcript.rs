//! Transcripts: conversations written down line by line, `tests/data/<dialect>/*.txt`.
//!
//! ```text
//! # a comment
//! @config {"max_queue_size":5}           the mount's settings (default: `config.json` of the folder, or {})
//! @limits {"values_per_session":3}       limits other than the default ones
//! @below /streams/a                      the path below the mount (default none)
//! @user alice:secret                     the client says so in its handshake (Basic; default: it says nothing)
//! @bare-only                             the file has steps that no client can bring about
//! --> text                               the client sends a text message
//! -->b text                              … a binary message with these characters
//! -->x ff 00                             … a binary message with these bytes
//! !applied                               the next change of subscription takes effect
//! <-- {"type":"welcome"}                 the client gets this JSON in a text message, key order free
//! <-- {"sessionID":"$session"}           … a text that begins with `$` stands for one that is not known before: any the
//!                                        first time, the same ever after, also in what the client sends
//! <--! text                              … this text, to the letter
//! <-- close 1008 too slow                … a close frame
//! <-- nothing                            … nothing more
//! ~ 10s                                  bare only: time passes
//! !applied dropped=3                     bare only: … and 3 events are no longer there
//! !resumed 3 120                         bare only: … where its client was, 3 ledgers and 120 events ago
//! !resumed gap network 5 9               bare only: … after ledgers that are gone; or `reorg network 7`
//! !refused other_network                 bare only: nobody can go on there: several_sources, ahead, other_chain …
//! !too_many_changes                      bare only: a change was not taken
//! !too_big 70000                         bare only: a message of so many bytes was discarded
//! !ending too_slow                       bare only: shutdown, too_slow, gap, dead, too_many_messages, revoked
//! !ledger 88530525                       bare only: the newest ledger from now on; before, there is none
//! !held                                  bare only: the session's position is held
//! !called 1 book_offers {"limit":60}     bare only: the session has asked the ledger's RPC this, key order free
//! !answered 1 {"offers":[]}              bare only: the RPC's answer to that call
//! !payment {"from":"rA","to":"rB"}       bare only: a ledger of the XRP Ledger with this payment, of 10 XRP (`amount`,
//!                                        `asset`, `hash` and `index` for others); what of it is wanted is sent
//! !failed 1 busy                         bare only: … or none: busy, unreachable, not_ready, too_large
//! ```
//!
//! Answers that must not overtake others are held back as a session does it: behind the changes that were asked
//! for before them.
//!
//! The same file runs through everything that is a [`Transport`]: the bare state machine, or a real
//! socket. At its end nothing more may come.

use ledgercast::config::units::Time;
use ledgercast::dialect::{CallError, Ending, Lost, Parted, ResumeError, Resumed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What carries a conversation.
pub trait Transport {
    /// Sends a message of the client.
    fn send(&mut self, message: Message) -> Result<(), String>;

    /// The next thing that the client gets, in order; `None` when nothing comes.
    fn receive(&mut self) -> Option<Received>;

    /// Makes something happen on the server's side. A socket's server applies changes by itself, so
    /// there [`Happening::Applied`] with nothing dropped is no work; it never sees the others, since
    /// it does not run files that are [`Transcript::bare_only`].
    fn happen(&mut self, happening: Happening) -> Result<(), String>;

    /// Checks what can be checked after the last line.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
}

/// What a client gets. Pings and pongs are the transport's own business.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    Close { code: u16, reason: String },
}

/// What happens on the server's side.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    Applied { dropped: u64 },
    Resumed(Resumed),
    Refused(ResumeError),
    Passed(Duration),
    TooManyChanges,
    TooBig { size: u64 },
    Ending(Ending),
    Ledger { index: u64 },
    Payment(Value),
    Held,
    Called { call: u32, method: String, parameters: Value },
    Answered { call: u32, outcome: Result<String, CallError> },
}

impl Happening {
    fn is_bare_only(&self) -> bool {
        *self != Happening::Applied { dropped: 0 }
    }
}

/// A conversation.
#[derive(Debug)]
pub struct Transcript {
    /// `<dialect>/<file>`, for messages.
    pub name: String,
    /// The mount's `config`.
    pub config: Value,
    /// `limits`, as far as they are set.
    pub limits: Value,
    /// The path below the mount.
    pub below: String,
    /// Name and password, with a colon between.
    pub user: Option<String>,
    /// Whether only the bare state machine can run it.
    pub bare_only: bool,
    steps: Vec<(usize, Step)>,
}

#[derive(Debug)]
enum Step {
    Send(Message),
    Happen(Happening),
    ExpectJson(Value),
    Expect(Received),
    ExpectNothing,
}

/// `3 120`, `gap network 5 9` or `reorg network 7`.
fn resumed(text: &str) -> Option<Resumed> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |text: &str| text.parse().ok();
    Some(match words[..] {
        ["gap", network, from, to] => {
            let lost = Lost { network: network.into(), from_ledger: number(from)?, to_ledger: number(to)? };
            Resumed { lost: vec![lost], ..Resumed::default() }
        }
        ["reorg", network, last] => {
            let parted = Parted { network: network.into(), last_common_ledger: number(last)? };
            Resumed { parted: vec![parted], ..Resumed::default() }
        }
        [ledgers, events] => Resumed { ledgers: number(ledgers)?, events: number(events)?, ..Resumed::default() },
        _ => return None,
    })
}

impl Transcript {
    /// Reads a file; panics with its line where it is no transcript.
    pub fn load(path: &Path) -> Transcript {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let names: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        let name = format!("{}/{}", names[1], names[0]);
        let mut transcript = Transcript::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        if let Ok(config) = std::fs::read_to_string(path.with_file_name("config.json"))
            && transcript.config == json!({})
        {
            transcript.config = serde_json::from_str(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        transcript
    }

    /// Reads a text.
    pub fn parse(name: &str, text: &str) -> Result<Transcript, String> {
        let mut transcript = Transcript {
            name: name.to_owned(),
            config: json!({}),
            limits: json!({}),
            below: String::new(),
            user: None,
            bare_only: false,
            steps: Vec::new(),
        };
        for (at, line) in (1..).zip(text.lines()) {
            transcript.line(at, line).map_err(|error| format!("{name}:{at}: {error}"))?;
        }
        let of_bare = |(at, step): &(usize, Step)| matches!(step, Step::Happen(it) if it.is_bare_only()).then_some(*at);
        match transcript.steps.iter().find_map(of_bare) {
            Some(at) if !transcript.bare_only => Err(format!("{name}:{at}: no client can do that; say @bare-only")),
            _ => Ok(transcript),
        }
    }

    fn line(&mut self, at: usize, line: &str) -> Result<(), String> {
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let step = match word {
            "" | "#" if line.trim().is_empty() || word == "#" => return Ok(()),
            "@bare-only" => {
                self.bare_only = true;
                return Ok(());
            }
            "@below" => {
                self.below = rest.to_owned();
                return Ok(());
            }
            "@user" => {
                self.user = Some(rest.to_owned());
                return Ok(());
            }
            "@config" => {
                self.config = json(rest)?;
                return Ok(());
            }
            "@limits" => {
                self.limits = json(rest)?;
                return Ok(());
            }
            "-->" => Step::Send(Message::Text(rest.to_owned())),
            "-->b" => Step::Send(Message::Binary(rest.into())),
            "-->x" => Step::Send(Message::Binary(
                rest.split(' ')
                    .map(|byte| u8::from_str_radix(byte, 16).map_err(|error| error.to_string()))
                    .collect::<Result<_, _>>()?,
            )),
            "<--!" => Step::Expect(Received::Text(rest.to_owned())),
            "<--" if rest == "nothing" => Step::ExpectNothing,
            "<--" => match rest.strip_prefix("close ") {
                Some(close) => {
                    let (code, reason) = close.split_once(' ').unwrap_or((close, ""));
                    let code = code.parse().map_err(|_| format!("`{code}` is no close code"))?;
                    Step::Expect(Received::Close { code, reason: reason.to_owned() })
                }
                None => Step::ExpectJson(json(rest)?),
            },
            "~" => Step::Happen(Happening::Passed(rest.parse::<Time>()?.0)),
            "!applied" if rest.is_empty() => Step::Happen(Happening::Applied { dropped: 0 }),
            "!applied" => {
                let dropped = rest.strip_prefix("dropped=").and_then(|count| count.parse().ok());
                Step::Happen(Happening::Applied { dropped: dropped.ok_or("write !applied dropped=3")? })
            }
            "!resumed" => {
                Step::Happen(Happening::Resumed(resumed(rest).ok_or("write !resumed 3 120, gap … or reorg …")?))
            }
            "!refused" => Step::Happen(Happening::Refused(match rest {
                "other_network" => ResumeError::OtherNetwork,
                "several_sources" => ResumeError::SeveralSources,
                "ahead" => ResumeError::Ahead { ledger: 17, newest: 9 },
                "other_chain" => ResumeError::OtherChain { ledger: 17 },
                "unavailable" => ResumeError::Unavailable,
                other => return Err(format!("`{other}` is no refusal")),
            })),
            "!too_many_changes" => Step::Happen(Happening::TooManyChanges),
            "!too_big" => Step::Happen(Happening::TooBig { size: number(rest)? }),
            "!ledger" => Step::Happen(Happening::Ledger { index: number(rest)? }),
            "!payment" => Step::Happen(Happening::Payment(json(rest)?)),
            "!held" => Step::Happen(Happening::Held),
            "!called" => {
                let (call, rest) = rest.split_once(' ').ok_or("write !called 1 fee {}")?;
                let (method, parameters) = rest.split_once(' ').ok_or("write !called 1 fee {}")?;
                let (call, parameters) = (number(call)? as u32, json(parameters)?);
                Step::Happen(Happening::Called { call, method: method.to_owned(), parameters })
            }
            "!answered" => {
                let (call, reply) = rest.split_once(' ').ok_or("write !answered 1 {}")?;
                Step::Happen(Happening::Answered { call: number(call)? as u32, outcome: Ok(reply.to_owned()) })
            }
            "!failed" => {
                let (call, word) = rest.split_once(' ').ok_or("write !failed 1 busy")?;
                let error = match word {
                    "busy" => CallError::Busy,
                    "unreachable" => CallError::Unreachable,
                    "not_ready" => CallError::NotReady,
                    "too_large" => CallError::TooLarge,
                    other => return Err(format!("`{other}` is no failure of a call")),
                };
                Step::Happen(Happening::Answered { call: number(call)? as u32, outcome: Err(error) })
            }
            "!ending" => Step::Happen(Happening::Ending(match rest {
                "shutdown" => Ending::Shutdown,
                "too_slow" => Ending::TooSlow,
                "gap" => Ending::Gap,
                "dead" => Ending::Dead,
                "too_many_messages" => Ending::TooManyMessages,
                "revoked" => Ending::Revoked,
                "replay_end" => Ending::ReplayEnd,
                other => return Err(format!("`{other}` is no ending")),
            })),
            other => return Err(format!("`{other}` begins no step")),
        };
        self.steps.push((at, step));
        Ok(())
    }

    /// Runs the conversation; an error names the line.
    pub fn run(&self, transport: &mut impl Transport) -> Result<(), String> {
        let mut last = 0;
        let mut names = BTreeMap::new();
        for (at, step) in &self.steps {
            last = *at;
            step.run(transport, &mut names).map_err(|error| format!("{}:{at}: {error}", self.name))?;
        }
        let end = Step::ExpectNothing.run(transport, &mut names).and_then(|()| transport.finish());
        end.map_err(|error| format!("{}:{last}: at the end: {error}", self.name))
    }
}

/// What `$names` stand for.
type Names = BTreeMap<String, String>;

/// Whether a message is the expected one.
fn agrees(expected: &Value, got: &Value, names: &mut Names) -> bool {
    match (expected, got) {
        (Value::String(name), Value::String(text)) if name.starts_with('$') => {
            names.entry(name.clone()).or_insert_with(|| text.clone()) == text
        }
        (Value::Object(expected), Value::Object(got)) => {
            let mut fields = expected.iter();
            expected.len() == got.len()
                && fields.all(|(key, value)| got.get(key).is_some_and(|got| agrees(value, got, names)))
        }
        _ => expected == got,
    }
}

impl Step {
    fn run(&self, transport: &mut impl Transport, names: &mut Names) -> Result<(), String> {
        match self {
            Step::Send(Message::Text(text)) => {
                let known = |text: String, (name, value): (&String, &String)| text.replace(name, value);
                transport.send(Message::Text(names.iter().fold(text.clone(), known)))
            }
            Step::Send(message) => transport.send(message.clone()),
            Step::Happen(happening) => transport.happen(happening.clone()),
            Step::ExpectNothing => match transport.receive() {
                None => Ok(()),
                Some(received) => Err(format!("nothing was expected, this came: {received:?}")),
            },
            Step::Expect(expected) => match transport.receive() {
                Some(received) if received == *expected => Ok(()),
                received => Err(format!("expected: {expected:?}\n     got: {received:?}")),
            },
            Step::ExpectJson(expected) => match transport.receive() {
                Some(Received::Text(text))
                    if serde_json::from_str(&text).is_ok_and(|got| agrees(expected, &got, names)) =>
                {
                    Ok(())
                }
                received => Err(format!("expected: {expected}\n     got: {received:?}")),
            },
        }
    }
}
