//! What stands in files, good and bad. `tests/recording.rs` has real ledgers.

use super::line::time;
use super::*;
use crate::broker::testing::batch;
use crate::event::{Continuity, ContinuityKind, Family, Hash};
use crate::journal::Packer;
use crate::source::SourceStatus;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Ledger `index` of a chain, two seconds after the one before it, with as many events as its last digit.
fn ledger(index: u64) -> LedgerBatch {
    let mut batch = batch(0, index, (index % 10) as u32);
    batch.network = "xrpl-7".into();
    let hash = |index: u64| {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&index.to_be_bytes());
        Some(Hash(bytes))
    };
    (batch.ledger.hash, batch.ledger.parent) = (hash(index), hash(index - 1));
    batch.ledger.closed_at = 1_000_000 + 2 * index as i64;
    batch
}

/// A recording of these.
fn text(batches: &[LedgerBatch]) -> String {
    let header = Header {
        ledgercast_recording: VERSION,
        source: "main".to_owned(),
        family: Family::Xrpl,
        network: batches[0].network.to_string(),
        from: Edge::of(&batches[0]),
        to: Edge::of(batches.last().unwrap()),
        coins: Vec::new(),
        contracts: Vec::new(),
    };
    let mut writer = Writer::begin(Vec::new(), &header, true).unwrap();
    let mut packer = Packer::new().unwrap();
    for batch in batches {
        writer.ledger(batch, &packer.pack(batch).unwrap()).unwrap();
    }
    String::from_utf8(writer.end().unwrap().0).unwrap()
}

fn row(indexes: std::ops::RangeInclusive<u64>) -> Vec<LedgerBatch> {
    indexes.map(ledger).collect()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Ledgers as they are read: the number, and the gap before it.
type Row = Vec<(u64, Option<(u64, u64)>)>;

fn read(path: &Path) -> Result<Row, Fault> {
    rest(&mut Recording::open(path)?)
}

fn rest(recording: &mut Recording) -> Result<Row, Fault> {
    let mut read = Vec::new();
    while let Some(batch) = recording.next(3)? {
        assert_eq!(batch.source, 3);
        let gap = batch.continuity.map(|told| (told.from_ledger, told.to_ledger));
        read.push((batch.ledger.index, gap));
    }
    Ok(read)
}

fn whole(indexes: impl IntoIterator<Item = u64>) -> Row {
    indexes.into_iter().map(|index| (index, None)).collect()
}

#[test]
fn what_is_written_is_read() {
    let folder = TempDir::new().unwrap();
    let mut batches = row(5..=9);
    batches[3].continuity =
        Some(Continuity { kind: ContinuityKind::Reorg, from_ledger: 7, to_ledger: 7, reason: "forked".into() });
    let text = text(&batches);
    let mut recording = Recording::open(&write(folder.path(), "a", &text)).unwrap();
    let Summary { header, end, files } = recording.summary();
    assert_eq!((header.from.ledger, header.to.ledger, files), (5, 9, 1));
    assert_eq!(end, End { ledgers: 5, events: 5 + 6 + 7 + 8 + 9, missing: 0 });
    for batch in batches {
        assert_eq!(format!("{:?}", recording.next(0).unwrap().unwrap()), format!("{batch:?}"));
    }
    assert!(recording.next(0).unwrap().is_none());
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert_eq!((&line["ledger"], &line["break"]["kind"]), (&8.into(), &"reorg".into()));
    assert_eq!((&line["closed_at"], line["events"].as_array().unwrap().len()), (&time(1_000_016).into(), 8));
}

#[test]
fn a_bad_file_is_refused_with_the_line_and_the_remedy() {
    let folder = TempDir::new().unwrap();
    let good = text(&row(5..=7));
    let lines: Vec<&str> = good.lines().collect();
    let without = |left: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != left).map(|(_, line)| format!("{line}\n"));
        kept.collect::<String>()
    };
    let data = lines[2].find("\"data\":\"").unwrap() + 8 + 60;
    let flipped = {
        let mut bytes = lines[2].as_bytes().to_vec();
        bytes[data] = if bytes[data] == b'A' { b'B' } else { b'A' };
        good.replace(lines[2], std::str::from_utf8(&bytes).unwrap())
    };
    let newer = good.replacen("\"ledgercast_recording\":1", "\"ledgercast_recording\":2", 1);
    let renamed = good.replacen("\"ledger\":6", "\"ledger\":66", 1);
    let twice = format!("{}\n{}\n{}\n{}\n{}\n", lines[0], lines[1], lines[1], lines[3], lines[4]);
    for (bad, told) in [
        ("", "a:1: this is no recording; name a file that `ledgercast export` wrote"),
        ("{\"a\":1}\n", "a:1: this is no recording"),
        ("SQLite format 3\0", "a:1: this is no recording"),
        (&newer, "a:1: the recording has form 2, and this release reads form 1; use the release that wrote it"),
        (&good[..good.len() - 1], "a: it has no end mark, so it was cut, or is still being written; export it again"),
        (&good[..good.len() / 2], "a: it has no end mark"),
        (&without(4), "a: it has no end mark"),
        (&without(2), "a:4: 2 ledgers stand before this end mark of 3; it was changed since it was written"),
        (&flipped, "a:3: ledger 6: damaged: "),
        (&renamed, "a:3: `data` is of another ledger than the line says"),
        (&twice, "a:3: ledger 5 stands after ledger 5; export it again"),
        (&good.replacen("\"data\":", "\"dat\":", 1), "a:2: no ledger stands here"),
        (&good.replacen("\n{\"ledger\":7", "\n{\"ledger\":7}", 1), "a:4: trailing characters; it was changed"),
    ] {
        let error = read(&write(folder.path(), "a", bad)).unwrap_err().to_string();
        let told = format!("{}/{told}", folder.path().display());
        assert!(error.starts_with(&told), "{error}\nis not\n{told}");
    }
    let nothing = read(&folder.path().join("b")).unwrap_err().to_string();
    assert!(nothing.contains("b: cannot be read: No such file"), "{nothing}");
    fs::remove_file(folder.path().join("a")).unwrap();
    let empty = read(folder.path()).unwrap_err().to_string();
    assert!(
        empty.ends_with("no recording is in this folder; put files of `ledgercast export` there, *.jsonl"),
        "{empty}"
    );
}

