//! The connection, and the transactions that are made on it.
//!
//! One connection for each consumer, so a pool would hold one. Rows of events go by binary COPY into a temporary table
//! and from there into the real one, in one transaction with their ledgers' rows. For 40,000 events that took 1.9 s with
//! all indexes (median of six), COPY straight into the table 1.6 s, but it cannot pass over a row that is there, and
//! inserts of 500 rows 3.4 s; `unnest` has no way for columns that are arrays.

use super::config::Config;
use super::encode::Time;
use super::place::{Break, Known, Tip};
use super::rows::{self, hash_text, integer};
use super::schema;
use super::tls::Tls;
use super::trouble::{Kind, Trouble};
use crate::broker::StreamEntry;
use crate::event::Body;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement, Transaction};

/// How long a connection that is given up may take to say so.
const FAREWELL: Duration = Duration::from_secs(2);
/// How far back a common ledger is looked for, in doublings: a million ledgers.
const FURTHEST_STEP: u32 = 21;
/// The first server that has all that we use: `hashtextextended`.
const OLDEST_SERVER: i32 = 110_000;

/// A connection whose tables are ready.
pub struct Database {
    client: Client,
    /// Ends with the connection.
    open: watch::Receiver<()>,
    prefix: String,
    patience: Duration,
    statements: Statements,
}

struct Statements {
    insert_ledgers: Statement,
    copy_events: Statement,
    insert_events: Statement,
    insert_gap: Statement,
}

/// What a transaction brings.
pub struct Write<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The ledgers, of one network and epoch.
    pub ledgers: &'a [&'a StreamEntry],
    /// Their epoch, as the database counts.
    pub epoch: i32,
    /// Rows from this ledger on are void.
    pub replace_from: Option<u64>,
    /// The breaks before the first ledger.
    pub breaks: &'a [Break],
    /// The ledger after the breaks.
    pub before: &'a StreamEntry,
    /// Whether the ledgers are written, or only the breaks.
    pub notes_only: bool,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there. So many events of it were new, and so many breaks.
    Done {
        /// Events.
        events: u64,
        /// Breaks.
        gaps: u64,
    },
    /// Somebody has written one of the ledgers meanwhile; nothing was changed.
    Conflict,
}

/// A connection without more. Whoever opens it says how long that may take.
async fn open(config: &Config, section: &str) -> Result<(Client, watch::Receiver<()>), Trouble> {
    let target = config.read(section)?;
    let tls = target.mode.client_config(config.ca_file.as_deref(), &format!("{section}.ca_file"));
    let tls = tls.map_err(|reason| Trouble { kind: Kind::Refused, reason })?;
    let mut settings = target.connection;
    let hosts = settings.get_hosts().len().max(1) as u32;
    settings.ssl_mode(target.mode.for_library());
    let opening = async {
        let (client, connection) = settings.connect(Tls(tls)).await?;
        let (closed, open) = watch::channel(());
        tokio::spawn(async move {
            // Whoever waits for an answer is told what happened. One that hangs keeps no socket of ours.
            let given_up = async {
                closed.closed().await;
                sleep(FAREWELL).await;
            };
            tokio::select! {
                _ = connection => {}
                () = given_up => {}
            }
            drop(closed);
        });
        // The second is for a process of ours that hangs in the middle; nobody else shall wait for its locks.
        let milliseconds = config.statement_timeout.0.as_millis();
        let set = format!(
            "set statement_timeout = {milliseconds}; set idle_in_transaction_session_timeout = {milliseconds}; \
             set timezone = 'UTC'; set client_min_messages = warning"
        );
        client.batch_execute(&set).await?;
        is_of_use(&client).await?;
        Ok((client, open))
    };
    // Who takes connections and does not answer is no better than who takes none.
    timeout(config.connect_timeout.0 * hosts, opening).await.unwrap_or_else(|_| {
        let reason = format!("no answer from {} within {}", config.target(), config.connect_timeout);
        Err(Trouble { kind: Kind::Unreachable, reason })
    })
}

