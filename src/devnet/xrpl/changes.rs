//! The exchange rates of a ledger's trades, as `book_changes` tells them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::amount::{Asset, Rate, text};
use super::metadata::Trade;
use super::world::{World, scale};

struct Change {
    assets: [Asset; 2],
    volumes: [i128; 2],
    open: Rate,
    close: Rate,
    high: Rate,
    low: Rate,
}

/// The changes of a ledger's trades, in the order of execution; sorted by the pair.
pub(super) fn book_changes(world: &World, trades: &[Trade]) -> Value {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    for trade in trades {
        let [(a, units_a), (b, units_b)] = trade.sides(world);
        let rate = Rate::of((units_a, scale(a)), (units_b, scale(b)));
        let key = format!("{}|{}", world.label(a), world.label(b));
        let change = changes.entry(key).or_insert(Change {
            assets: [a, b],
            volumes: [0, 0],
            open: rate,
            close: rate,
            high: rate,
            low: rate,
        });
        change.volumes[0] += units_a;
        change.volumes[1] += units_b;
        change.close = rate;
        change.high = change.high.max(rate);
        change.low = change.low.min(rate);
    }
    changes.values().map(|change| change.json(world)).collect()
}

impl Change {
    fn json(&self, world: &World) -> Value {
        let [a, b] = self.assets;
        let [volume_a, volume_b] = self.volumes;
        json!({
            "currency_a": world.label(a), "currency_b": world.label(b),
            "volume_a": text(volume_a, scale(a)), "volume_b": text(volume_b, scale(b)),
            "high": self.high.text(), "low": self.low.text(), "open": self.open.text(), "close": self.close.text(),
        })
    }
}