/// No byte that is changed makes it panic, or is taken for a ledger of another number.
#[test]
fn no_byte_is_trusted() {
    let folder = TempDir::new().unwrap();
    let good = text(&row(5..=7));
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let path = folder.path().join("a");
        fs::write(&path, bytes).unwrap();
        if let Ok(read) = read(&path) {
            assert_eq!(read, whole(5..=7), "byte {at}");
        }
    }
}

#[test]
fn files_of_a_folder_are_one_row() {
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    // Their names say nothing.
    write(place, "z.jsonl", &text(&row(5..=7)));
    write(place, "a.jsonl", &text(&row(8..=9)));
    write(place, "notes.txt", "no recording");
    assert_eq!(read(place).unwrap(), whole(5..=9));
    // What both have comes once, and what none has is told.
    write(place, "b.jsonl", &text(&row(7..=10)));
    write(place, "c.jsonl", &text(&row(14..=15)));
    let mut told = whole(5..=10);
    told.extend([(14, Some((11, 13))), (15, None)]);
    assert_eq!(read(place).unwrap(), told);
    let summary = Recording::open(place).unwrap().summary();
    assert_eq!((summary.header.from.ledger, summary.header.to.ledger, summary.files), (5, 15, 4));

    let mut other = row(16..=17);
    other[0].ledger.parent = Some(Hash([9; 32]));
    let path = write(place, "d.jsonl", &text(&other));
    let error = read(place).unwrap_err().to_string();
    assert!(error.contains("d.jsonl:2: ledger 16 is of another chain than those in the file before it"), "{error}");
    other.iter_mut().for_each(|batch| batch.network = "xrpl".into());
    fs::write(&path, text(&other)).unwrap();
    let error = read(place).unwrap_err().to_string();
    assert!(error.contains("d.jsonl: it is of network xrpl, and "), "{error}");
}

#[test]
fn a_restart_goes_on_after_the_last_ledger() {
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    write(place, "a.jsonl", &text(&row(5..=9)));
    write(place, "b.jsonl", &text(&row(10..=12)));
    let after = |batch: &LedgerBatch| {
        let mut recording = Recording::open(place).unwrap();
        let checkpoint = Checkpoint {
            network: batch.network.clone(),
            epoch: 0,
            ledger: batch.ledger.index,
            hash: batch.ledger.hash,
            counters: Default::default(),
        };
        recording.go_on_after(&checkpoint, 3).unwrap();
        rest(&mut recording).unwrap()
    };
    assert_eq!(after(&ledger(5)), whole(6..=12));
    assert_eq!(after(&ledger(7)), whole(8..=12));
    assert_eq!(after(&ledger(9)), whole(10..=12));
    assert_eq!(after(&ledger(12)), []);
    assert_eq!(after(&ledger(40)), []);
    // Where it was is not in the recording.
    let mut told = whole(5..=12);
    told[0].1 = Some((3, 4));
    assert_eq!(after(&ledger(2)), told);
}

#[test]
fn the_end_is_told_once_and_the_source_stays() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), "a", &text(&row(5..=7)));
    let config = Config { path: path.as_path().into(), speed: crate::event::Speed::Max };
    let status = SourceStatus::new(0, "main");
    let mut source = Recorded::new(config, Context { source: 0, status: status.clone() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(&*source.identify().await.unwrap(), "xrpl-7");
        source.open(None).await.unwrap();
        for index in 5..=7 {
            assert_eq!(source.due(), Some(index));
            assert_eq!(source.poll_interval(), Duration::ZERO);
            let Next::Batch(batch) = source.next().await.unwrap() else { panic!("ledger {index}") };
            assert_eq!(batch.ledger.index, index);
        }
        for _ in 0..3 {
            assert!(matches!(source.next().await, Ok(Next::NotYet)));
            assert_eq!(source.poll_interval(), AFTER_THE_END);
        }
    });
    let ended = status.snapshot().ended.unwrap();
    assert_eq!(ended, format!("the recording {} ended with ledger 7", path.display()));
}

#[test]
fn settings_name_a_recording() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), "a", &text(&row(5..=7)));
    let told = |value: serde_json::Value| {
        let config: Config = serde_json::from_value(value).unwrap();
        config.problems().into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(told(serde_json::json!({ "path": path, "speed": "10x" })), "");
    assert!(told(serde_json::json!({})).contains("is missing; name a file"));
    assert!(told(serde_json::json!({ "path": folder.path().join("b") })).contains("is of no use: "));
    let error = serde_json::from_value::<Config>(serde_json::json!({ "speed": "10" })).unwrap_err().to_string();
    assert!(error.starts_with("`10` is not max and no number from 0.1x to 1000x"), "{error}");
}
