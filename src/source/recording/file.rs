//! One file of a recording, read line by line.

use super::line::{End, Header, LONGEST_END, LONGEST_HEADER, LONGEST_LINE, Line, VERSION};
use crate::event::{LedgerBatch, SourceNumber};
use crate::journal::Unpacker;
use crate::source::SourceError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Why a recording cannot be read: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Fault {
    place: String,
    reason: String,
}

impl Fault {
    /// Of a whole file or folder.
    pub fn of(path: &Path, reason: impl Into<String>) -> Fault {
        Fault { place: path.display().to_string(), reason: reason.into() }
    }

    fn at(path: &Path, line: u64, reason: impl Into<String>) -> Fault {
        Fault { place: format!("{}:{line}", path.display()), reason: reason.into() }
    }
}

impl From<Fault> for SourceError {
    fn from(fault: Fault) -> SourceError {
        SourceError::Recording { reason: fault.to_string() }
    }
}

const CUT: &str = "it has no end mark, so it was cut, or is still being written; export it again";
const DAMAGED: &str = "it was changed since it was written; export it again";
const FOREIGN: &str = "this is no recording; name a file that `ledgercast export` wrote";

/// The number of the form alone: what else stands there is known only by that.
#[derive(Deserialize)]
struct Mark {
    ledgercast_recording: u32,
}

#[derive(Deserialize)]
struct LastLine {
    end: End,
}

/// A ledger in its line, not unpacked yet.
pub struct Packed<'a> {
    /// Its number, as the line says.
    pub ledger: u64,
    /// Resets before it, as the line says.
    pub epoch: u32,
    data: &'a str,
}

/// An open file.
pub struct File {
    path: PathBuf,
    reader: BufReader<fs::File>,
    /// What it says of itself.
    pub header: Header,
    /// What it counted when it was written.
    pub end: End,
    /// The line that was read last, from 1.
    line: u64,
    buffer: Vec<u8>,
    bytes: Vec<u8>,
    unpacker: Unpacker,
    /// Lines of ledgers read so far.
    ledgers: u64,
    is_over: bool,
}

impl File {
    /// Opens a file, if it is a whole recording as far as its first and last line tell.
    pub fn open(path: &Path) -> Result<File, Fault> {
        let cannot = |error: std::io::Error| Fault::of(path, format!("cannot be read: {error}"));
        let mut file = fs::File::open(path).map_err(cannot)?;
        let about = file.metadata().map_err(cannot)?;
        if !about.is_file() {
            return Err(Fault::of(path, "is no plain file; write the recording to one"));
        }
        let end = end_of(path, &mut file, about.len()).map_err(cannot)?;
        file.seek(SeekFrom::Start(0)).map_err(cannot)?;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let mut buffer = Vec::new();
        (&mut reader).take(LONGEST_HEADER as u64).read_until(b'\n', &mut buffer).map_err(cannot)?;
        let header = header(path, &buffer)?;
        let end = end.ok_or_else(|| Fault::of(path, CUT))?;
        let unpacker = Unpacker::new().map_err(|error| Fault::of(path, error.to_string()))?;
        let (path, bytes) = (path.to_owned(), Vec::new());
        Ok(File { path, reader, header, end, line: 1, buffer, bytes, unpacker, ledgers: 0, is_over: false })
    }

    /// Something is wrong with the line that was read last.
    pub fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::at(&self.path, self.line, reason)
    }

    /// The next ledger in which `wanted` sees one that matters; `None`: there is none left.
    pub fn next(
        &mut self,
        source: SourceNumber,
        wanted: impl Fn(&Packed<'_>) -> bool,
    ) -> Result<Option<LedgerBatch>, Fault> {
        while !self.is_over {
            self.read_line()?;
            let fault = |reason: &str| Fault::at(&self.path, self.line, reason);
            let text = std::str::from_utf8(&self.buffer).map_err(|_| fault(DAMAGED))?;
            let line: Line<'_> =
                serde_json::from_str(text).map_err(|error| fault(&format!("{}; {DAMAGED}", in_line(&error))))?;
            match line {
                Line { end: Some(end), .. } => {
                    if (end.ledgers, end) != (self.ledgers, self.end) {
                        let (told, found) = (end.ledgers, self.ledgers);
                        return Err(fault(&format!("{found} ledgers stand before this end mark of {told}; {DAMAGED}")));
                    }
                    self.is_over = true;
                }
                Line { ledger: Some(ledger), epoch, data: Some(data), .. } => {
                    self.ledgers += 1;
                    let packed = Packed { ledger, epoch, data: &data };
                    if !wanted(&packed) {
                        continue;
                    }
                    let batch = unpack(&packed, source, &mut self.unpacker, &mut self.bytes)
                        .map_err(|reason| fault(&format!("ledger {ledger}: {reason}; export it again")))?;
                    if batch.ledger.index != ledger || *batch.network != *self.header.network {
                        return Err(fault(&format!("`data` is of another ledger than the line says; {DAMAGED}")));
                    }
                    return Ok(Some(batch));
                }
                Line { missing: Some(_), .. } => {}
                _ => return Err(fault(&format!("no ledger stands here; {DAMAGED}"))),
            }
        }
        Ok(None)
    }

    fn read_line(&mut self) -> Result<(), Fault> {
        self.buffer.clear();
        self.line += 1;
        let read = (&mut self.reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut self.buffer);
        let length = read.map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        match self.buffer.last() {
            Some(b'\n') => Ok(()),
            _ if length == LONGEST_LINE => {
                Err(self.fault(format!("the line is longer than {LONGEST_LINE} bytes, so that no ledger can be meant")))
            }
            _ => Err(self.fault(CUT)),
        }
    }
}

/// What JSON is wrong, without the line number, which is ours to say.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn header(path: &Path, line: &[u8]) -> Result<Header, Fault> {
    let fault = |reason: &str| Fault::at(path, 1, reason);
    if line.len() == LONGEST_HEADER {
        return Err(fault(FOREIGN));
    }
    let Mark { ledgercast_recording: version } = serde_json::from_slice(line).map_err(|_| fault(FOREIGN))?;
    if version != VERSION {
        return Err(fault(&format!(
            "the recording has form {version}, and this release reads form {VERSION}; use the release that wrote it"
        )));
    }
    serde_json::from_slice(line).map_err(|error| fault(&format!("{}; {DAMAGED}", in_line(&error))))
}

/// The end mark, from the end of the file; `None`: none stands there.
fn end_of(path: &Path, file: &mut fs::File, length: u64) -> std::io::Result<Option<End>> {
    let from = length.saturating_sub(LONGEST_END as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::with_capacity(LONGEST_END);
    file.take(LONGEST_END as u64).read_to_end(&mut tail)?;
    let Some(tail) = tail.strip_suffix(b"\n") else { return Ok(None) };
    let begin = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let last = serde_json::from_slice::<LastLine>(&tail[begin..]);
    if let Err(error) = &last {
        log::debug!(file:% = path.display(); "its last line is no end mark: {error}");
    }
    Ok(last.ok().map(|last| last.end))
}

fn unpack(
    packed: &Packed<'_>,
    source: SourceNumber,
    unpacker: &mut Unpacker,
    bytes: &mut Vec<u8>,
) -> Result<LedgerBatch, String> {
    bytes.clear();
    STANDARD.decode_vec(packed.data, bytes).map_err(|error| format!("damaged: {error}"))?;
    unpacker.unpack(bytes, source).map_err(|error| error.to_string())
}
