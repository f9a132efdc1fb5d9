//! One ledger of a mount: one asset of one source, with the names of its accounts.

use super::config::LedgerSettings;
use crate::dialect::MountedSource;
use crate::event::{Family, Key, SourceNumber};
use crate::source::xrpl::currency;
use sha1::{Digest, Sha1};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Who pays what comes into being, and who gets what ceases to be.
pub(super) const ISSUANCE: &str = "issuance";
pub(super) const BURN: &str = "burn";
/// What stands for every asset of a source.
const ANY: &str = "any";
/// What stands for the network's own coin.
const NATIVE: &str = "native";
/// Longest name of an account.
const LONGEST_NAME: usize = 86;
/// Nobody, on an EVM chain.
const ZERO_ADDRESS: &str = "0x0000000000000000000000000000000000000000";
/// Digits of amounts of an XRP Ledger's token; they have their own power of ten.
const TOKEN_SCALE: u32 = 15;
const STELLAR_SCALE: u32 = 7;
/// Clients give up at 0.
const LEAST_SCALE: u32 = 1;

/// A ledger as it serves. What is printed of it decides what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Its key in the settings.
    key: String,
    /// Its main URI.
    base: String,
    source: SourceNumber,
    family: Family,
    /// The id of its asset; `None`: any of its source.
    asset: Option<String>,
    /// Addresses by the names of the settings.
    addresses: BTreeMap<String, String>,
    /// And names by addresses.
    names: BTreeMap<String, String>,
}

/// A text that is no account of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAnAccount {
    /// Not below its accounts.
    Uri,
    /// No name that an account can have.
    Name,
}

impl Ledger {
    /// A ledger at `base`, an address without a slash at its end. `None`: settings that were not checked.
    pub(super) fn new(key: &str, base: String, settings: &LedgerSettings, sources: &[MountedSource]) -> Option<Ledger> {
        let source = sources.iter().find(|source| source.name == settings.source)?;
        let asset = asset_id(&settings.asset, source).ok()?;
        let named =
            || settings.accounts.iter().map(|(name, address)| (name.to_owned(), canonical(address).into_owned()));
        Some(Ledger {
            key: key.to_owned(),
            base,
            source: source.number,
            family: source.family,
            asset,
            addresses: named().collect(),
            names: named().map(|(name, address)| (address, name)).collect(),
        })
    }

    /// Its key in the settings.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Its main URI, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Where its payments come from.
    pub(super) fn source(&self) -> SourceNumber {
        self.source
    }

    /// The key under which its payments are found, among others that a code may share; `None`: all of its source.
    pub(super) fn asset_key(&self) -> Option<Key> {
        self.asset.as_deref().map(Into::into)
    }

    /// Whether it is of this asset.
    pub(super) fn has_asset(&self, id: &str) -> bool {
        self.asset.as_deref().is_none_or(|asset| asset == id)
    }

    /// The accounts that have names, in their order.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str)
    }

    /// Whether the settings name this address.
    pub(super) fn has_name(&self, address: &str) -> bool {
        self.names.contains_key(address)
    }

    /// The name that an account's URI ends with.
    pub(super) fn name_in<'a>(&self, uri: &'a str) -> Result<&'a str, NotAnAccount> {
        let name = uri.strip_prefix(self.base.as_str()).and_then(|rest| rest.strip_prefix("/accounts/"));
        match name.filter(|name| !name.is_empty() && !name.contains('/')) {
            None => Err(NotAnAccount::Uri),
            Some(name) if !is_identifier(name) => Err(NotAnAccount::Name),
            Some(name) => Ok(name),
        }
    }

    /// The address behind a name as people write it.
    fn address<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        match self.addresses.get(&name.to_ascii_lowercase()) {
            Some(address) => Cow::Borrowed(address),
            None => canonical(name),
        }
    }

    /// The key under which an account's payments are found.
    pub(super) fn account_key(&self, name: &str) -> Key {
        format!("account:{}", self.address(name)).into()
    }

    /// The one name that an account is told under.
    pub(super) fn canonical_name(&self, name: &str) -> String {
        let address = self.address(name);
        self.names.get(&*address).cloned().unwrap_or_else(|| address.into_owned())
    }

    /// Whether a name is one that the settings give, or an address that an account of the network can have.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.addresses.contains_key(&name.to_ascii_lowercase())
            || [ISSUANCE, BURN].contains(&name)
            || is_address(self.family, name)
    }

    /// The URI of an account by the name that it is told under.
    pub(super) fn account_uri(&self, name: &str) -> String {
        format!("{}/accounts/{name}", self.base)
    }

    /// The account of the address that pays.
    pub(super) fn uri_of_payer(&self, address: &str) -> String {
        // Nobody's key reads so; on Planetmint who creates something does not pay for it.
        self.uri_of(address, ISSUANCE)
    }

    /// The account of the address that is paid.
    pub(super) fn uri_of_payee(&self, address: &str) -> String {
        self.uri_of(address, BURN)
    }

    fn uri_of(&self, address: &str, nobody: &str) -> String {
        if let Some(name) = self.names.get(address) {
            return self.account_uri(name);
        }
        if address.is_empty() || address == ZERO_ADDRESS || address == nobody {
            return self.account_uri(nobody);
        }
        let is_taken = || self.addresses.contains_key(&address.to_ascii_lowercase());
        if is_identifier(address) && !is_taken() && ![ISSUANCE, BURN].contains(&address) {
            return self.account_uri(address);
        }
        // On Planetmint a key can be any text: what fits into no name, or takes somebody's.
        let digest: String = Sha1::digest(address).iter().map(|byte| format!("{byte:02x}")).collect();
        self.account_uri(&format!("key-{digest}"))
    }
}

