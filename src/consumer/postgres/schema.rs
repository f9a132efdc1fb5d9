//! The tables, and how they came to be: migrations in order, each in a transaction of its own.
//!
//! A migration that was released is never changed; what is to be different is a further one.

use super::trouble::Trouble;
use tokio_postgres::{Client, GenericClient};

/// The migrations. `{p}` stands for the prefix of the names.
const MIGRATIONS: [&str; 2] = [
    // `epoch` counts how often the network began anew: ledgers and ids may come again then. Of a payment or a movement
    // `asset` and `amount` tell what moved; of a trade what the maker (`from_account`) sold, and `bought_…` what it got.
    "create table {p}ledgers (
        network text not null,
        epoch integer not null,
        ledger bigint not null,
        hash text,
        parent_hash text,
        closed_at timestamptz not null,
        transactions integer,
        successful_transactions integer,
        operations integer,
        events integer not null,
        source text not null,
        written_at timestamptz not null default now(),
        primary key (network, epoch, ledger)
    );
    create index {p}ledgers_closed_at on {p}ledgers (closed_at);
    create table {p}events (
        network text not null,
        epoch integer not null,
        ledger bigint not null,
        event_id text not null,
        kind text not null,
        closed_at timestamptz not null,
        transaction_index bigint not null,
        kind_rank smallint not null,
        sub_index bigint not null,
        transaction_hash text,
        accounts text[] not null,
        assets text[] not null,
        asset text,
        asset_code text,
        asset_issuer text,
        amount numeric,
        from_account text,
        to_account text,
        bought_asset text,
        bought_asset_code text,
        bought_asset_issuer text,
        bought_amount numeric,
        event jsonb,
        native jsonb,
        primary key (network, epoch, event_id)
    );
    create index {p}events_place on {p}events (network, epoch, ledger, transaction_index, kind_rank, sub_index);
    create index {p}events_closed_at on {p}events (closed_at);
    create index {p}events_kind on {p}events (kind, closed_at);
    create index {p}events_transaction on {p}events (transaction_hash);
    create index {p}events_accounts on {p}events using gin (accounts);
    create index {p}events_assets on {p}events using gin (assets);
    create table {p}gaps (
        network text not null,
        epoch integer not null,
        before_ledger bigint not null,
        before_hash text not null,
        kind text not null,
        from_ledger bigint,
        to_ledger bigint,
        reason text not null,
        noted_at timestamptz not null default now(),
        primary key (network, epoch, before_ledger, before_hash, kind)
    );",
    // Where a Flow client goes on after the event.
    "alter table {p}events add column cursor text;",
];

/// The tables that rows are written into.
const TABLES: [&str; 3] = ["ledgers", "events", "gaps"];

/// Whether the tables are of an older release than this; an error: of a newer one.
pub fn is_behind(version: i32, prefix: &str) -> Result<bool, Trouble> {
    let newest = MIGRATIONS.len() as i32;
    if version > newest {
        return Err(Trouble::schema(format!(
            "the tables {prefix}… have version {version}, and this release knows {newest}; use the newer release, or \
             another `table_prefix`"
        )));
    }
    Ok(version < newest)
}

/// The version of the tables; `None`: there are none.
pub async fn version(client: &impl GenericClient, prefix: &str) -> Result<Option<i32>, Trouble> {
    let table = format!("{prefix}schema_version");
    let there: bool = client.query_one("select to_regclass($1) is not null", &[&table]).await?.get(0);
    if !there {
        return Ok(None);
    }
    Ok(Some(client.query_one(&format!("select coalesce(max(version), 0) from {table}"), &[]).await?.get(0)))
}

/// A table that is there and that this user may not write into.
pub async fn unwritable(client: &Client, prefix: &str) -> Result<Option<String>, Trouble> {
    let names: Vec<String> = TABLES.iter().map(|table| format!("{prefix}{table}")).collect();
    let ask = "select name from unnest($1::text[]) name where to_regclass(name) is not null and not \
               (has_table_privilege(name, 'select') and has_table_privilege(name, 'insert') \
               and has_table_privilege(name, 'delete')) limit 1";
    Ok(client.query_opt(ask, &[&names]).await?.map(|row| row.get(0)))
}

/// Brings the tables to this release's form. Two processes that try at once take turns.
pub async fn migrate(client: &mut Client, prefix: &str) -> Result<(), Trouble> {
    loop {
        let transaction = client.transaction().await?;
        // Before the look, so that who waited here sees what the other made. Held to the end of the transaction.
        let lock = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
        transaction.execute(lock, &[&format!("ledgercast schema {prefix}")]).await?;
        let table = format!("{prefix}schema_version");
        let version = match version(&transaction, prefix).await? {
            Some(version) => version,
            None => {
                transaction
                    .batch_execute(&format!(
                        "create table {table} (version integer primary key, applied_at timestamptz not null default now())"
                    ))
                    .await?;
                0
            }
        };
        let next = if is_behind(version, prefix)? { usize::try_from(version).ok() } else { None };
        let Some(migration) = next.and_then(|next| MIGRATIONS.get(next)) else { return Ok(()) };
        transaction.batch_execute(&migration.replace("{p}", prefix)).await?;
        transaction.execute(&format!("insert into {table} (version) values ($1)"), &[&(version + 1)]).await?;
        transaction.commit().await?;
    }
}
