//! A PostgreSQL of our own: a cluster in a folder of the test, on a free port, ended with its value.

use super::server::path;
use super::{pause, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, NoTls, Row};

/// Of the database's owner. It appears in no log.
pub const PASSWORD: &str = "open-sesame";

/// A running cluster, or a stopped one.
pub struct Cluster {
    folder: TempDir,
    binaries: PathBuf,
    pub port: u16,
    server: Option<Child>,
}

/// Where Debian has the server's programs; `None`, said once, where it has none.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten();
    let found =
        versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).find(|bin| bin.join("initdb").exists());
    if found.is_none() {
        eprintln!("skipped: Debian's package postgresql is not installed");
    }
    found
}

/// The user who may run it: PostgreSQL refuses root.
fn user() -> Option<(String, u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some((name.to_owned(), fields[2].parse().ok()?, fields[3].parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

impl Cluster {
    /// A new one; `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Cluster> {
        let binaries = binaries()?;
        let folder = tempfile::tempdir().unwrap();
        if let Some((_, uid, gid)) = user() {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut cluster = Cluster { folder, binaries, port, server: None };
        let secret = cluster.write("password", PASSWORD);
        let data = cluster.data();
        let mut initdb = cluster.command("initdb");
        initdb.args(["-D", path(&data), "-U", "postgres", "--pwfile", path(&secret), "-E", "UTF8", "--locale", "C"]);
        initdb.args(["--auth-host", "scram-sha-256", "--auth-local", "trust", "--no-sync"]);
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        cluster.start_again();
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file that the server may read, and nobody else.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((_, uid, gid)) = user() {
            chown(&file, Some(uid), Some(gid)).unwrap();
        }
        file
    }

    /// One of its programs, as a user who may run it. The process is the program itself.
    fn command(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        let mut command = match user() {
            Some((user, ..)) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(self.folder.path()).env_remove("PGPASSWORD").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The server again, after [`Cluster::stop`] or [`Cluster::kill`].
    pub fn start_again(&mut self) {
        // After a kill it takes a moment until the last of its processes is gone; until then it does not start.
        wait_until("PostgreSQL runs", || {
            if self.server.as_mut().is_none_or(|server| server.try_wait().unwrap().is_some()) {
                let log =
                    std::fs::File::options().append(true).create(true).open(self.folder.path().join("log")).unwrap();
                let (port, data, sockets) = (self.port.to_string(), self.data(), self.folder.path().to_owned());
                let mut server = self.command("postgres");
                server.args(["-D", path(&data), "-p", &port, "-k", path(&sockets), "-c", "fsync=off"]);
                server.args([
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "shared_buffers=16MB",
                    "-c",
                    "max_connections=30",
                ]);
                self.server = Some(server.stderr(log).spawn().unwrap());
                pause(std::time::Duration::from_millis(200));
            }
            let mut ready = self.command("pg_isready");
            let port = self.port.to_string();
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap().success()
        });
    }

    /// SIGINT: sessions are ended, then the server.
    pub fn stop(&mut self) {
        self.go_on();
        let Some(mut server) = self.server.take() else { return };
        let id = Pid::from_raw(server.id() as i32).expect("a process has an id");
        let _ = kill_process(id, Signal::INT);
        server.wait().unwrap();
    }

    /// `kill -9` of the server; its processes end when they see it.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// All of its processes stop where they are, as if its machine hung: connections stay open, nothing is answered.
    pub fn stand_still(&self) {
        self.signal_all(Signal::STOP);
    }

    /// They go on, after [`Cluster::stand_still`].
    pub fn go_on(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Its processes, the server first: each connection has one.
    pub fn processes(&self) -> Vec<Pid> {
        let id = |id: u32| Pid::from_raw(id as i32).expect("a process has an id");
        let Some(server) = self.server.as_ref().map(Child::id) else { return Vec::new() };
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children = children.split_whitespace().map(|child| id(child.parse().expect("the kernel writes numbers")));
        std::iter::once(id(server)).chain(children).collect()
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.processes() {
            // One of them may end meanwhile.
            let _ = kill_process(process, signal);
        }
    }

    /// A file with an address of this user and password.
    pub fn url_file(&self, user: &str, password: &str, more: &str) -> PathBuf {
        self.write(
            &format!("url-{user}"),
            &format!("postgres://{user}:{password}@localhost:{}/postgres{more}\n", self.port),
        )
    }

    /// The settings of a consumer of these sources, by a file with the owner's password.
    pub fn consumer(&self, sources: &str, more: &str) -> String {
        let file = self.url_file("postgres", PASSWORD, "");
        consumer(sources, &file, more)
    }

    pub async fn client(&self) -> Client {
        let text = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A folder of the database's user with little room; it goes with its value.
pub struct Disk {
    folder: TempDir,
}

impl Cluster {
    /// So much room, as `mount` reads it; `None`, said, where nothing may be mounted.
    pub fn small_disk(&self, size: &str) -> Option<Disk> {
        let disk = Disk { folder: tempfile::tempdir().unwrap() };
        let options = match user() {
            Some((_, uid, gid)) => format!("size={size},uid={uid},gid={gid}"),
            None => format!("size={size}"),
        };
        if !disk.mount(&options) {
            eprintln!("skipped: a small disk cannot be mounted here");
            return None;
        }
        Some(disk)
    }
}

impl Disk {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes room.
    pub fn grow(&self, size: &str) {
        assert!(self.mount(&format!("remount,size={size}")));
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.folder.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while files are open; without it where nothing was mounted.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).stderr(Stdio::null()).status();
    }
}

/// A section of `consumers:`, by an address in a file.
pub fn consumer(sources: &str, url_file: &Path, more: &str) -> String {
    format!(
        "  - {{ type: postgres, sources: [{sources}], config: {{ url_file: '{}', batch_wait: 20ms, {more} }} }}\n",
        path(url_file)
    )
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!(
                "--- the end of PostgreSQL's log:\n{}",
                log.get(log.len().saturating_sub(3000)..).unwrap_or(&log)
            );
        }
        self.stop();
    }
}

/// Rows of a query.
pub async fn rows(client: &Client, query: &str) -> Vec<Row> {
    client.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

/// The one value of a query.
pub async fn one<T: for<'a> FromSql<'a>>(client: &Client, query: &str) -> T {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

/// Every ledger between the first and the last is there, with all of its events, or a gap tells that it is not.
pub async fn is_whole(client: &Client, prefix: &str) {
    let torn = format!(
        "select l.ledger, l.events, count(e.event_id) from {prefix}ledgers l left join {prefix}events e \
         using (network, epoch, ledger) group by l.network, l.epoch, l.ledger, l.events having l.events <> count(e.event_id)"
    );
    let stray = format!(
        "select ledger from {prefix}events e where not exists \
         (select from {prefix}ledgers l where (l.network, l.epoch, l.ledger) = (e.network, e.epoch, e.ledger))"
    );
    let silent = format!(
        "select network, epoch, number from (select network, epoch, min(ledger) low, max(ledger) high from {prefix}ledgers \
         group by network, epoch) ends, generate_series(low, high) number where not exists \
         (select from {prefix}ledgers l where (l.network, l.epoch, l.ledger) = (ends.network, ends.epoch, number)) \
         and not exists (select from {prefix}gaps g where (g.network, g.epoch) = (ends.network, ends.epoch) \
         and number between g.from_ledger and coalesce(g.to_ledger, number))"
    );
    for (what, query) in [("cut ledgers", torn), ("events without a ledger", stray), ("silent holes", silent)] {
        let found = rows(client, &query).await;
        assert!(found.is_empty(), "{} {what}, such as {:?}", found.len(), found[0]);
    }
}
