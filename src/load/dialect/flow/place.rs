//! Where an event stands in its ledger, from its id.
//!
//! Stellar's ids hold a number `ledger << 32 | transaction << 12 | operation`: alone for a transaction, with
//! ten digits behind it for a contract event, with `-p0` for a payment and `-t0` for a trade; `7-ledger` is the
//! ledger's own. Events stand by transaction, then by kind, then by operation.

/// Bits of the parts of a place, from the left: transaction 20, kind 4, operation 12, number 28.
const KIND: u32 = 40;
const OPERATION: u32 = 28;
const TRANSACTION: u32 = 44;

/// `None`: an id that is none, or one of another ledger.
pub fn of(kind: &str, id: &str, ledger: u64) -> Option<u64> {
    let (number, rest) = id.split_once('-').unwrap_or((id, ""));
    let number: u64 = number.parse().ok()?;
    let (rank, digits) = match kind {
        "ledger" => return (number == ledger && rest == "ledger").then_some(0),
        "transaction" if !id.contains('-') => (1, "0"),
        "contract_event" if rest.len() == 10 => (2, rest),
        "payment" => (3, rest.strip_prefix('p')?),
        "trade" => (4, rest.strip_prefix('t')?),
        _ => return None,
    };
    let within: u64 = digits.parse().ok().filter(|within| *within < 1 << OPERATION)?;
    let (transaction, operation) = (number >> 12 & 0xf_ffff, number & 0xfff);
    (number >> 32 == ledger).then_some(transaction << TRANSACTION | rank << KIND | operation << OPERATION | within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_events_are() {
        let base = 1021u64 << 32;
        let id = |transaction: u64, operation: u64| base | transaction << 12 | operation;
        let row = [
            ("ledger", "1021-ledger".to_owned()),
            ("contract_event", format!("{:019}-0000000000", id(0, 0))),
            ("contract_event", format!("{:019}-0000000001", id(0, 0))),
            ("transaction", id(1, 0).to_string()),
            ("contract_event", format!("{:019}-0000000009", id(1, 0))),
            ("contract_event", format!("{:019}-0000000010", id(1, 0))),
            ("contract_event", format!("{:019}-0000000000", id(1, 1))),
            ("payment", format!("{}-p0", id(1, 0))),
            ("payment", format!("{}-p2", id(1, 0))),
            ("payment", format!("{}-p10", id(1, 0))),
            ("payment", format!("{}-p0", id(1, 1))),
            ("trade", format!("{}-t0", id(1, 0))),
            ("transaction", id(2, 0).to_string()),
            ("contract_event", format!("{:019}-0000000000", id(0xf_ffff, 0))),
        ];
        let places: Vec<u64> = row.iter().map(|(kind, id)| of(kind, id, 1021).expect("it is one")).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        for (kind, id) in &row {
            assert_eq!(of(kind, id, 1022), None, "{kind} {id}");
        }
        for (kind, bad) in [("payment", "1-t0"), ("payment", "x"), ("trade", ""), ("transaction", "1-p0"), ("x", "1")] {
            assert_eq!(of(kind, bad, 0), None, "{kind} {bad}");
        }
    }
}
