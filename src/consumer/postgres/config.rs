//! The settings of a PostgreSQL consumer.

use super::tls::Mode;
use crate::config::units::{Size, Time};
use crate::config::{Finding, settings};
use crate::server::FileError;
use crate::source::Secret;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use tokio_postgres::config::TargetSessionAttrs;

/// What is read of a file: an address and a line end.
const LONGEST_FILE: u64 = 16 << 10;

settings! {
    /// A PostgreSQL database.
    pub struct Config {
        /// Where the database is: postgres://user@host:5432/database?sslmode=verify-full, without a password.
        /// `sslmode`: disable, prefer (as PostgreSQL's own clients unless said otherwise), require, verify-ca, or
        /// verify-full, the only one that knows whom it talks to. Of several hosts (`@a,b:5433/`) the first that takes
        /// rows is used. Default none: this or `url_file` is needed.
        pub url: Option<String>,
        /// A file that holds such an address, a password with it; read again for each connection. Default none.
        pub url_file: Option<PathBuf>,
        /// The password. It stands better in `url_file`, or in the environment variable PGPASSWORD, which is asked
        /// when there is none here. Default none.
        pub password: Option<Secret>,
        /// The certificates, in PEM, that `sslmode=verify-full` and verify-ca trust. Default none: those that the machine
        /// trusts.
        pub ca_file: Option<PathBuf>,
        /// What the names of our tables begin with: small letters, digits and `_`. Default ledgercast_: so that they
        /// stand together and can share a database with others.
        pub table_prefix: String = "ledgercast_".to_owned(),
        /// Ledgers that one transaction takes at most, when there are more to write. Default 200: catching up is then
        /// bound by the rows and no longer by the commits.
        pub batch_ledgers: u32 = 200,
        /// Bytes of ledgers, as they stand in memory, that one transaction takes about. Default 8MiB: some ten busy
        /// ledgers, a second or two for a small database; less is taken as long as the database is too slow for it.
        pub batch_bytes: Size = Size::mib(8),
        /// How long to wait after a transaction for further ledgers. Default 100ms: a ledger is there at once, and
        /// chains that close many in a second share their commits.
        pub batch_wait: Time = Time::millis(100),
        /// How long to wait for a connection. Default 10s: a database that is there answers in one.
        pub connect_timeout: Time = Time::secs(10),
        /// How long one statement may take; then the transaction is given up and tried again, smaller. Default 30s: far
        /// more than 8MiB take, and less than anybody wants to wait to be told.
        pub statement_timeout: Time = Time::secs(30),
    }
}

/// An address, ready to connect to.
pub struct Target {
    /// Host, database, user, password.
    pub connection: tokio_postgres::Config,
    /// How it is connected to.
    pub mode: Mode,
}

/// A password may stand in it.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.connection))
    }
}

/// Host and database, for people.
fn describe(connection: &tokio_postgres::Config) -> String {
    let hosts = connection.get_hosts().iter().zip(connection.get_ports().iter().chain(std::iter::repeat(&5432)));
    let host = |(host, port): (&tokio_postgres::config::Host, &u16)| match host {
        tokio_postgres::config::Host::Tcp(name) => format!("{name}:{port}"),
        tokio_postgres::config::Host::Unix(path) => format!("{}", path.display()),
    };
    let hosts: Vec<String> = hosts.map(host).collect();
    format!("{}/{}", hosts.join(","), connection.get_dbname().or(connection.get_user()).unwrap_or_default())
}

/// Reads an address. An error never repeats it: it may hold a password.
fn parse(url: &str) -> Result<Target, String> {
    let url = url.trim();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("is no address of a database; write postgres://user@host:5432/database".to_owned());
    }
    // Our modes are more than the library's, which would not take the text.
    // A `?` may stand in the password.
    let password = url.find('@').unwrap_or(0);
    let (base, query) = match url[password..].find('?') {
        Some(at) => (&url[..password + at], &url[password + at + 1..]),
        None => (url, ""),
    };
    let mut mode = Mode::default();
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", name)) => {
                mode = Mode::named(name).ok_or(
                    "has an sslmode that there is not; write disable, prefer, require, verify-ca or verify-full"
                        .to_owned(),
                )?;
            }
            Some(("sslrootcert", _)) => return Err("has an sslrootcert; name that file as ca_file".to_owned()),
            _ => rest.push(pair),
        }
    }
    let text = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let connection: tokio_postgres::Config = text.parse().map_err(|error: tokio_postgres::Error| {
        // Its reasons name keys such as `port`, and repeat no value of ours.
        let reason = std::error::Error::source(&error).map_or_else(String::new, |source| format!(" ({source})"));
        format!("is no address of a database{reason}; write postgres://user@host:5432/database")
    })?;
    if connection.get_hosts().is_empty() {
        return Err("names no host; write postgres://user@host:5432/database".to_owned());
    }
    Ok(Target { connection, mode })
}

