//! Where a ledger belongs among the rows that are there: pure decisions, no database.

use crate::event::{Continuity, ContinuityKind};

/// A ledger as the database names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Resets of the network before it, as the database counts.
    pub epoch: i32,
    /// Its index.
    pub ledger: u64,
    /// Its hash, where it is known.
    pub hash: Option<String>,
}

/// A ledger that comes next in the stream.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// What it is.
    pub tip: Tip,
    /// The hash of the one before it.
    pub parent: Option<String>,
    /// The break before it.
    pub continuity: Option<&'a Continuity>,
    /// Whether it stands for ledgers that could not be kept, itself one of them.
    pub is_hole: bool,
}

/// What the database has where a ledger belongs.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The hash of the row of the same index.
    pub same: Option<Option<String>>,
    /// That of the row before it.
    pub before: Option<Option<String>>,
    /// How many events that row counts.
    pub events: u64,
    /// The newest epoch of the network.
    pub newest_epoch: i32,
    /// For a ledger before the tip that is not there: whether none of those that come with it is there either.
    pub is_foreign: bool,
}

/// A break, as it becomes a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// `gap`, `reset` or `reorg` as the source told it, or `missed`: the stream had the ledgers, we did not get them.
    pub kind: &'static str,
    /// First ledger that is missing or void.
    pub from: Option<u64>,
    /// Last one; `None`: up to the end of that epoch.
    pub to: Option<u64>,
    /// One line for people.
    pub reason: String,
}

/// The kind of a break that is our own.
pub const MISSED: &str = "missed";

/// What to do with a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It is there.
    Skip,
    /// Note the breaks; there is no ledger.
    Note(Vec<Break>),
    /// Write it.
    Write {
        /// Rows from this ledger on, of the same epoch, are void: they go in the same transaction.
        replace_from: Option<u64>,
        /// The database's count of epochs goes up by so many, from this ledger on.
        epochs: i32,
        /// The breaks before it.
        breaks: Vec<Break>,
    },
}

/// Whether both are known and not the same.
fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// Whether a ledger is simply the next, so that nothing needs to be looked up.
pub fn follows(tip: Option<&Tip>, next: &Incoming<'_>) -> bool {
    let plain = next.continuity.is_none() && !next.is_hole;
    plain
        && tip.is_none_or(|tip| {
            next.tip.epoch == tip.epoch
                && Some(next.tip.ledger) == tip.ledger.checked_add(1)
                && !differ(tip.hash.as_deref(), next.parent.as_deref())
        })
}

/// Whether a ledger comes before the tip without a word, and is not there: it may fill a hole, or be of another chain.
pub fn goes_back(tip: Option<&Tip>, next: &Incoming<'_>, known: &Known) -> bool {
    let before = tip.is_some_and(|tip| tip.epoch == next.tip.epoch && next.tip.ledger <= tip.ledger);
    before && known.same.is_none() && next.continuity.is_none()
}

/// What to do with a ledger that is not simply the next. `tip` is the last that passed.
pub fn plan(tip: Option<&Tip>, next: &Incoming<'_>, known: &Known) -> Plan {
    let ledger = next.tip.ledger;
    if let Some(hash) = &known.same
        && !next.is_hole
        && !differ(hash.as_deref(), next.tip.hash.as_deref())
    {
        return Plan::Skip;
    }
    let mut breaks: Vec<Break> = missed(tip, next, known).into_iter().collect();
    if next.is_hole {
        breaks.extend(next.continuity.map(|told| Break { to: Some(told.to_ledger.max(ledger)), ..told_break(told) }));
        return Plan::Note(breaks);
    }
    let (mut replace_from, mut epochs) = (None, 0);
    breaks.extend(next.continuity.map(told_break));
    match next.continuity.map(|told| (told.kind, told)) {
        Some((ContinuityKind::Reorg, told)) => replace_from = Some(told.from_ledger.min(ledger)),
        _ if known.same.is_some() => {
            // Another ledger has its place, and nobody said so.
            let continues = matches!((&known.before, &next.parent), (Some(Some(row)), Some(parent)) if row == parent);
            if continues {
                replace_from = Some(ledger);
                breaks.push(Break {
                    kind: ContinuityKind::Reorg.name(),
                    from: Some(ledger),
                    to: None,
                    reason: "the network replaced these ledgers while nobody read it".to_owned(),
                });
            } else {
                epochs = known.newest_epoch + 1 - next.tip.epoch;
            }
        }
        None if tip.is_some_and(|tip| {
            tip.epoch == next.tip.epoch
                && tip.ledger.checked_add(1) == Some(ledger)
                && differ(tip.hash.as_deref(), next.parent.as_deref())
        }) =>
        {
            epochs = known.newest_epoch + 1 - next.tip.epoch;
        }
        None if known.is_foreign => epochs = known.newest_epoch + 1 - next.tip.epoch,
        _ => {}
    }
    if epochs > 0 {
        breaks.push(Break {
            kind: ContinuityKind::Reset.name(),
            from: Some(ledger),
            to: None,
            reason: "what is read now is another chain than the rows before; they stay, under their own epoch"
                .to_owned(),
        });
    }
    Plan::Write { replace_from, epochs, breaks }
}

