//! JSON-RPC as EVM nodes and their providers speak it: batches, errors per item, limits told in many ways, at a rate
//! that the provider bears.

mod answer;
pub use answer::{is_answer, is_unknown_block, is_unsupported};

use super::pace::Pace;
use crate::source::{RpcClient, SourceError};
use answer::{Answer, Answers, lower, number, refused, retry_after};
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The method whose refusals strangers may word: a contract's own text stands in them.
pub const CONTRACT_CALL: &str = "eth_call";

/// One call: a method and its parameters.
pub type Call = (&'static str, Value);

/// What came of one call of a batch: the text of its result, or why it was refused.
pub type Outcome = Result<Box<RawValue>, SourceError>;

/// The calls of one source.
pub struct Calls {
    rpc: RpcClient,
    next_id: u64,
    /// Calls in one request at most.
    batch: usize,
    /// The same for the address in use; fewer where it does not like so many.
    batch_here: usize,
    pace: Pace,
}

impl Calls {
    /// Calls over this client.
    pub fn new(rpc: RpcClient, batch: u32, per_second: u32) -> Calls {
        let batch = batch.max(1) as usize;
        Calls { rpc, next_id: 1, batch, batch_here: batch, pace: Pace::new(per_second) }
    }

    /// The number of the address in use; when it changes, what is known of the node is void.
    pub fn endpoint(&self) -> usize {
        self.rpc.endpoint()
    }

    /// How many addresses there are.
    pub fn endpoints(&self) -> usize {
        self.rpc.endpoints()
    }

    /// The address in use, for people.
    pub fn shown(&self) -> String {
        self.rpc.shown().to_owned()
    }

    /// Goes to the next address, if there is one.
    pub fn fail_over(&mut self) {
        self.rpc.fail_over();
        self.batch_here = self.batch;
    }

    /// Calls that may be asked in one request now.
    pub fn at_once(&self) -> usize {
        self.batch_here
    }

    /// An answer that is not what the method gives.
    pub fn malformed(&self, method: &str, reason: String) -> SourceError {
        self.rpc.malformed(method, reason)
    }

    /// One call, its result read.
    pub async fn one<R: DeserializeOwned>(&mut self, method: &'static str, params: Value) -> Result<R, SourceError> {
        let outcome = self.single(&(method, params)).await?;
        self.read(method, &outcome)
    }

    /// Reads a result; one that is not what the method gives is for another address to give better.
    pub fn read<R: DeserializeOwned>(&mut self, method: &str, result: &RawValue) -> Result<R, SourceError> {
        serde_json::from_str(result.get()).map_err(|error| {
            let error = self.malformed(method, error.to_string());
            self.fail_over();
            error
        })
    }

    /// Several calls, answered in their order; in one request where the address takes batches. An error is one of all
    /// of them; what is refused alone stands at its place.
    pub async fn many(&mut self, calls: &[Call]) -> Result<Vec<Outcome>, SourceError> {
        let mut outcomes = Vec::with_capacity(calls.len());
        while outcomes.len() < calls.len() {
            let rest = &calls[outcomes.len()..];
            let now = &rest[..rest.len().min(self.batch_here)];
            match now {
                [call] => match self.single(call).await {
                    Ok(result) => outcomes.push(Ok(result)),
                    Err(error) if is_answer(&error) => outcomes.push(Err(error)),
                    Err(error) => return Err(error),
                },
                now => match self.together(now).await? {
                    Some(answered) => outcomes.extend(answered),
                    // Refused as a whole: fewer the next time.
                    None => self.batch_here = (self.batch_here / 2).max(1),
                },
            }
        }
        Ok(outcomes)
    }

    async fn single(&mut self, (method, params): &Call) -> Outcome {
        self.pace.wait(1).await;
        let id = self.take_ids(1);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut outcome = self.exchange(method, body.to_string().into_bytes()).await.and_then(|answer| {
            let answer: Answer =
                serde_json::from_slice(&answer).map_err(|error| self.malformed(method, error.to_string()))?;
            // Only an error may lack the id: the server could not read the request then.
            let unread = answer.error.is_some() && answer.id.is_none();
            if !unread && number(answer.id) != Some(id) {
                return Err(self.malformed(method, format!("answers another request than {id}")));
            }
            self.outcome(method, answer)
        });
        if let Err(error) = &mut outcome {
            self.failed(error);
        } else {
            self.pace.worked(1);
        }
        outcome
    }

    /// One request with several calls. `None`: the address does not take it.
    async fn together(&mut self, calls: &[Call]) -> Result<Option<Vec<Outcome>>, SourceError> {
        self.pace.wait(calls.len()).await;
        let first = self.take_ids(calls.len());
        let item = |(at, (method, params)): (usize, &Call)| json!({ "jsonrpc": "2.0", "id": first + at as u64, "method": method, "params": params });
        let body = Value::from(calls.iter().enumerate().map(item).collect::<Vec<_>>()).to_string();
        let method = calls[0].0;
        let answer = match self.exchange(method, body.into_bytes()).await {
            Ok(answer) => answer,
            Err(mut error) => {
                let whole = match &error {
                    SourceError::TooLarge { .. } => true,
                    SourceError::Status { status, .. } => matches!(status, 400 | 405 | 413 | 415 | 422),
                    _ => false,
                };
                if whole {
                    return Ok(None);
                }
                self.failed(&mut error);
                return Err(error);
            }
        };
        let mut reader = serde_json::Deserializer::from_slice(&answer);
        let listed = reader.deserialize_seq(Answers { most: calls.len() });
        let Ok(answers) = listed.and_then(|answers| reader.end().map(|()| answers)) else {
            // An object: an error of the whole, or something that is no answer at all.
            let whole = serde_json::from_slice::<Answer>(&answer);
            let mut error = match whole.ok().and_then(|answer| self.outcome(method, answer).err()) {
                Some(SourceError::Status { status, retry_after, url }) => {
                    SourceError::Status { status, retry_after, url }
                }
                Some(_) => return Ok(None),
                None => self.malformed(method, "no batch of answers".into()),
            };
            self.failed(&mut error);
            return Err(error);
        };
        let mut placed: Vec<Option<Answer>> = calls.iter().map(|_| None).collect();
        for answer in answers {
            let place = number(answer.id).and_then(|id| usize::try_from(id.checked_sub(first)?).ok());
            if let Some(place) = place.and_then(|place| placed.get_mut(place)) {
                *place = Some(answer);
            }
        }
        let mut outcomes = Vec::with_capacity(calls.len());
        for ((method, _), answer) in calls.iter().zip(placed) {
            let outcome = match answer {
                Some(answer) => self.outcome(method, answer),
                None => Err(self.malformed(method, "no answer to a call of a batch".into())),
            };
            match outcome {
                // What is no answer to this call is trouble of the node, and what came with it is asked again.
                Err(mut error) if !is_answer(&error) => {
                    self.failed(&mut error);
                    return Err(error);
                }
                outcome => outcomes.push(outcome),
            }
        }
        self.pace.worked(calls.len());
        Ok(Some(outcomes))
    }

    fn take_ids(&mut self, count: usize) -> u64 {
        let first = self.next_id;
        self.next_id += count as u64;
        first
    }

    /// The body of the answer. Some servers send errors with other statuses: what they say counts then.
    async fn exchange(&self, method: &str, body: Vec<u8>) -> Result<Vec<u8>, SourceError> {
        let mut reply = self.rpc.post(method, body).await?;
        if reply.status != 200
            && let Ok(Answer { error: Some(refusal), .. }) = serde_json::from_slice::<Answer>(&reply.body)
        {
            if reply.status != 429 {
                return Ok(reply.body);
            }
            let asked = retry_after(&lower(&refusal.message), refusal.data);
            reply.retry_after = reply.retry_after.or(asked);
        }
        reply.ok(self.rpc.shown())
    }

    fn outcome(&self, method: &str, answer: Answer) -> Outcome {
        match (answer.error, answer.result) {
            (Some(refusal), _) => Err(refused(self.shown(), method, refusal)),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(self.malformed(method, "neither result nor error".into())),
        }
    }

    /// What another address may do better is asked there the next time.
    fn failed(&mut self, error: &mut SourceError) {
        if matches!(error, SourceError::Status { status: 429, .. }) {
            self.pace.slower();
        }
        if !is_answer(error) {
            self.rpc.give_up(error);
            self.batch_here = self.batch;
        }
    }
}