/// What no attempt can change: a server that is too old, a database that has not all letters.
async fn is_of_use(client: &Client) -> Result<(), Trouble> {
    let ask = "select current_setting('server_version'), current_setting('server_version_num')::integer, \
               current_setting('server_encoding')";
    let row = client.query_one(ask, &[]).await?;
    let (version, number, encoding): (String, i32, String) = (row.get(0), row.get(1), row.get(2));
    let refused = |reason| Err(Trouble { kind: Kind::Refused, reason });
    if number < OLDEST_SERVER {
        return refused(format!("PostgreSQL {version} is too old; 11 is the first that will do"));
    }
    if encoding != "UTF8" {
        return refused(format!(
            "the database is encoded in {encoding}, which has not all letters of a ledger; make one with \
             `createdb --encoding UTF8 --template template0`"
        ));
    }
    Ok(())
}

/// Whether a database would take rows; both answers are for people.
pub async fn probe(config: &Config, section: &str) -> Result<String, Trouble> {
    let (client, _open) = open(config, section).await?;
    let p = &config.table_prefix;
    let patience = config.statement_timeout.0;
    let asking = async {
        let ask = "select current_setting('server_version'), pg_is_in_recovery(), \
                   current_setting('transaction_read_only') = 'on', \
                   coalesce(has_schema_privilege(current_schema(), 'create'), false), \
                   has_database_privilege(current_database(), 'temporary'), current_user::text, current_database()::text";
        let row = client.query_one(ask, &[]).await?;
        Ok::<_, Trouble>((row, schema::version(&client, p).await?, schema::unwritable(&client, p).await?))
    };
    let (row, found, unwritable) = timeout(patience, asking).await.map_err(|_| Trouble::timeout("a query"))??;
    let (version, standby, read_only): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
    let (may_create, may_copy): (bool, bool) = (row.get(3), row.get(4));
    let (user, database): (String, String) = (row.get(5), row.get(6));
    let trouble = |kind, reason: String| Err(Trouble { kind, reason });
    if standby {
        return trouble(Kind::ReadOnly, "this server is a standby and takes no rows; name the primary".to_owned());
    }
    if read_only {
        return trouble(Kind::ReadOnly, "this server takes no rows: default_transaction_read_only is on".to_owned());
    }
    let brings = found.map_or(Ok(true), |found| schema::is_behind(found, p))?;
    if brings && !may_create {
        let grant =
            format!("{user} may not make tables; as the owner: `grant create, usage on schema public to {user}`");
        return trouble(Kind::Denied, grant);
    }
    if !may_copy {
        let grant = format!("as the owner: `grant temporary on database {database} to {user}`");
        return trouble(Kind::Denied, format!("{user} may not make temporary tables; {grant}"));
    }
    if let Some(table) = unwritable {
        let grant = format!("as its owner: `grant select, insert, delete on {table} to {user}`");
        return trouble(Kind::Denied, format!("{user} may not write into {table}; {grant}"));
    }
    Ok(match (found, brings) {
        (None, _) => format!("PostgreSQL {version}, tables {p}… will be made"),
        (Some(_), true) => format!("PostgreSQL {version}, tables {p}… are of an older release and will be changed"),
        (Some(_), false) => format!("PostgreSQL {version}, tables {p}… are there"),
    })
}

impl Database {
    /// Connects, and brings the tables to this release's form.
    pub async fn connect(config: &Config, section: &str) -> Result<Database, Trouble> {
        let (client, open) = open(config, section).await?;
        // Some statements, and the way there and back.
        let patience = config.statement_timeout.0 * 2 + config.connect_timeout.0;
        let prepared = Database::prepare(client, open, &config.table_prefix, patience);
        timeout(patience, prepared).await.map_err(|_| Trouble::timeout("to look for our tables"))?
    }