/// The form in which events have an address: letters of a `0x` address have no case.
fn canonical(address: &str) -> Cow<'_, str> {
    let is_evm = is_address(Family::Evm, address) && address.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_evm { Cow::Owned(address.to_ascii_lowercase()) } else { Cow::Borrowed(address) }
}

/// What an account may be called, as five-bells-ledger has it.
pub(super) fn is_identifier(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
}

/// Whether an account of such a network can have this address.
pub(super) fn is_address(family: Family, text: &str) -> bool {
    match family {
        Family::Xrpl => currency::is_address(text),
        // Of accounts, of accounts inside them, and of what else holds value; not of keys that nobody may see.
        Family::Stellar => {
            text.starts_with(['G', 'M', 'C', 'B', 'L']) && stellar_strkey::Strkey::from_string(text).is_ok()
        }
        Family::Evm => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            digits.is_some_and(|digits| digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        }
        // 32 bytes in base 58.
        Family::Planetmint => {
            (32..=44).contains(&text.len()) && bs58::decode(text).into_vec().is_ok_and(|key| key.len() == 32)
        }
    }
}

/// The id of an asset of a source from what the settings call it, `None` for any; an error tells what is wrong.
pub(super) fn asset_id(text: &str, source: &MountedSource) -> Result<Option<String>, String> {
    let native = source.coins.first().filter(|_| text == NATIVE);
    let known = source.coins.iter().find(|coin| coin.id == text || coin.code == text);
    if let Some(coin) = native.or(known) {
        return Ok(Some(coin.id.clone()));
    }
    let family = source.family;
    let issued = |is_code: fn(&str) -> Option<Cow<'_, str>>| {
        let (code, issuer) = text.split_once(':')?;
        is_address(family, issuer).then(|| Some(format!("{}:{issuer}", is_code(code)?)))?
    };
    let id = match family {
        Family::Stellar => issued(|code| {
            let fits = (1..=12).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            fits.then_some(Cow::Borrowed(code))
        }),
        Family::Xrpl if text.len() == 48 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            Some(text.to_ascii_uppercase())
        }
        Family::Xrpl => issued(currency::currency),
        Family::Evm => is_address(family, text).then(|| canonical(text).into_owned()),
        Family::Planetmint if text == ANY => return Ok(None),
        Family::Planetmint => Some(text.to_owned()).filter(|id| !id.is_empty() && id != NATIVE),
    };
    id.map(Some).ok_or_else(|| match family {
        _ if text == ANY => "is `any`, but different assets are no one currency; name one".to_owned(),
        Family::Stellar | Family::Xrpl => {
            format!("is `{text}`, which names no one asset; write native or CODE:ISSUER")
        }
        Family::Evm => {
            format!("is `{text}`, and no token of the source is called so; write native, or a token's address")
        }
        Family::Planetmint => "is missing; write the asset's id, or any".to_owned(),
    })
}

/// The scale that clients are told unless the settings say another; `None`: only they can know.
pub(super) fn default_scale(id: Option<&str>, source: &MountedSource) -> Option<u32> {
    let known = source.coins.iter().find(|coin| Some(coin.id.as_str()) == id);
    let decimals = match (known, source.family) {
        (Some(coin), _) => coin.decimals?.into(),
        (None, Family::Stellar) => STELLAR_SCALE,
        (None, Family::Xrpl) if id.is_some_and(|id| id.contains(':')) => TOKEN_SCALE,
        // Multi-purpose tokens and what Planetmint has are told in whole numbers.
        (None, Family::Xrpl | Family::Planetmint) => LEAST_SCALE,
        (None, Family::Evm) => return None,
    };
    Some(decimals.max(LEAST_SCALE))
}

/// Digits of the largest amounts.
pub(super) fn default_precision(id: Option<&str>, source: &MountedSource) -> u32 {
    match source.family {
        // 10^11 XRP of 10^6 drops.
        Family::Xrpl if id == Some("XRP") => 17,
        Family::Stellar => 19,
        // Whole numbers of 64 bits, and the digit after the point that is always 0.
        Family::Planetmint => 20,
        Family::Xrpl | Family::Evm => 78,
    }
}

/// What people call an asset.
pub(super) fn default_code(id: Option<&str>, source: &MountedSource) -> String {
    let known = source.coins.iter().find(|coin| Some(coin.id.as_str()) == id);
    match (known, id) {
        (Some(coin), _) => coin.code.clone(),
        (None, Some(id)) => id.split(':').next().unwrap_or(id).to_owned(),
        (None, None) => ANY.to_owned(),
    }
}

#[cfg(test)]
mod tests;