fn told_break(told: &Continuity) -> Break {
    Break {
        kind: told.kind.name(),
        from: Some(told.from_ledger),
        to: Some(told.to_ledger),
        reason: told.reason.clone(),
    }
}

/// Ledgers after the tip that neither came nor were told to be missing.
fn missed(tip: Option<&Tip>, next: &Incoming<'_>, known: &Known) -> Option<Break> {
    let tip = tip?;
    let from = tip.ledger.checked_add(1)?;
    let reason = "they were given up before they were written; a longer history or journal reaches further back";
    let missed = |to| Some(Break { kind: MISSED, from: Some(from), to, reason: reason.to_owned() });
    let told = next.continuity.map(|told| (told.kind, told.from_ledger));
    if next.tip.epoch > tip.epoch {
        // A reset that was told ends an epoch where it ended.
        return if told.is_some_and(|(kind, _)| kind == ContinuityKind::Reset) { None } else { missed(None) };
    }
    let end = match told {
        // Back to where both chains part.
        Some((ContinuityKind::Reorg | ContinuityKind::Reset, _)) => return None,
        Some((ContinuityKind::Gap, gap)) => gap.min(next.tip.ledger),
        None => next.tip.ledger,
    };
    if next.tip.epoch == tip.epoch && end > from && known.same.is_none() { missed(Some(end - 1)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(epoch: i32, ledger: u64, hash: &str) -> Tip {
        Tip { epoch, ledger, hash: Some(hash.to_owned()) }
    }

    fn next<'a>(tip: Tip, parent: &str, continuity: Option<&'a Continuity>) -> Incoming<'a> {
        Incoming { tip, parent: Some(parent.to_owned()), continuity, is_hole: false }
    }

    fn told(kind: ContinuityKind, from_ledger: u64, to_ledger: u64) -> Continuity {
        Continuity { kind, from_ledger, to_ledger, reason: "so it was".to_owned() }
    }

    type Span = (&'static str, Option<u64>, Option<u64>);

    /// Kinds and spans of the breaks of a plan, with what it replaces and by how many epochs it goes up.
    fn short(plan: Plan) -> (Vec<Span>, Option<u64>, i32) {
        let spans = |breaks: Vec<Break>| breaks.iter().map(|it| (it.kind, it.from, it.to)).collect();
        match plan {
            Plan::Write { replace_from, epochs, breaks } => (spans(breaks), replace_from, epochs),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_next_is_the_next() {
        let last = tip(0, 5, "e");
        assert!(follows(Some(&last), &next(tip(0, 6, "f"), "e", None)));
        assert!(follows(None, &next(tip(3, 6, "f"), "e", None)));
        assert!(follows(Some(&Tip { hash: None, ..last.clone() }), &next(tip(0, 6, "f"), "x", None)));
        let gap = told(ContinuityKind::Gap, 6, 7);
        for other in [
            next(tip(0, 7, "g"), "f", None),
            next(tip(0, 5, "e"), "d", None),
            next(tip(1, 6, "f"), "e", None),
            next(tip(0, 6, "f"), "x", None),
            next(tip(0, 6, "f"), "e", Some(&gap)),
        ] {
            assert!(!follows(Some(&last), &other), "{other:?}");
        }
    }

    #[test]
    fn what_is_there_is_skipped_and_holes_are_noted() {
        let last = tip(0, 9, "i");
        let known = Known { same: Some(Some("e".to_owned())), ..Known::default() };
        assert_eq!(plan(Some(&last), &next(tip(0, 5, "e"), "d", None), &known), Plan::Skip);
        // Whatever break was told before it: it was noted with the row.
        let reorg = told(ContinuityKind::Reorg, 5, 9);
        assert_eq!(plan(Some(&last), &next(tip(0, 5, "e"), "d", Some(&reorg)), &known), Plan::Skip);
        let gap = told(ContinuityKind::Gap, 10, 12);
        let hole = Incoming { is_hole: true, ..next(tip(0, 12, "x"), "y", Some(&gap)) };
        let Plan::Note(breaks) = plan(Some(&last), &hole, &Known::default()) else { panic!() };
        assert_eq!((breaks.len(), breaks[0].from, breaks[0].to), (1, Some(10), Some(12)));
        // A gap that the source had told, and its own ledger was not kept either.
        let hole = Incoming { is_hole: true, ..next(tip(0, 14, "x"), "y", Some(&gap)) };
        let Plan::Note(breaks) = plan(Some(&last), &hole, &Known::default()) else { panic!() };
        assert_eq!((breaks[0].from, breaks[0].to), (Some(10), Some(14)));
    }

    #[test]
    fn nothing_is_missing_in_silence() {
        let last = tip(0, 5, "e");
        let none = Known::default();
        assert_eq!(short(plan(Some(&last), &next(tip(0, 9, "i"), "h", None), &none)).0, [("missed", Some(6), Some(8))]);
        let gap = told(ContinuityKind::Gap, 8, 8);
        let both = short(plan(Some(&last), &next(tip(0, 9, "i"), "h", Some(&gap)), &none)).0;
        assert_eq!(both, [("missed", Some(6), Some(7)), ("gap", Some(8), Some(8))]);
        assert_eq!(short(plan(Some(&last), &next(tip(1, 3, "c"), "b", None), &none)).0, [("missed", Some(6), None)]);
        let reset = told(ContinuityKind::Reset, 1, 5);
        assert_eq!(
            short(plan(Some(&last), &next(tip(1, 3, "c"), "b", Some(&reset)), &none)).0,
            [("reset", Some(1), Some(5))]
        );
        // A fresh database begins where it begins; a row that was missing is filled.
        assert_eq!(short(plan(None, &next(tip(0, 9, "i"), "h", None), &none)), (vec![], None, 0));
        assert_eq!(short(plan(Some(&last), &next(tip(0, 4, "d"), "c", None), &none)), (vec![], None, 0));
    }

    #[test]
    fn reorganisations_replace_and_other_chains_get_an_epoch() {
        let last = tip(0, 9, "i");
        let reorg = told(ContinuityKind::Reorg, 8, 9);
        let known = Known { same: Some(Some("h".to_owned())), newest_epoch: 2, ..Known::default() };
        let plain = short(plan(Some(&last), &next(tip(0, 8, "H"), "g", Some(&reorg)), &known));
        assert_eq!(plain, (vec![("reorg", Some(8), Some(9))], Some(8), 0));
        // Not told: by the parent's hash it is known to be the same chain up to there.
        let with_parent = Known { before: Some(Some("g".to_owned())), ..known.clone() };
        let found = short(plan(Some(&last), &next(tip(0, 8, "H"), "g", None), &with_parent));
        assert_eq!(found, (vec![("reorg", Some(8), None)], Some(8), 0));
        // It is not.
        let other = short(plan(Some(&last), &next(tip(0, 8, "H"), "G", None), &with_parent));
        assert_eq!(other, (vec![("reset", Some(8), None)], None, 3));
        let after = short(plan(Some(&last), &next(tip(0, 10, "J"), "I", None), &Known::default()));
        assert_eq!(after, (vec![("reset", Some(10), None)], None, 1));
        let back = next(tip(0, 4, "D"), "C", None);
        assert!(goes_back(Some(&last), &back, &Known::default()) && !goes_back(None, &back, &Known::default()));
        let foreign = short(plan(Some(&last), &back, &Known { is_foreign: true, ..Known::default() }));
        assert_eq!(foreign, (vec![("reset", Some(4), None)], None, 1));
    }
}
