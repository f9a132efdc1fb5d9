//! What calldata would become when decoded, and how much. Offsets may point anywhere, so that a thousand elements can name one
//! long text a thousand times: a message of a megabyte would become gigabytes.

use alloy_dyn_abi::DynSolType;

const WORD: usize = 32;
/// What a decoded value weighs at least, whatever is in it.
const LEAST: usize = 64;
/// What every message may become, and how many times its own size besides. Honest data shares nothing: its words
/// weigh twice their size.
const FREE: usize = 64 << 10;
const TIMES: usize = 8;

/// Whether what these types make of the data is of sane size, and each word a value of its type. Data that ends early
/// fits not.
pub fn fits(types: &[DynSolType], data: &[u8]) -> bool {
    let left = data.len().saturating_mul(TIMES).saturating_add(FREE);
    Walk { data, left }.sequence(types.iter(), 0).is_some()
}

/// Words that a type takes at its place, with all that is written there; no overflow, unlike alloy's own count.
pub fn words(kind: &DynSolType) -> usize {
    match kind {
        DynSolType::FixedArray(inner, count) => words(inner).saturating_mul(*count),
        DynSolType::Tuple(parts) => parts.iter().fold(0, |sum: usize, part| sum.saturating_add(words(part))),
        // What a dynamic type holds is written elsewhere, and looked at there.
        DynSolType::Array(inner) => words(inner).max(1),
        _ => 1,
    }
}

/// Whether a word is a value of its type; the decoder takes what it needs and ignores the rest. Every word is one of a
/// type that does not fit into it: it is an offset then, or a hash.
pub fn is_value(kind: &DynSolType, word: &[u8; WORD]) -> bool {
    let all = |part: &[u8], byte: u8| part.iter().all(|other| *other == byte);
    let bytes = |bits: usize| (bits / 8).min(WORD);
    match kind {
        DynSolType::Bool => all(&word[..WORD - 1], 0) && word[WORD - 1] <= 1,
        DynSolType::Address => all(&word[..12], 0),
        DynSolType::Uint(bits) => all(&word[..WORD - bytes(*bits)], 0),
        DynSolType::Int(bits) => {
            let (sign, value) = word.split_at(WORD - bytes(*bits));
            all(sign, if value.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 })
        }
        DynSolType::FixedBytes(size) => all(&word[(*size).min(WORD)..], 0),
        DynSolType::Function => all(&word[24..], 0),
        _ => true,
    }
}

struct Walk<'a> {
    data: &'a [u8],
    left: usize,
}

impl Walk<'_> {
    fn spend(&mut self, weight: usize) -> Option<()> {
        self.left = self.left.checked_sub(weight)?;
        Some(())
    }

    fn word(&self, at: usize) -> Option<usize> {
        let word = self.data.get(at..at.checked_add(WORD)?)?;
        let (high, low) = word.split_last_chunk::<8>()?;
        if high.iter().any(|byte| *byte != 0) {
            return None;
        }
        usize::try_from(u64::from_be_bytes(*low)).ok()
    }

    /// Values one after the other from `base`, from where their offsets count.
    fn sequence<'t>(&mut self, types: impl Iterator<Item = &'t DynSolType>, base: usize) -> Option<usize> {
        let mut at = base;
        for kind in types {
            at = self.value(kind, at, base)?;
        }
        Some(at)
    }

    /// The value at `at`; gives where the next one stands.
    fn value(&mut self, kind: &DynSolType, at: usize, base: usize) -> Option<usize> {
        self.spend(LEAST)?;
        let next = at.checked_add(WORD)?;
        let target = |walk: &Self| base.checked_add(walk.word(at)?);
        match kind {
            DynSolType::Bytes | DynSolType::String => {
                let length = self.word(target(self)?)?;
                self.spend(length)?;
                Some(next)
            }
            DynSolType::Array(inner) => {
                let target = target(self)?;
                let count = self.word(target)?;
                let elements = target.checked_add(WORD)?;
                // Elements of no size are left out when decoding.
                if words(inner) > 0 {
                    self.sequence(std::iter::repeat_n(&**inner, count), elements)?;
                }
                Some(next)
            }
            DynSolType::FixedArray(inner, count) => {
                let parts = std::iter::repeat_n(&**inner, *count);
                self.composite(kind, parts, at, base)
            }
            DynSolType::Tuple(parts) => self.composite(kind, parts.iter(), at, base),
            _ => is_value(kind, self.data.get(at..next)?.first_chunk()?).then_some(next),
        }
    }

    /// Parts that stand here, or elsewhere if one of them does.
    fn composite<'t>(
        &mut self,
        kind: &DynSolType,
        parts: impl Iterator<Item = &'t DynSolType>,
        at: usize,
        base: usize,
    ) -> Option<usize> {
        if kind.is_dynamic() {
            let target = base.checked_add(self.word(at)?)?;
            self.sequence(parts, target)?;
            at.checked_add(WORD)
        } else {
            self.sequence(parts, at)
        }
    }
}
