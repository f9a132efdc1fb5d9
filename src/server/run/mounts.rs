//! The mounts and certificates of the listeners, made from the settings.

use super::BuildMount;
use crate::broker::{MountEntry, Renderings};
use crate::config::Config;
use crate::consumer;
use crate::dialect::{self, MountContext, MountedSource};
use crate::server::access::Access;
use crate::server::tls::{Certificate, FileError};
use std::net::SocketAddr;
use std::sync::Arc;

/// The mounts of one listener, longest path first.
pub(super) type Mounts = Arc<[Arc<MountEntry>]>;

/// The mounts of each listener.
pub(super) fn mounts(
    config: &Config,
    bound: &[SocketAddr],
    build: &BuildMount,
    renderings: &mut Renderings,
) -> Result<Vec<Mounts>, FileError> {
    let mut number = 0;
    let mut of_listener = |(at, listener): (usize, &crate::config::Listener)| {
        let mut mounts: Vec<Arc<MountEntry>> = Vec::new();
        for (mount_at, mount) in listener.mounts.iter().enumerate() {
            let values_per_session = config.limits.values_per_session as usize;
            let key = format!("listeners[{at}].mounts[{mount_at}]");
            let sources = mount.sources.iter().filter_map(|name| config.sources.get(name));
            let context = MountContext {
                values_per_session,
                sources: mount.sources.len(),
                waiting_changes: config.limits.waiting_changes as usize,
                url: format!("{}{}", listener.public_url(bound[at]), mount.path.trim_end_matches('/')),
                mounted: MountedSource::of(config, &mount.sources),
                replay: mount.replay,
                contracts: sources
                    .flat_map(|source| source.ledger.contracts())
                    .map(|(name, address)| (name.to_owned(), address.to_owned()))
                    .collect(),
                section: format!("{key}.config"),
            };
            let dialect = build(&mount.dialect, context, renderings);
            dialect.read_files()?;
            mounts.push(Arc::new(MountEntry {
                number,
                path: mount.path.clone(),
                dialect,
                sources: mount.sources.iter().filter_map(|name| config.sources.number(name)).collect(),
                access: Access::load(mount, &key)?,
                resume: mount.resume || mount.replay,
                replay: mount.replay,
                begin: mount.begin.clone(),
            }));
            number += 1;
        }
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        Ok(mounts.into())
    };
    config.listeners.iter().enumerate().map(&mut of_listener).collect()
}

/// The certificate of each listener that speaks TLS.
pub(super) fn certificates(config: &Config) -> Result<Vec<Option<Arc<Certificate>>>, FileError> {
    let of_listener = |(at, listener): (usize, &crate::config::Listener)| {
        listener.tls.as_ref().map(|tls| Certificate::load(tls, format!("listeners[{at}].tls"))).transpose()
    };
    config.listeners.iter().enumerate().map(of_listener).collect()
}

/// Whether the files that the settings name are there and of use.
pub fn check_files(config: &Config) -> Result<(), FileError> {
    let bound: Vec<SocketAddr> = config.listeners.iter().map(|listener| listener.bind.0).collect();
    mounts(config, &bound, &dialect::build, &mut Renderings::default())?;
    consumer::check_files(config)?;
    certificates(config).map(drop)
}
