//! The table of consumers: their names in the configuration and how each is run.

use super::{Context, postgres};
use crate::config::{Config, Finding};
use crate::server::FileError;
use serde::Deserialize;

/// A consumer's `type` and `config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum ConsumerConfig {
    /// A PostgreSQL database.
    Postgres(postgres::Config),
}

impl ConsumerConfig {
    /// The `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            ConsumerConfig::Postgres(_) => "postgres",
        }
    }

    /// Everything that is wrong with the settings, found before anything is asked.
    pub fn problems(&self) -> Vec<Finding> {
        match self {
            ConsumerConfig::Postgres(config) => config.problems(),
        }
    }

    /// Where it writes, for people, without what may be secret.
    pub fn target(&self) -> String {
        match self {
            ConsumerConfig::Postgres(config) => config.target(),
        }
    }
}

/// Whether the files that the consumers' settings name are there and of use.
pub fn check_files(config: &Config) -> Result<(), FileError> {
    config.consumers.iter().enumerate().try_for_each(|(number, consumer)| match &consumer.consumer {
        ConsumerConfig::Postgres(config) => config.check_files(&format!("consumers[{number}].config")),
    })
}

/// Runs a consumer until it is stopped.
pub(super) async fn run(consumer: &ConsumerConfig, context: Context) {
    match consumer {
        ConsumerConfig::Postgres(config) => postgres::run(config.clone(), context).await,
    }
}

/// Asks where a consumer would write whether it can. `section` is that of its settings. Both answers are for people.
pub async fn probe(consumer: &ConsumerConfig, section: &str) -> Result<String, String> {
    match consumer {
        ConsumerConfig::Postgres(config) => postgres::probe(config, section).await,
    }
}
