//! The database in the state folder: each application's record, and what happened to it.
//!
//! It decides nothing and holds no secret value. Losing it costs nothing that matters, so a damaged
//! file is set aside and a new one made rather than keeping the agent from its work. A record is
//! replaced as a whole in one transaction that is on disk when `save` returns.

mod error;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::name::Name;
use crate::observed::Record;
use crate::time::Time;

pub use error::Error;

/// How many events are kept per application.
const HISTORY: u32 = 1_000;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS record (application TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS event (
        id INTEGER PRIMARY KEY, application TEXT NOT NULL, at INTEGER NOT NULL,
        revision TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS event_by_application ON event (application, id);
";

/// Something that happened to an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// The revision that it is about.
    pub revision: String,
    /// A stable word, as in `healthy` or `refused`.
    pub kind: String,
    /// One sentence for people.
    pub message: String,
}

/// A database file that could not be read and was put out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Where it is now.
    pub set_aside: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// The open database. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database, making it if there is none. A damaged one is set aside.
    pub async fn open(path: &Path) -> Result<(Store, Option<Damaged>), Error> {
        let path = path.to_owned();
        blocking(move || {
            let (connection, damaged) = match connect(&path) {
                Err(error) if is_damage(&error) => {
                    let damaged = set_aside(&path, &error)?;
                    (connect(&path), Some(damaged))
                }
                result => (result, None),
            };
            let connection = connection.map_err(|source| Error::Open { path: path.clone(), source })?;
            Ok((Store { shared: Arc::new(Shared { path, connection: Mutex::new(connection) }) }, damaged))
        })
        .await
    }

    /// Returns a database in memory, for a host whose disk cannot be written: it costs only what losing
    /// the file would cost.
    pub fn in_memory() -> Result<Store, Error> {
        let path = PathBuf::from(":memory:");
        let connection = connect(&path).map_err(|source| Error::Open { path: path.clone(), source })?;
        Ok(Store { shared: Arc::new(Shared { path, connection: Mutex::new(connection) }) })
    }

    /// Returns an application's record; an empty one if there is none. One that cannot be read is
    /// taken as lost, with a warning.
    pub async fn load(&self, application: &Name) -> Result<Record, Error> {
        let name = application.to_string();
        let json: Option<String> = self
            .run("read the record", application, move |connection| {
                connection.query_row("SELECT json FROM record WHERE application = ?1", [&name], |row| row.get(0)).optional()
            })
            .await?;
        let Some(json) = json else { return Ok(Record::default()) };
        Ok(serde_json::from_str(&json).unwrap_or_else(|error| {
            tracing::warn!(%application, %error, "the record cannot be read and is taken as lost");
            Record::default()
        }))
    }

    /// Replaces records of applications, and adds events to their histories, of which the oldest beyond the limit go.
    /// All of it is on disk when this returns, or, with an error, nothing.
    pub async fn write(&self, records: Vec<(Name, Record)>, events: Vec<(Name, Event)>) -> Result<(), Error> {
        let encode = |(application, record): (Name, Record)| match serde_json::to_string(&record) {
            Ok(json) => Ok((application.to_string(), json)),
            Err(source) => Err(Error::Encode { application, source }),
        };
        let records = records.into_iter().map(encode).collect::<Result<Vec<(String, String)>, Error>>()?;
        let shared = self.shared.clone();
        let query = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            {
                let sql = "INSERT INTO record VALUES (?1, ?2) ON CONFLICT (application) DO UPDATE SET json = excluded.json";
                let mut replace = transaction.prepare_cached(sql)?;
                for (name, json) in &records {
                    replace.execute([name, json])?;
                }
                let sql = "INSERT INTO event (application, at, revision, kind, message) VALUES (?1, ?2, ?3, ?4, ?5)";
                let mut insert = transaction.prepare_cached(sql)?;
                let sql = "DELETE FROM event WHERE application = ?1 AND id <=
                    (SELECT id FROM event WHERE application = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
                let mut forget = transaction.prepare_cached(sql)?;
                for (name, Event { at, revision, kind, message }) in &events {
                    insert.execute(params![name.as_str(), at.0, revision, kind, message])?;
                    forget.execute(params![name.as_str(), HISTORY])?;
                }
            }
            transaction.commit()
        };
        blocking(move || shared.attempt(query).map_err(|source| Error::Write { path: shared.path.clone(), source })).await
    }

    /// Returns an application's last events, newest first.
    pub async fn history(&self, application: &Name, limit: u32) -> Result<Vec<Event>, Error> {
        let name = application.to_string();
        self.run("read the history", application, move |connection| {
            let sql = "SELECT at, revision, kind, message FROM event WHERE application = ?1 ORDER BY id DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![name, limit], |row| {
                Ok(Event { at: Time(row.get(0)?), revision: row.get(1)?, kind: row.get(2)?, message: row.get(3)? })
            })?;
            rows.collect()
        })
        .await
    }

    /// Returns the applications that have a record, in the order of names.
    pub async fn applications(&self) -> Result<Vec<Name>, Error> {
        let shared = self.shared.clone();
        blocking(move || {
            let query = |connection: &mut Connection| {
                let mut statement = connection.prepare_cached("SELECT application FROM record ORDER BY application")?;
                statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
            };
            let names = shared.attempt(query).map_err(|source| Error::Open { path: shared.path.clone(), source })?;
            Ok(names.into_iter().filter_map(|name| Name::try_from(name).ok()).collect())
        })
        .await
    }

    async fn run<T, F>(&self, operation: &'static str, application: &Name, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (shared, application) = (self.shared.clone(), application.clone());
        blocking(move || shared.attempt(query).map_err(|source| Error::Query { operation, application, source })).await
    }
}

impl Shared {
    /// Runs a query; if the file turns out to be damaged it is set aside and the query runs on a new
    /// one.
    fn attempt<T>(&self, query: impl Fn(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        // A thread that died while it held the connection left no open transaction behind.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match query(&mut connection) {
            Err(error) if is_damage(&error) => error,
            result => return result,
        };
        let Ok(damaged) = set_aside(&self.path, &error) else { return Err(error) };
        tracing::warn!(reason = %damaged.reason, set_aside = %damaged.set_aside.display(), "the database was damaged; a new one is made");
        *connection = connect(&self.path)?;
        query(&mut connection)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a plan claims must be on disk before its first step, also through a power loss.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(SCHEMA)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(connection),
        _ => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict))),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Renames the database with its journals.
fn set_aside(path: &Path, error: &rusqlite::Error) -> Result<Damaged, Error> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let target = with(&format!(".damaged-{now}"));
    std::fs::rename(path, &target).map_err(|source| Error::SetAside { path: path.to_owned(), source })?;
    for journal in ["-wal", "-shm"] {
        // They may not exist. One that stayed behind would be applied to the new file, so it has to go.
        if with(journal).exists() {
            let aside = PathBuf::from(format!("{}{journal}", target.display()));
            std::fs::rename(with(journal), aside).map_err(|source| Error::SetAside { path: with(journal), source })?;
        }
    }
    Ok(Damaged { set_aside: target, reason: error.to_string() })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted))
}

#[cfg(test)]
mod tests;
