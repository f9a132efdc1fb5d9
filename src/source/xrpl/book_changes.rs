//! The exchange rates of a ledger's trades, as servers tell them.

use super::amounts::{Decimal, Exact};
use super::assets::AssetId;
use super::native::{BookChange, BookChanges};
use super::view::View;
use std::collections::BTreeMap;

/// Sums up offers, in the order in which they were taken.
#[derive(Default)]
pub struct Tally {
    /// By `A|B`, and the domain where there is one: servers sort by that text.
    pairs: BTreeMap<String, Pair>,
}

struct Pair {
    a: AssetId,
    b: AssetId,
    volume_a: Decimal,
    volume_b: Decimal,
    high: Rate,
    low: Rate,
    open: Rate,
    close: Rate,
    domain: Option<Box<str>>,
}

/// A rate and, for comparing, the same as an amount.
#[derive(Clone)]
struct Rate {
    rate: Decimal,
    amount: crate::event::Amount,
}

impl Tally {
    /// Adds what a transaction took.
    pub fn add(&mut self, view: &View<'_>) {
        for offer in view.consumed_offers() {
            let rounded = |(asset, moved): &(AssetId, Exact)| -> Option<(AssetId, Decimal)> {
                // Whole units stay exact; tokens have 16 digits.
                let value = if asset.is_whole() { moved.decimal() } else { moved.rounded() };
                Some((asset.clone(), value?))
            };
            let (Some(sold), Some(paid)) = (rounded(&offer.sold), rounded(&offer.paid)) else { continue };
            let (gets, pays) = (name(&sold.0), name(&paid.0));
            let as_it_is = sold.0 == AssetId::Xrp || (paid.0 != AssetId::Xrp && gets < pays);
            let ((a, moved_a), (b, moved_b)) = if as_it_is { (sold, paid) } else { (paid, sold) };
            let Some(rate) = moved_a.rate(moved_b) else { continue };
            let rate = Rate { amount: rate.amount(0), rate };
            let mut key = if as_it_is { format!("{gets}|{pays}") } else { format!("{pays}|{gets}") };
            if let Some(domain) = &offer.domain {
                key = format!("{key}|{domain}");
            }
            let pair = self.pairs.entry(key).or_insert_with(|| Pair {
                a,
                b,
                volume_a: Decimal::ZERO,
                volume_b: Decimal::ZERO,
                high: rate.clone(),
                low: rate.clone(),
                open: rate.clone(),
                close: rate.clone(),
                domain: offer.domain.map(Into::into),
            });
            pair.volume_a = sum(&pair.a, pair.volume_a, moved_a);
            pair.volume_b = sum(&pair.b, pair.volume_b, moved_b);
            if rate.amount > pair.high.amount {
                pair.high = rate.clone();
            }
            if rate.amount < pair.low.amount {
                pair.low = rate.clone();
            }
            pair.close = rate;
        }
    }

    /// What came together.
    pub fn into_changes(self) -> BookChanges {
        let change = |pair: Pair| {
            let shown = |asset: &AssetId| if *asset == AssetId::Xrp { "XRP_drops".into() } else { name(asset) };
            BookChange {
                currency_a: shown(&pair.a).into(),
                currency_b: shown(&pair.b).into(),
                volume_a: written(&pair.a, pair.volume_a),
                volume_b: written(&pair.b, pair.volume_b),
                high: pair.high.rate.to_string().into(),
                low: pair.low.rate.to_string().into(),
                open: pair.open.rate.to_string().into(),
                close: pair.close.rate.to_string().into(),
                domain: pair.domain,
            }
        };
        BookChanges(self.pairs.into_values().map(change).collect())
    }
}

/// The asset as servers write it: `issuer/CODE`.
fn name(asset: &AssetId) -> String {
    match asset {
        AssetId::Xrp => "XRP".into(),
        AssetId::Token { currency, issuer } => format!("{issuer}/{currency}"),
        AssetId::Multi(issuance) => issuance.to_string(),
    }
}

/// A sum without signs, to as many digits as the asset has. One that cannot be is not added to.
fn sum(asset: &AssetId, volume: Decimal, moved: Decimal) -> Decimal {
    let sum = volume.plus(moved.magnitude());
    let kept = if asset.is_whole() { sum.decimal() } else { sum.rounded() };
    kept.unwrap_or(volume)
}

fn written(asset: &AssetId, volume: Decimal) -> Box<str> {
    if asset.is_whole() { volume.amount(0).to_string().into() } else { volume.to_string().into() }
}

#[cfg(test)]
mod tests;