impl Config {
    /// Everything that is wrong with the settings.
    pub fn problems(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut tell = |key: &str, message: &str| findings.push((vec![key.into()], message.to_owned()));
        match (&self.url, &self.url_file) {
            (None, None) => {
                return vec![(
                    Vec::new(),
                    "has no `url`; add the address of the database, such as postgres://user@host:5432/database, or a \
                     file with it as `url_file`"
                        .to_owned(),
                )];
            }
            (Some(_), Some(_)) => tell("url_file", "stands beside `url`; write one of them"),
            (Some(url), None) => match parse(url) {
                Ok(target) if target.connection.get_password().is_some() => {
                    tell("url", "holds a password; put the address into a file and name it as url_file");
                }
                Ok(target) if self.ca_file.is_some() && !target.mode.verifies() => {
                    tell(
                        "ca_file",
                        "is for sslmode=verify-full and verify-ca alone; write that into `url`, or remove it",
                    );
                }
                Ok(_) => {}
                Err(fault) => tell("url", &fault),
            },
            (None, Some(_)) => {}
        }
        let prefix = &self.table_prefix;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if prefix.len() > 30 || !prefix.chars().all(fits) || prefix.starts_with(|c: char| c.is_ascii_digit()) {
            tell("table_prefix", "is no beginning of a name; write up to 30 small letters, digits and `_`");
        }
        findings.extend(crate::config::check::zeros(&[
            ("batch_ledgers", self.batch_ledgers == 0),
            ("batch_bytes", self.batch_bytes.0 == 0),
            ("connect_timeout", self.connect_timeout.0.is_zero()),
            ("statement_timeout", self.statement_timeout.0.is_zero()),
        ]));
        findings
    }

    /// Where the database is, for people.
    pub fn target(&self) -> String {
        match (&self.url, &self.url_file) {
            (Some(url), _) => parse(url).map(|target| format!("{target:?}")).unwrap_or_default(),
            (None, file) => format!("the address in {}", file.as_deref().unwrap_or("".as_ref()).display()),
        }
    }

    /// Whether the files are of use.
    pub fn check_files(&self, section: &str) -> Result<(), FileError> {
        let target = self.read(section)?;
        let ca = self.ca_file.as_ref().filter(|_| target.mode.verifies());
        if let Some(file) = ca {
            let key = format!("{section}.ca_file");
            let wrong = |reason| FileError { key: key.clone(), file: file.clone(), reason };
            target.mode.client_config(Some(file), &key).map_err(wrong)?;
        }
        Ok(())
    }

    /// The address with its password, as it stands now. `section` is that of these settings.
    pub fn read(&self, section: &str) -> Result<Target, FileError> {
        let wrong = |reason: String| FileError {
            key: format!("{section}.{}", if self.url_file.is_some() { "url_file" } else { "url" }),
            file: self.url_file.clone().unwrap_or_default(),
            reason,
        };
        let text = match (&self.url, &self.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => {
                let size = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
                if size > LONGEST_FILE {
                    return Err(wrong("is too long for an address".to_owned()));
                }
                fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?
            }
            (None, None) => String::new(),
        };
        let mut target = parse(&text).map_err(wrong)?;
        let connection = &mut target.connection;
        if connection.get_password().is_none() {
            let password = self.password.as_ref().map(|secret| secret.0.clone().into_bytes());
            let environment = || std::env::var_os("PGPASSWORD").map(std::ffi::OsString::into_encoded_bytes);
            if let Some(password) = password.or_else(environment) {
                connection.password(password);
            }
        }
        if connection.get_hosts().len() > 1 && connection.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several servers only the primary is of use; who is first in the list may be a standby after a change.
            connection.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        connection.connect_timeout(self.connect_timeout.0);
        connection.tcp_user_timeout(self.statement_timeout.0);
        connection.keepalives_idle(self.statement_timeout.0);
        connection.application_name("ledgercast");
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config { url: Some("postgres://me@db:1/x".to_owned()), ..Config::default() };
        change(&mut config);
        let text = |(path, message): Finding| format!("{} {message}", crate::config::decode::path_text(path.iter()));
        config.problems().into_iter().map(text).collect()
    }