    async fn prepare(
        mut client: Client,
        open: watch::Receiver<()>,
        p: &str,
        patience: Duration,
    ) -> Result<Database, Trouble> {
        schema::migrate(&mut client, p).await?;
        client
            .batch_execute(&format!("create temporary table {p}new_events (like {p}events) on commit delete rows"))
            .await?;
        let columns = rows::COLUMNS;
        let statements = Statements {
            insert_ledgers: client
                .prepare(&format!(
                    "insert into {p}ledgers (network, epoch, ledger, hash, parent_hash, closed_at, transactions, \
                     successful_transactions, operations, events, source) \
                     select $1, $2, *, $11 from unnest($3::bigint[], $4::text[], $5::text[], $6::timestamptz[], \
                     $7::integer[], $8::integer[], $9::integer[], $10::integer[]) on conflict do nothing"
                ))
                .await?,
            copy_events: client.prepare(&format!("copy {p}new_events ({columns}) from stdin binary")).await?,
            insert_events: client
                .prepare(&format!(
                    "insert into {p}events ({columns}) select {columns} from {p}new_events on conflict do nothing"
                ))
                .await?,
            insert_gap: client
                .prepare(&format!(
                    "insert into {p}gaps (network, epoch, before_ledger, before_hash, kind, from_ledger, to_ledger, \
                     reason) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing"
                ))
                .await?,
        };
        Ok(Database { client, open, prefix: p.to_owned(), patience, statements })
    }

    /// Comes back when the connection has ended.
    pub async fn closed(&mut self) {
        while self.open.changed().await.is_ok() {}
    }

    /// The newest ledger of a network that is there.
    pub async fn tip(&self, network: &str) -> Result<Option<Tip>, Trouble> {
        let ask = format!(
            "select epoch, ledger, hash from {}ledgers where network = $1 order by epoch desc, ledger desc limit 1",
            self.prefix
        );
        let row = self.patiently("a query", self.client.query_opt(&ask, &[&network])).await?;
        Ok(row.map(|row| Tip { epoch: row.get(0), ledger: row.get::<_, i64>(1) as u64, hash: row.get(2) }))
    }

    /// The newest ledger of a network that is there and some before it, newest first, ever further apart.
    pub async fn tips(&self, network: &str) -> Result<Vec<Tip>, Trouble> {
        let Some(tip) = self.tip(network).await? else { return Ok(Vec::new()) };
        let ask = format!(
            "select ledger, hash from {}ledgers where network = $1 and epoch = $2 and ledger = any($3) order by ledger desc",
            self.prefix
        );
        let newest = integer(tip.ledger);
        let steps = std::iter::once(0).chain((0..FURTHEST_STEP).map(|doublings| 1_i64 << doublings));
        let ledgers: Vec<i64> = steps.map(|step| newest.saturating_sub(step)).collect();
        let rows = self.patiently("a query", self.client.query(&ask, &[&network, &tip.epoch, &ledgers])).await?;
        let tip_at = |row: &Row| Tip { epoch: tip.epoch, ledger: row.get::<_, i64>(0) as u64, hash: row.get(1) };
        Ok(rows.iter().map(tip_at).collect())
    }

    /// What is there where a ledger belongs.
    pub async fn known(&self, network: &str, tip: &Tip) -> Result<Known, Trouble> {
        let ask = format!(
            "select ledger, hash, events from {p}ledgers \
             where network = $1 and epoch = $2 and ledger in ($3::bigint, $3::bigint - 1)",
            p = self.prefix
        );
        let ledger = integer(tip.ledger);
        let rows = self.patiently("a query", self.client.query(&ask, &[&network, &tip.epoch, &ledger])).await?;
        let at = |of: i64| rows.iter().find(|row| row.get::<_, i64>(0) == of);
        let hash = |of: i64| at(of).map(|row| row.get(1));
        let events = at(ledger).map_or(0, |row| row.get::<_, i32>(2) as u64);
        let newest = self.tip(network).await?.map_or(tip.epoch, |newest| newest.epoch);
        let newest_epoch = newest.max(tip.epoch);
        Ok(Known { same: hash(ledger), before: hash(ledger - 1), events, newest_epoch, is_foreign: false })
    }

    /// Whether any of these ledgers, by index and hash, is there.
    pub async fn has_one(
        &self,
        network: &str,
        epoch: i32,
        indexes: &[i64],
        hashes: &[String],
    ) -> Result<bool, Trouble> {
        let ask = format!(
            "select exists (select from {}ledgers where network = $1 and epoch = $2 \
             and (ledger, hash) in (select * from unnest($3::bigint[], $4::text[])))",
            self.prefix
        );
        let parameters: [&(dyn ToSql + Sync); 4] = [&network, &epoch, &indexes, &hashes];
        let row = self.patiently("a query", self.client.query_one(&ask, &parameters)).await?;
        Ok(row.get(0))
    }

