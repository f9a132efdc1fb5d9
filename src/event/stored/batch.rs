//! A ledger and its events.

use super::{Corrupt, Reader, Stored, Writer, stored_enum, stored_struct};
use crate::event::{
    AssetKeys, Continuity, ContinuityKind, Event, EventKind, LedgerBatch, LedgerRef, Native, Place, SourceNumber,
};

stored_struct!(LedgerRef { index, hash, parent, closed_at });
stored_struct!(Continuity { kind, from_ledger, to_ledger, reason });
stored_enum!(ContinuityKind { 0 => Gap, 1 => Reset, 2 => Reorg });
stored_struct!(Place { transaction, rank, sub });
stored_struct!(AssetKeys { keys, amount });
stored_struct!(Event { id, kind, place, transaction_hash, subjects, assets, body, native });
stored_enum!(EventKind {
    0 => Ledger,
    1 => BookChanges,
    2 => Transaction,
    3 => Deploy,
    4 => ContractEvent,
    5 => SystemEvent,
    6 => Payment,
    7 => Trade,
});

impl Stored for Native {
    fn write(&self, writer: &mut Writer) {
        writer.word(self.name());
        writer.number(self.bytes() as u64);
        self.write_value(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Native, Corrupt> {
        let kind = {
            let name = reader.word()?;
            reader.native_kind(name)?
        };
        let bytes = reader.narrow()?;
        (kind.read)(reader, bytes)
    }
}

/// The number of a source is of one configuration, so it is not stored.
pub fn write(batch: &LedgerBatch, writer: &mut Writer) {
    let LedgerBatch { source: _, network, epoch, ledger, continuity, events, native } = batch;
    network.write(writer);
    epoch.write(writer);
    ledger.write(writer);
    continuity.write(writer);
    events.write(writer);
    native.write(writer);
}

/// What [`write`] wrote, as a ledger of `source`.
pub fn read(reader: &mut Reader<'_>, source: SourceNumber) -> Result<LedgerBatch, Corrupt> {
    Ok(LedgerBatch {
        source,
        network: Stored::read(reader)?,
        epoch: Stored::read(reader)?,
        ledger: Stored::read(reader)?,
        continuity: Stored::read(reader)?,
        events: Stored::read(reader)?,
        native: Stored::read(reader)?,
    })
}
