//! Passwords as argon2id keeps them: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<output>`.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::RangeInclusive;
use subtle::ConstantTimeEq;

/// No password is longer, bytes: hashing reads all of it.
pub const LONGEST_PASSWORD: usize = 1024;

/// Each verification that runs takes so much.
const MOST_MEMORY_KIB: u32 = 256 << 10;
/// Memory times passes decide over the time: about a second.
const MOST_WORK_KIB: u64 = 1 << 20;
const MOST_LANES: u32 = 16;
/// A hash that is written down is about 100 characters.
const LONGEST_HASH: usize = 512;
const SALT_BYTES: RangeInclusive<usize> = 8..=64;
const OUTPUT_BYTES: RangeInclusive<usize> = 16..=64;

/// What one verification costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Memory, KiB.
    pub memory: u32,
    /// How often it is gone through.
    pub passes: u32,
    /// How many threads could share the work; it is done by one.
    pub lanes: u32,
}

impl Cost {
    /// What OWASP recommends: 19 MiB and two passes, some 40 ms.
    pub const RECOMMENDED: Cost = Cost { memory: 19_456, passes: 2, lanes: 1 };
}

/// Why a hash is of no use, without the hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// No hash at all, or one of another kind.
    #[error("is no argon2id hash; write what `ledgercast hash-password` prints")]
    Form,
    /// Verifying it would cost too much.
    #[error("asks for more than {0}; write what `ledgercast hash-password` prints")]
    Cost(&'static str),
}

/// What a password is known by. Says nothing of it when printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Credential(pub [u8; 32]);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A password's hash.
pub(super) struct Hash {
    cost: Cost,
    salt: Box<[u8]>,
    output: Box<[u8]>,
    /// Of the text: another salt, cost or password gives another.
    pub credential: Credential,
}

impl Hash {
    /// Reads it, if verifying it is within bounds.
    pub(super) fn parse(text: &str) -> Result<Hash, HashFault> {
        let parts = || {
            let rest = text.strip_prefix("$argon2id$v=19$").filter(|_| text.len() <= LONGEST_HASH)?;
            let (cost, rest) = rest.split_once('$')?;
            let (salt, output) = rest.split_once('$')?;
            let number = |text: &str, name: &str| {
                let digits = text.strip_prefix(name)?;
                let plain = digits.len() <= 10 && digits.bytes().all(|digit| digit.is_ascii_digit());
                digits.parse::<u64>().ok().filter(|_| plain)
            };
            let mut costs = cost.split(',');
            let numbers = [number(costs.next()?, "m=")?, number(costs.next()?, "t=")?, number(costs.next()?, "p=")?];
            let bytes = |text: &str| STANDARD_NO_PAD.decode(text).ok();
            let (salt, output) = (bytes(salt)?, bytes(output)?);
            let fits = SALT_BYTES.contains(&salt.len()) && OUTPUT_BYTES.contains(&output.len());
            (fits && costs.next().is_none()).then_some((numbers, salt, output))
        };
        let ([memory, passes, lanes], salt, output) = parts().ok_or(HashFault::Form)?;
        if memory > u64::from(MOST_MEMORY_KIB) {
            return Err(HashFault::Cost("256 MiB of memory"));
        }
        if memory.saturating_mul(passes) > MOST_WORK_KIB {
            return Err(HashFault::Cost("1 GiB of memory and passes multiplied"));
        }
        if lanes > u64::from(MOST_LANES) {
            return Err(HashFault::Cost("16 lanes"));
        }
        let cost = Cost { memory: memory as u32, passes: passes as u32, lanes: lanes as u32 };
        argon2(cost, output.len()).ok_or(HashFault::Form)?;
        let credential = Credential(Sha256::digest(text).into());
        Ok(Hash { cost, salt: salt.into(), output: output.into(), credential })
    }

    /// One that no password fits, which costs as much as one that some does.
    pub(super) fn dummy(cost: Cost) -> Hash {
        let (salt, output) = (rand::random::<[u8; 16]>(), rand::random::<[u8; 32]>());
        Hash { cost, salt: salt.into(), output: output.into(), credential: Credential(rand::random()) }
    }

