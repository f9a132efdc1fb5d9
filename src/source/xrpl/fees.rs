//! What transactions cost and accounts must hold.

use super::amounts::Decimal;
use super::json::{number, text};
use super::view::{Change, View};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fees of a network, all in drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Fees {
    /// What a reference transaction costs.
    #[serde(rename = "base_fee")]
    pub base: u64,
    /// What an account must hold.
    pub reserve_base: u64,
    /// What it must hold besides for each object that it owns.
    #[serde(rename = "reserve_inc")]
    pub reserve_increment: u64,
}

/// Drops of an amount in XRP, a JSON number such as `1e-05` or `0.2`. Read as text: it is an amount.
pub fn drops(xrp: &RawValue) -> Option<u64> {
    let exact = Decimal::parse(xrp.get().trim_matches('"'))?;
    // As whole drops: the same digits, six places on.
    exact.amount(-6).to_string().parse().ok()
}

impl Fees {
    /// Takes what a `SetFee` wrote into the ledger, in the form of before or after the amendment XRPFees. Whether it
    /// did.
    pub fn learn(&mut self, view: &View<'_>) -> bool {
        let nodes = view.nodes.iter().filter(|node| node.entry == "FeeSettings" && node.change != Change::Deleted);
        let mut learnt = false;
        for node in nodes {
            let hex = |value: &RawValue| u64::from_str_radix(&text(value)?, 16).ok();
            let read = |drops: &str, old: &str, form: &dyn Fn(&RawValue) -> Option<u64>| {
                node.fields.get(drops).and_then(number).or_else(|| node.fields.get(old).and_then(form))
            };
            self.base = read("BaseFeeDrops", "BaseFee", &hex).unwrap_or(self.base);
            self.reserve_base = read("ReserveBaseDrops", "ReserveBase", &number).unwrap_or(self.reserve_base);
            self.reserve_increment =
                read("ReserveIncrementDrops", "ReserveIncrement", &number).unwrap_or(self.reserve_increment);
            learnt = true;
        }
        learnt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::xrpl::decode::Applied;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn xrp_as_json_numbers() {
        for (xrp, expected) in
            [("1e-05", 10), ("0.00001", 10), ("1", 1_000_000), ("0.2", 200_000), ("1.0e1", 10_000_000)]
        {
            assert_eq!(drops(&raw(xrp)), Some(expected), "{xrp}");
        }
        for bad in ["-1", "0.0000001", "null", "\"x\"", "1e100"] {
            assert_eq!(drops(&raw(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_set_fee_is_read_from_what_it_wrote() {
        let learn = |fields: &str| {
            let applied = Applied {
                index: 0,
                hash: crate::event::Hash([0; 32]),
                fee: 0,
                tx_json: r#"{"TransactionType":"SetFee","Account":"rrrrrrrrrrrrrrrrrrrrrhoLvTp"}"#.into(),
                deliver_max: None,
                owner_funds: None,
                meta: format!(
                    r#"{{"AffectedNodes":[{{"ModifiedNode":{{"LedgerEntryType":"FeeSettings","FinalFields":{fields}}}}}]}}"#
                )
                .into(),
                result: "tesSUCCESS".into(),
            };
            let mut fees = Fees { base: 1, reserve_base: 2, reserve_increment: 3 };
            assert!(fees.learn(&View::new(&applied).unwrap()));
            (fees.base, fees.reserve_base, fees.reserve_increment)
        };
        assert_eq!(
            learn(r#"{"BaseFeeDrops":"10","ReserveBaseDrops":"1000000","ReserveIncrementDrops":"200000"}"#),
            (10, 1_000_000, 200_000)
        );
        let old = r#"{"BaseFee":"000000000000000A","ReferenceFeeUnits":10,"ReserveBase":20000000,"ReserveIncrement":5000000}"#;
        assert_eq!(learn(old), (10, 20_000_000, 5_000_000));
        assert_eq!(learn("{}"), (1, 2, 3));
    }
}
