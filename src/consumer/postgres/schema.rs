//! The tables, and how they came to be: migrations in order, each in a transaction of its own.
//!
//! A migration that was released is never changed; what is to be different is a further one.

use super::trouble::Trouble;
use tokio_postgres::Client;

/// The migrations. `{p}` stands for the prefix of the names.
const MIGRATIONS: [&str; 1] = [
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
];

/// Brings the tables to this release's form. Two processes that try at once take turns.
pub async fn migrate(client: &mut Client, prefix: &str) -> Result<(), Trouble> {
    loop {
        let transaction = client.transaction().await?;
        // Before the look, so that who waited here sees what the other made. Held to the end of the transaction.
        let lock = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
        transaction.execute(lock, &[&format!("ledgercast schema {prefix}")]).await?;
        let table = format!("{prefix}schema_version");
        let version: i32 = match transaction.query_one("select to_regclass($1) is not null", &[&table]).await?.get(0) {
            true => {
                let newest = format!("select coalesce(max(version), 0) from {table}");
                transaction.query_one(&newest, &[]).await?.get(0)
            }
            false => {
                transaction
                    .batch_execute(&format!(
                        "create table {table} (version integer primary key, applied_at timestamptz not null default now())"
                    ))
                    .await?;
                0
            }
        };
        let newest = MIGRATIONS.len() as i32;
        let Some(migration) = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done)) else {
            return match version == newest {
                true => Ok(()),
                false => Err(Trouble::schema(format!(
                    "the tables {prefix}… have version {version}, and this release knows {newest}; use the newer \
                     release, or another `table_prefix`"
                ))),
            };
        };
        transaction.batch_execute(&migration.replace("{p}", prefix)).await?;
        transaction.execute(&format!("insert into {table} (version) values ($1)"), &[&(version + 1)]).await?;
        transaction.commit().await?;
    }
}
