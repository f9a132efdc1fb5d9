//! Where a source goes on.

use super::{Shared, lock};
use crate::event::SourceNumber;
use crate::source::{Checkpoint, OldCheckpoint, SourceError};

/// The position of a source on a network, of the store or of the file of an earlier release.
pub(super) fn load(shared: &Shared, source: SourceNumber, network: &str) -> Result<Option<Checkpoint>, SourceError> {
    let Some(state) = shared.sources.get(usize::from(source)) else { return Ok(None) };
    {
        let positions = shared.positions();
        let stored = positions.streams.iter().find(|stream| {
            (&*stream.source, &*stream.network, &*stream.scope) == (&*state.name, network, &*state.scope)
        });
        if let Some(stream) = stored {
            return Ok(Some(Checkpoint {
                network: network.into(),
                epoch: stream.epoch,
                ledger: stream.ledger,
                hash: stream.hash,
                counters: stream.counters.clone(),
            }));
        }
    }
    let Some(directory) = shared.path.parent() else { return Ok(None) };
    let old = OldCheckpoint::new(directory, &state.name, network, &state.scope);
    let found = old.load()?;
    if found.is_some() {
        *lock(&state.old_file) = Some(old.path());
    }
    Ok(found)
}