    /// Writes ledgers with their events and breaks: all of it, or nothing.
    pub async fn write(&mut self, write: &Write<'_>) -> Result<Written, Trouble> {
        let all = async {
            let transaction = self.client.transaction().await?;
            let written = write_in(&transaction, &self.statements, &self.prefix, write).await?;
            match written {
                Written::Done { .. } => transaction.commit().await?,
                Written::Conflict => transaction.rollback().await?,
            }
            Ok(written)
        };
        timeout(self.patience, all).await.map_err(|_| Trouble::timeout("a transaction"))?
    }

    async fn patiently<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        Ok(timeout(self.patience, answer).await.map_err(|_| Trouble::timeout(what))??)
    }
}

async fn write_in(
    transaction: &Transaction<'_>,
    statements: &Statements,
    prefix: &str,
    write: &Write<'_>,
) -> Result<Written, tokio_postgres::Error> {
    let Write { epoch, before, .. } = write;
    let network = &*before.batch.network;
    if let Some(from) = write.replace_from {
        for table in ["events", "ledgers"] {
            let delete = format!("delete from {prefix}{table} where network = $1 and epoch = $2 and ledger >= $3");
            transaction.execute(&delete, &[&network, epoch, &integer(from)]).await?;
        }
    }
    let mut events = 0;
    if !write.notes_only {
        if insert_ledgers(transaction, statements, write).await? < write.ledgers.len() as u64 {
            return Ok(Written::Conflict);
        }
        if write.ledgers.iter().any(|entry| !entry.is_empty()) {
            let sink = transaction.copy_in(&statements.copy_events).await?;
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &rows::TYPES));
            for entry in write.ledgers {
                for event in &entry.batch.events {
                    rows::write(writer.as_mut(), &entry.batch, *epoch, event).await?;
                }
            }
            writer.finish().await?;
            events = transaction.execute(&statements.insert_events, &[]).await?;
        }
    }
    let mut gaps = 0;
    let hash = before.batch.ledger.hash.map(|hash| hash_text(&before.batch, &hash)).unwrap_or_default();
    for it in write.breaks {
        let (from, to) = (it.from.map(integer), it.to.map(integer));
        let ledger = integer(before.batch.ledger.index);
        let reason = super::encode::text(&it.reason);
        gaps += transaction
            .execute(&statements.insert_gap, &[&network, epoch, &ledger, &hash, &it.kind, &from, &to, &reason])
            .await?;
    }
    Ok(Written::Done { events, gaps })
}

/// The rows of the ledgers themselves; how many of them are new.
async fn insert_ledgers(
    transaction: &Transaction<'_>,
    statements: &Statements,
    write: &Write<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let batches = || write.ledgers.iter().map(|entry| &entry.batch);
    let facts = || {
        batches().map(|batch| match batch.events.first().map(|event| &event.body) {
            Some(Body::Ledger(facts)) => Some(*facts),
            _ => None,
        })
    };
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let hash = |batch, hash: Option<_>| hash.map(|hash| hash_text(batch, &hash));
    let indexes: Vec<i64> = batches().map(|batch| integer(batch.ledger.index)).collect();
    let hashes: Vec<_> = batches().map(|batch| hash(batch, batch.ledger.hash)).collect();
    let parents: Vec<_> = batches().map(|batch| hash(batch, batch.ledger.parent)).collect();
    let times: Vec<Time> = batches().map(|batch| Time(batch.ledger.closed_at)).collect();
    let transactions: Vec<_> = facts().map(|facts| facts.map(|facts| count(facts.transaction_count))).collect();
    let successful: Vec<_> = facts().map(|facts| facts.map(|facts| count(facts.successful_count))).collect();
    let operations: Vec<_> = facts().map(|facts| facts.map(|facts| count(facts.operation_count))).collect();
    let events: Vec<i32> = batches().map(|batch| count(batch.events.len() as u32)).collect();
    let network = &*write.before.batch.network;
    transaction
        .execute(
            &statements.insert_ledgers,
            &[
                &network,
                &write.epoch,
                &indexes,
                &hashes,
                &parents,
                &times,
                &transactions,
                &successful,
                &operations,
                &events,
                &write.source,
            ],
        )
        .await
}