    /// What verifying costs.
    pub(super) const fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether the password fits. Takes long.
    pub(super) fn verify(&self, password: &str) -> bool {
        let output = derive(password, self.cost, &self.salt, self.output.len());
        output.is_some_and(|output| output.ct_eq(&self.output).into())
    }
}

/// The hash of a password with a new salt, as it is written down; `None`: a password that nobody could use, or a cost
/// that argon2 does not know.
pub fn hash_password(password: &str, cost: Cost) -> Option<String> {
    if !is_usable(password) {
        return None;
    }
    let salt = rand::random::<[u8; 16]>();
    let output = derive(password, cost, &salt, 32)?;
    let Cost { memory, passes, lanes } = cost;
    let [salt, output] = [&salt[..], &output].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    Some(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}"))
}

/// Whether anybody could log in with it.
pub(super) fn is_usable(password: &str) -> bool {
    (1..=LONGEST_PASSWORD).contains(&password.len())
}

fn argon2(cost: Cost, output: usize) -> Option<Argon2<'static>> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(output)).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn derive(password: &str, cost: Cost, salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; length];
    argon2(cost, length)?.hash_password_into(password.as_bytes(), salt, &mut output).ok()?;
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::super::tests::quick;
    use super::*;

    #[test]
    fn a_password_fits_its_hash_alone() {
        for password in ["pass", "ünï:cödé\u{1F511}", &"x".repeat(LONGEST_PASSWORD), "a\0b"] {
            let hash = Hash::parse(&quick(password)).unwrap();
            assert!(hash.verify(password));
            assert!(!hash.verify("") && !hash.verify(&format!("{password} ")) && !hash.verify("Pass"));
        }
        assert_ne!(quick("pass"), quick("pass"), "another salt");
        assert!(hash_password("", Cost::RECOMMENDED).is_none());
        assert!(hash_password(&"x".repeat(LONGEST_PASSWORD + 1), Cost::RECOMMENDED).is_none());
        assert!(!Hash::dummy(Cost { memory: 8, passes: 1, lanes: 1 }).verify("pass"));
    }

    /// Made by the `argon2` program of the reference implementation.
    #[test]
    fn hashes_of_other_programs_are_read() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = Hash::parse(text).unwrap();
        assert_eq!(hash.cost(), Cost { memory: 65_536, passes: 2, lanes: 1 });
        assert!(hash.verify("password"));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        let good = quick("pass");
        let with = |from: &str, to: &str| Hash::parse(&good.replace(from, to)).err();
        assert_eq!(with("x", "x"), None);
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("argon2id", "argon2d"),
            ("v=19", "v=16"),
            ("m=8,", "m=7,"),
            ("m=8,", "m=-8,"),
            ("m=8,", "m=+8,"),
            ("m=8,", "m=99999999999999999999,"),
            ("t=1", "t=0"),
            ("p=1", "p=0"),
            ("p=1", "p=2"),
            ("p=1", "p=1,data=AAAA"),
            ("t=1,", ""),
            ("$v=19", ""),
        ] {
            assert_eq!(with(from, to), Some(HashFault::Form), "{to}");
        }
        for bad in
            ["", "SECRET", &good[..good.len() - 30], &format!("{good}="), &format!("{good}$"), &format!(" {good}")]
        {
            assert_eq!(Hash::parse(bad).err(), Some(HashFault::Form), "{bad}");
        }
        for (from, to, told) in [
            ("m=8,", "m=4194304,", "256 MiB"),
            ("m=8,", "m=262145,", "256 MiB"),
            ("m=8,t=1", "m=8,t=4294967295", "1 GiB"),
            ("m=8,t=1", "m=262144,t=5", "1 GiB"),
            ("p=1", "p=17", "16 lanes"),
        ] {
            let error = with(from, to).unwrap().to_string();
            assert!(error.contains(told), "{to}: {error}");
        }
        assert_eq!(with("m=8,t=1", "m=262144,t=4"), None);
    }
}