    #[test]
    fn addresses_in_all_forms() {
        for (url, described, mode) in [
            ("postgres://me@db/x", "db:5432/x", Mode::Prefer),
            ("postgresql://me:SECRET@db:1/x?sslmode=require", "db:1/x", Mode::Require),
            ("postgres://me:a?b@db:1/x?sslmode=verify-ca", "db:1/x", Mode::VerifyCa),
            ("postgres://me@db:1/x?sslmode=verify-full&target_session_attrs=read-write\n", "db:1/x", Mode::VerifyFull),
            ("postgres://me@a:1,b:2/x?sslmode=disable", "a:1,b:2/x", Mode::Disable),
            ("postgres://me@%2Frun%2Fpostgresql/x", "/run/postgresql/x", Mode::Prefer),
        ] {
            let target = parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            assert_eq!((format!("{target:?}").as_str(), target.mode), (described, mode), "{url}");
        }
        for (url, told) in [
            ("http://me:SECRET@db", "is no address of a database; write"),
            ("postgres://me:SECRET@db:port/x", "is no address of a database ("),
            ("postgres://me:SECRET@db/x?sslmode=SECRET", "has an sslmode"),
            ("postgres://me:SECRET@db/x?sslrootcert=a", "has an sslrootcert"),
            ("postgres:///x", "names no host"),
        ] {
            let fault = parse(url).unwrap_err();
            assert!(fault.starts_with(told) && !fault.contains("SECRET"), "{url}: {fault}");
        }
    }

    #[test]
    fn every_problem_tells_what_to_do() {
        assert!(problems(|_| {}).is_empty());
        for (told, config) in [
            ("has no `url`", Config::default()),
            ("url holds a password", Config { url: Some("postgres://me:SECRET@db".to_owned()), ..Config::default() }),
        ] {
            let found = problems(|it| *it = config);
            assert!(found[0].trim().starts_with(told) && !found[0].contains("SECRET"), "{found:?}");
        }
        let found = problems(|it| it.url_file = Some("a".into()));
        assert_eq!(found, ["url_file stands beside `url`; write one of them"]);
        assert!(problems(|it| it.ca_file = Some("a".into()))[0].starts_with("ca_file is for"));
        for prefix in ["a b", "Big_", "1", "a\"; drop", &"a".repeat(31)] {
            assert!(problems(|it| it.table_prefix = prefix.to_owned())[0].starts_with("table_prefix"), "{prefix}");
        }
        assert!(problems(|it| it.table_prefix = String::new()).is_empty());
        assert!(problems(|it| it.batch_ledgers = 0)[0].starts_with("batch_ledgers is 0"));
    }

    #[test]
    fn the_file_is_read_for_each_connection_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        fs::write(&file, "postgres://me:one@db/x\n").unwrap();
        let config = Config { url_file: Some(file.clone()), ..Config::default() };
        let password = || config.read("c").unwrap().connection.get_password().map(<[u8]>::to_vec);
        assert_eq!(password(), Some(b"one".to_vec()));
        fs::write(&file, "postgres://me:two@db/x").unwrap();
        assert_eq!(password(), Some(b"two".to_vec()));
        assert!(!format!("{:?}", config.read("c").unwrap()).contains("two"));
        fs::write(&file, "me:SECRET@db").unwrap();
        let error = config.check_files("consumers[0].config").unwrap_err().to_string();
        assert!(error.starts_with("consumers[0].config.url_file: ") && !error.contains("SECRET"), "{error}");
        let own = Config {
            url: Some("postgres://me@db/x".to_owned()),
            password: Some(Secret("three".to_owned())),
            ..Config::default()
        };
        assert_eq!(own.read("c").unwrap().connection.get_password(), Some(&b"three"[..]));
        assert!(!format!("{own:?}").contains("three"));
    }
}
