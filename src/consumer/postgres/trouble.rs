//! What can keep us from writing, in words for the one who can help.

use crate::server::FileError;
use std::error::Error;
use tokio_postgres::error::SqlState;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Trouble {
    /// What it is.
    pub kind: Kind,
    /// What was said, and the remedy where there is one.
    pub reason: String,
}

/// What it is: the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No connection, or one that broke; the database starts, stops or is full of connections.
    Unreachable,
    /// The settings do not let us in: address, user, password, database, certificate.
    Refused,
    /// We are in, and may not do what we must.
    Denied,
    /// It took longer than `statement_timeout`.
    Timeout,
    /// The database takes no rows now: it is read-only.
    ReadOnly,
    /// No room.
    Full,
    /// Others wrote the same at the same time.
    Conflict,
    /// The database cannot hold a value of the ledger.
    Data,
    /// The tables are not as we know them.
    Schema,
    /// Ledgers that memory no longer holds could not be read.
    Backlog,
    /// Anything else.
    Other,
}

impl Kind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Unreachable => "unreachable",
            Kind::Refused => "refused",
            Kind::Denied => "denied",
            Kind::Timeout => "timeout",
            Kind::ReadOnly => "read_only",
            Kind::Full => "full",
            Kind::Conflict => "conflict",
            Kind::Data => "data",
            Kind::Schema => "schema",
            Kind::Backlog => "backlog",
            Kind::Other => "other",
        }
    }
}

impl Trouble {
    /// The tables are not as we know them.
    pub fn schema(reason: String) -> Trouble {
        Trouble { kind: Kind::Schema, reason }
    }

    /// Ledgers that memory no longer holds could not be read.
    pub fn backlog(reason: String) -> Trouble {
        Trouble { kind: Kind::Backlog, reason: format!("older ledgers cannot be read: {reason}") }
    }

    /// The connection is no more.
    pub fn ended() -> Trouble {
        Trouble { kind: Kind::Unreachable, reason: "the database ended the connection".to_owned() }
    }

    /// Something took too long on our side of the wire.
    pub fn timeout(what: &str) -> Trouble {
        Trouble { kind: Kind::Timeout, reason: format!("{what} took too long") }
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Trouble {
        Trouble { kind: Kind::Refused, reason: error.to_string() }
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Trouble {
        let Some(told) = error.as_db_error() else {
            let (mut reason, mut cause) = (error.to_string(), error.source());
            let is_io = |cause: &(dyn Error + 'static)| cause.is::<std::io::Error>();
            let mut kind = if error.is_closed() || cause.is_none() { Kind::Unreachable } else { Kind::Other };
            while let Some(error) = cause {
                if is_io(error) {
                    kind = Kind::Unreachable;
                }
                let text = error.to_string();
                if !reason.contains(&text) {
                    reason = format!("{reason}: {text}");
                }
                cause = error.source();
            }
            // The library's own words for what the settings lack.
            if reason.contains("invalid configuration") || reason.contains("authentication") {
                (kind, reason) = (Kind::Refused, format!("{reason}; check user and password in `url_file`"));
            } else if reason.contains("TLS") {
                kind = Kind::Refused;
            } else if reason.starts_with("error serializing") {
                kind = Kind::Data;
            }
            return Trouble { kind, reason };
        };
        let (kind, remedy) = kind_of(told.code());
        let remedy = match (kind, told.message()) {
            (Kind::Denied, message) if message.contains("temporary tables") => {
                "; as the database's owner: `grant temporary on database` … `to` the user of `url` or `url_file`"
            }
            (Kind::Denied, message) if message.contains("for table") => {
                "; as its owner: `grant select, insert, delete on` it `to` the user of `url` or `url_file`"
            }
            _ => remedy,
        };
        let reason = match told.detail() {
            Some(detail) if kind != Kind::Refused => format!("{} ({detail})", told.message()),
            _ => told.message().to_owned(),
        };
        Trouble { kind, reason: format!("{reason}{remedy}") }
    }
}

/// What a code means for us, and the remedy.
fn kind_of(code: &SqlState) -> (Kind, &'static str) {
    match code.code() {
        "28P01" | "28000" => (Kind::Refused, "; check user and password in `url` or `url_file`, and pg_hba.conf"),
        "3D000" => (Kind::Refused, "; make it with `createdb`, or name another in `url` or `url_file`"),
        "42501" | "3F000" => (
            Kind::Denied,
            "; as the database's owner: `grant create, usage on schema public to` the user of `url` or `url_file`",
        ),
        "25006" => (Kind::ReadOnly, "; name the primary server in `url` or `url_file` if this one stays so"),
        "57014" => (
            Kind::Timeout,
            "; somebody holds the tables (pg_stat_activity tells who), or one ledger is more than the database can take in \
             `statement_timeout`: raise it",
        ),
        "26000" => (Kind::Refused, "; a pooler in front of the database must work by session"),
        "53100" | "53200" => (Kind::Full, "; make room for the database"),
        "40001" | "40P01" | "55P03" => (Kind::Conflict, ""),
        "42P01" | "42703" | "42P07" | "42804" => {
            (Kind::Schema, "; the tables were changed by others: undo that, or choose another `table_prefix`")
        }
        code => match &code[..2] {
            "08" | "53" | "57" | "58" => (Kind::Unreachable, ""),
            "22" | "54" => (Kind::Data, ""),
            _ => (Kind::Other, ""),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds() {
        for (code, kind) in [
            ("28P01", Kind::Refused),
            ("42501", Kind::Denied),
            ("3F000", Kind::Denied),
            ("26000", Kind::Refused),
            ("57P01", Kind::Unreachable),
            ("57P03", Kind::Unreachable),
            ("53300", Kind::Unreachable),
            ("53100", Kind::Full),
            ("57014", Kind::Timeout),
            ("22P02", Kind::Data),
            ("54000", Kind::Data),
            ("25006", Kind::ReadOnly),
            ("40P01", Kind::Conflict),
            ("XX000", Kind::Other),
        ] {
            assert_eq!(kind_of(&SqlState::from_code(code)).0, kind, "{code}");
        }
    }
}
