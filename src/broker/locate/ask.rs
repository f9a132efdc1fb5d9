//! What the journal says of a place.

use super::{FoundPlace, Wanted, after, from_memory};
use crate::broker::StreamEntry;
use crate::broker::backlog::{Backlog, BacklogRead, Find, Found};
use crate::broker::history::InMemory;
use crate::dialect::ResumeError;
use crate::event::{Chain, SourceNumber};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the journal says; `None`: it has given up meanwhile what it had found.
pub(super) async fn ask(
    backlog: &Arc<dyn Backlog>,
    wanted: &Wanted,
    in_memory: InMemory,
) -> Result<Option<FoundPlace>, ResumeError> {
    let Wanted { source, index, chain, .. } = *wanted;
    match find(backlog, source, Find::Ledger { index, chain }).await {
        Found::At(sequence) => {
            let Some(entry) = exactly(backlog, source, sequence).await? else { return Ok(None) };
            if entry.batch.ledger.index < index {
                // What comes next stands for it, if it could not be kept.
                let next = first_after(backlog, source, sequence).await?;
                if let Some(hole) = next.iter().find(|next| wanted.is_hole(next)) {
                    return Ok(Some(wanted.behind(hole)));
                }
            }
            Ok(Some(wanted.inside(entry)))
        }
        Found::Gone { oldest, .. } => match exactly(backlog, source, oldest).await? {
            Some(oldest) => wanted.instead(&oldest).map(Some),
            None => Ok(None),
        },
        Found::Ahead { newest_index } => Err(ResumeError::Ahead { ledger: index, newest: newest_index }),
        Found::OtherChain { last_common: Some(last_common) } => {
            let Found::At(sequence) =
                find(backlog, source, Find::Ledger { index: last_common, chain: Chain::Newest }).await
            else {
                return from_memory(wanted, in_memory).map(Some);
            };
            let Some(entry) = exactly(backlog, source, sequence).await? else { return Ok(None) };
            let (place, parted) = (Some(after(&entry)), wanted.parted(last_common));
            Ok(Some(FoundPlace { place, parted, ledger: Some(entry), ..FoundPlace::default() }))
        }
        Found::OtherChain { last_common: None } => from_memory(wanted, in_memory).map(Some),
        Found::Failed(error) => Err(failed(&error)),
    }
}

pub(super) fn failed(error: &str) -> ResumeError {
    log::error!(error; "the journal cannot be asked where a client was");
    ResumeError::Unavailable
}

pub(super) async fn find(backlog: &Arc<dyn Backlog>, source: SourceNumber, what: Find) -> Found {
    let (done, found) = oneshot::channel();
    // Nobody waits any more where it cannot be sent.
    backlog.find(source, what, Box::new(move |found| _ = done.send(found)));
    found.await.unwrap_or_else(|_| Found::Failed("no answer".to_owned()))
}

/// The ledger of this sequence; `None`: it has been given up.
pub(super) async fn exactly(
    backlog: &Arc<dyn Backlog>,
    source: SourceNumber,
    sequence: u64,
) -> Result<Option<Arc<StreamEntry>>, ResumeError> {
    let read = first_after(backlog, source, sequence.saturating_sub(1)).await?;
    Ok(read.into_iter().next().filter(|entry| entry.sequence == sequence))
}

/// The first ledger after a sequence, before it what stands for those that could not be kept; nothing: it was given up.
pub(super) async fn first_after(
    backlog: &Arc<dyn Backlog>,
    source: SourceNumber,
    sequence: u64,
) -> Result<Vec<Arc<StreamEntry>>, ResumeError> {
    let (done, read) = oneshot::channel();
    // One ledger comes, however little is asked for.
    let answer = Box::new(move |read| _ = done.send(read));
    backlog.read(Arc::new([source]), sequence, 1, answer);
    match read.await {
        Ok(BacklogRead::Entries(entries)) => Ok(entries),
        Ok(BacklogRead::End) => Ok(Vec::new()),
        Ok(BacklogRead::Failed(error)) => Err(failed(&error)),
        Err(_) => Err(failed("no answer")),
    }
}
