//! The facts of an event.

use super::{Corrupt, Reader, Stored, Writer, stored_enum, stored_struct};
use crate::event::{Amount, Asset, Body, ContractEvent, LedgerFacts, Movement, Payment, Trade, Transaction};

/// Powers of ten beyond those of every ledger: an amount is printed in plain digits.
const FARTHEST: i64 = 10_000;

stored_enum!(Body {
    0 => Ledger(facts),
    1 => BookChanges,
    2 => Transaction(transaction),
    3 => Deploy { contract, deployer },
    4 => ContractEvent(event),
    5 => Payment(payment),
    6 => Trade(trade),
});
stored_struct!(LedgerFacts { transaction_count, successful_count, operation_count });
stored_struct!(Transaction {
    source_account,
    fee_account,
    successful,
    fee_charged,
    operation_count,
    memo,
    application_order,
});
stored_struct!(ContractEvent {
    contract,
    topics,
    data,
    transaction_index,
    operation_index,
    in_successful_call,
    movement,
});
stored_struct!(Movement { name, asset, amount, from, to });
stored_struct!(Payment { from, to, from_muxed_id, to_muxed_id, asset, amount, memo, operation });
stored_struct!(Trade { seller, buyer, sold, sold_amount, bought, bought_amount, price, offer, pool });
stored_struct!(Asset { id, code, issuer, kind, decimals });

/// The significant digits, the sign, and the power of ten that they are multiplied with.
impl Stored for Amount {
    fn write(&self, writer: &mut Writer) {
        let (negative, digits, power) = self.parts();
        writer.text(digits);
        if !digits.is_empty() {
            negative.write(writer);
            i64::from(power).write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Amount, Corrupt> {
        let digits = reader.text()?;
        if digits.is_empty() {
            return Ok(Amount::ZERO);
        }
        let negative = bool::read(reader)?;
        let power = i64::read(reader)?;
        if power.abs() > FARTHEST {
            return Err(Corrupt::TooLarge);
        }
        Amount::from_digits(negative, digits, power as i32).map_err(|_| Corrupt::Not("amount"))
    }
}
